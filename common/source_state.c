#include "common/source_state.h"

#include <string.h>

#include "common/keys.h"
#include "common/text.h"

static void add_i64(cJSON *o, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

/* The hash's numbers and words; what is neither is left out. */
static cJSON *read_fields(const redisReply *r)
{
    cJSON *o = cJSON_CreateObject();
    int64_t n;

    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        const redisReply *name = r->element[i], *value = r->element[i + 1];

        if (!text_is_utf8(name->str, (size_t)name->len) ||
            !text_is_utf8(value->str, (size_t)value->len)) {
            continue;
        }
        if (text_to_i64(value->str, 0, INT64_C(9007199254740992), &n)) {
            add_i64(o, name->str, n);
        } else {
            cJSON_AddStringToObject(o, name->str, value->str);
        }
    }
    return o;
}

static int64_t get(const cJSON *fields, const char *name)
{
    int64_t n = 0;

    json_get_i64(fields, name, 0, INT64_MAX, &n);
    return n;
}

static void add_times(cJSON *doc, const cJSON *fields)
{
    static const char *const TIMES[][2] = {{"last_ok_ms", "last_ok"},
                                           {"last_busy_ms", "last_busy"},
                                           {"last_failed_ms", "last_failed"}};

    for (size_t i = 0; i < ARRAY_LEN(TIMES); i++) {
        int64_t ms = get(fields, TIMES[i][0]);

        if (ms > 0) {
            add_i64(doc, TIMES[i][1], ms / 1000);
        }
    }
}

static cJSON *describe(const cJSON *fields, int64_t now_ms)
{
    static const char *const COUNTS[] = {"failures", "asked", "ok", "busy", "failed"};
    int64_t rest_ms = get(fields, "rest_until_ms") - now_ms;
    int64_t ahead_ms = get(fields, "next_ms") - now_ms;
    const char *reason = json_get_str(fields, "rest_reason");
    cJSON *doc = cJSON_CreateObject();

    add_i64(doc, "at", now_ms / 1000);
    cJSON_AddStringToObject(doc, "state",
                            rest_ms > 0                    ? "resting"
                            : !fields->child               ? "unused"
                            : get(fields, "failures") == 0 ? "working"
                                                           : "failing");
    for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
        add_i64(doc, COUNTS[i], get(fields, COUNTS[i]));
    }
    add_times(doc, fields);
    if (rest_ms > 0) {
        add_i64(doc, "rest_s", (rest_ms + 999) / 1000);
        cJSON_AddStringToObject(doc, "rest_reason", reason ? reason : "");
    }
    add_i64(doc, "queue_ms", ahead_ms > 0 ? ahead_ms : 0);
    return doc;
}

cJSON *source_state(redisContext *c, struct err *e)
{
    redisReply *r = rds_command(c, e, "HGETALL " KEY_SOURCE);
    cJSON *fields, *doc = NULL;
    int64_t now_us;

    if (!r) {
        return NULL;
    }
    if (rds_time_us(c, &now_us, e)) {
        fields = read_fields(r);
        doc = describe(fields, now_us / 1000);
        cJSON_Delete(fields);
    }
    freeReplyObject(r);
    return doc;
}
