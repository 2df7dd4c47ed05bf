/* What is posted: the bodies of /api/search and /api/characters/batch, as their handlers read them.
 */

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "api/post.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int refusals;

/* In place of the one that answers. */
void reply_problem(const struct request *rq, int status, const char *param, const char *detail)
{
    MUST(rq && status == 400 && *detail && text_is_utf8(detail, strlen(detail)));
    MUST(!param || text_is_utf8(param, strlen(param)));
    refusals++;
}

static bool take_text(const struct request *rq, const cJSON *obj, const char *key)
{
    struct query_value v;

    if (!post_name(rq, obj, key, &v)) {
        return false;
    }
    MUST(v.len > 0 && v.len == strlen(v.text) && text_is_utf8(v.text, v.len));
    MUST(text_utf8_count(v.text, v.len) <= QUERY_TEXT_CHARS && !text_has_control(v.text, v.len));
    MUST(v.text[0] != ' ' && v.text[v.len - 1] != ' ');
    return true;
}

static bool read_character(const struct request *rq, const cJSON *obj, const char *what)
{
    static const char *const MEMBERS[] = {"server", "name"};

    return post_check_members(rq, obj, what, MEMBERS, ARRAY_LEN(MEMBERS)) &&
           take_text(rq, obj, "server") && take_text(rq, obj, "name");
}

static void read_many(const struct request *rq, const cJSON *doc)
{
    static const char *const MEMBERS[] = {"characters"};
    const cJSON *one;

    if (!post_check_members(rq, doc, "The body", MEMBERS, ARRAY_LEN(MEMBERS))) {
        return;
    }
    cJSON_ArrayForEach(one, json_get_arr(doc, "characters"))
    {
        if (!read_character(rq, one, "A character")) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evhttp_request *http = evhttp_request_new(NULL, NULL);
    struct request rq = {.http = http};
    cJSON *doc;

    MUST(http);
    MUST(evhttp_add_header(evhttp_request_get_input_headers(http), "Content-Type",
                           "application/json") == 0);
    MUST(evbuffer_add(evhttp_request_get_input_buffer(http), data, size) == 0);
    refusals = 0;
    doc = post_read(&rq);
    MUST(refusals == (doc ? 0 : 1));
    if (doc) {
        (void)read_character(&rq, doc, "The body");
        read_many(&rq, doc);
    }
    cJSON_Delete(doc);
    evhttp_request_free(http);
    return 0;
}
