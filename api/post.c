#include "api/post.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

#define DETAIL_SIZE 320

/* "application/json", perhaps with parameters behind it. */
static bool is_json(struct evhttp_request *http)
{
    static const char JSON[] = "application/json";
    const char *type = evhttp_find_header(evhttp_request_get_input_headers(http), "Content-Type");
    size_t len = sizeof JSON - 1;

    return type && strncasecmp(type, JSON, len) == 0 && strchr("; \t", type[len]);
}

cJSON *post_parse(struct evhttp_request *http, int *status, const char **detail)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(http);
    size_t len = evbuffer_get_length(in); /* at most LOOP_BODY_MAX */
    const char *bytes = len ? (const char *)evbuffer_pullup(in, -1) : "";
    struct err e = {0};
    cJSON *doc = NULL;

    if (!is_json(http)) {
        *status = 415;
        *detail = "The body must be sent as JSON, and its Content-Type must say so.";
        return NULL;
    }
    if (bytes) {
        doc = json_parse(bytes, len, &e);
    }
    if (!doc || !cJSON_IsObject(doc)) {
        *status = 400;
        *detail = "The body must be one JSON object.";
        cJSON_Delete(doc);
        return NULL;
    }
    return doc;
}

cJSON *post_read(const struct request *rq)
{
    const char *detail;
    int status;
    cJSON *doc = post_parse(rq->http, &status, &detail);

    if (!doc) {
        reply_problem(rq, status, NULL, detail);
    }
    return doc;
}

/* "server, name" */
static void list_names(const char *const *known, size_t n, char out[DETAIL_SIZE])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < n && len < DETAIL_SIZE; i++) {
        len += (size_t)snprintf(out + len, DETAIL_SIZE - len, "%s%s", i ? ", " : "", known[i]);
    }
}

static bool is_known(const char *key, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(known[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static bool comes_again(const cJSON *member)
{
    for (const cJSON *m = member->next; m; m = m->next) {
        if (strcmp(m->string, member->string) == 0) {
            return true;
        }
    }
    return false;
}

bool post_check_members(const struct request *rq, const cJSON *obj, const char *what,
                        const char *const *known, size_t n)
{
    char names[DETAIL_SIZE], detail[2 * DETAIL_SIZE];

    list_names(known, n, names);
    if (!cJSON_IsObject(obj)) {
        snprintf(detail, sizeof detail, "%s must be an object with %s.", what, names);
        reply_problem(rq, 400, NULL, detail);
        return false;
    }
    /* At the first that is not known it ends, so nobody can make this slow by many members. */
    for (const cJSON *m = obj->child; m; m = m->next) {
        if (!is_known(m->string, known, n)) {
            snprintf(detail, sizeof detail, "%s has a member that is not known; known: %s.", what,
                     names);
            reply_problem(rq, 400, NULL, detail);
            return false;
        }
        if (comes_again(m)) {
            snprintf(detail, sizeof detail, "%s has %s more than once.", what, m->string);
            reply_problem(rq, 400, m->string, detail);
            return false;
        }
    }
    return true;
}

/* False: answered, the len bytes are no text of a parameter. */
static bool take_text(const struct request *rq, const char *key, const char *text, size_t len,
                      struct query_value *out)
{
    char detail[DETAIL_SIZE];

    if (len == 0 || len > QUERY_TEXT_BYTES || text_has_control(text, len) ||
        text_utf8_count(text, len) > QUERY_TEXT_CHARS) {
        snprintf(detail, sizeof detail,
                 "%s must be text of 1 to %d characters, without control characters.", key,
                 QUERY_TEXT_CHARS);
        reply_problem(rq, 400, key, detail);
        return false;
    }
    out->given = true;
    out->len = len;
    memcpy(out->text, text, len);
    out->text[len] = '\0';
    return true;
}

bool post_text(const struct request *rq, const cJSON *obj, const char *key, struct query_value *out)
{
    const char *text = json_get_str(obj, key);

    return take_text(rq, key, text, text ? strlen(text) : 0, out);
}

/* Bytes of the blank at the beginning of s, or (end) before its end; 0: there is none. */
static size_t blank_at(const char *s, size_t len, bool end)
{
    static const char *const BLANKS[] = {" ", "\u00a0", "\u3000"};

    for (size_t i = 0; i < ARRAY_LEN(BLANKS); i++) {
        size_t n = strlen(BLANKS[i]);

        if (len >= n && memcmp(end ? s + len - n : s, BLANKS[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

bool post_name(const struct request *rq, const cJSON *obj, const char *key, struct query_value *out)
{
    const char *text = json_get_str(obj, key);
    size_t len = text ? strlen(text) : 0, blank;

    while ((blank = blank_at(text, len, false)) > 0) {
        text += blank;
        len -= blank;
    }
    while ((blank = blank_at(text, len, true)) > 0) {
        len -= blank;
    }
    return take_text(rq, key, text, len, out);
}
