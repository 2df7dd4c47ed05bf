/* What is posted: refused with a reason, or texts that are those of parameters. */

#include <event2/buffer.h>
#include <event2/http.h>
#include <string.h>

#include "api/post.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int refusals;

/* In place of the one that answers. */
void reply_problem(const struct request *rq, int status, const char *param, const char *detail)
{
    MUST(rq->http && (status == 400 || status == 415));
    MUST(!param || text_is_utf8(param, strlen(param)));
    MUST(text_is_utf8(detail, strlen(detail)) && *detail);
    refusals++;
}

static void check_text(const struct query_value *v)
{
    MUST(v->len > 0 && v->len <= QUERY_TEXT_BYTES && v->text[v->len] == '\0');
    MUST(text_is_utf8(v->text, v->len) && !text_has_control(v->text, v->len));
    MUST(text_utf8_count(v->text, v->len) <= QUERY_TEXT_CHARS);
}

/* {"server","name"}, as members of the body and in its list of characters. */
static bool read_names(const struct request *rq, const cJSON *obj)
{
    static const char *const KNOWN[] = {"server", "name"};
    struct query_value server, name;

    if (!post_check_members(rq, obj, "A character", KNOWN, ARRAY_LEN(KNOWN)) ||
        !post_text(rq, obj, "server", &server) || !post_name(rq, obj, "name", &name)) {
        return false;
    }
    check_text(&server);
    check_text(&name);
    return true;
}

static bool read_list(const struct request *rq, const cJSON *doc)
{
    static const char *const KNOWN[] = {"characters"};
    const cJSON *one;

    if (!post_check_members(rq, doc, "The body", KNOWN, ARRAY_LEN(KNOWN))) {
        return false;
    }
    cJSON_ArrayForEach(one, json_get_arr(doc, "characters"))
    {
        if (!read_names(rq, one)) {
            return false;
        }
    }
    return true;
}

static void on_end(UNUSED struct evhttp_request *http, UNUSED void *arg)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request rq = {.http = evhttp_request_new(on_end, NULL)};
    cJSON *doc;

    MUST(rq.http);
    evhttp_add_header(evhttp_request_get_input_headers(rq.http), "Content-Type",
                      size % 7 ? "application/json" : "application/json; charset=utf-8");
    evbuffer_add(evhttp_request_get_input_buffer(rq.http), data, size);
    refusals = 0;
    doc = post_read(&rq);
    MUST(doc ? refusals == 0 : refusals == 1);
    if (doc) {
        bool ok = json_get_arr(doc, "characters") ? read_list(&rq, doc) : read_names(&rq, doc);

        MUST(ok == (refusals == 0) && refusals <= 1);
    }
    cJSON_Delete(doc);
    evhttp_request_free(rq.http);
    return 0;
}
