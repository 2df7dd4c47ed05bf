#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/msg.h"
#include "common/uuid.h"

/* A member of one of the two objects beside the body. Members in Celery's order. */

static bool add_text(cJSON *o, const char *name, const char *text)
{
    return text && *text ? cJSON_AddStringToObject(o, name, text) != NULL
                         : cJSON_AddNullToObject(o, name) != NULL;
}

static bool add_copy(cJSON *array, const cJSON *v)
{
    return cJSON_AddItemToArray(array, v ? cJSON_Duplicate(v, true) : cJSON_CreateNull());
}

/* The text, or else the time when it is not 0. */
static bool add_time(cJSON *h, const char *name, const char *text, int64_t wall_us)
{
    char iso[CLOCK_ISO_SIZE];

    if (!text && wall_us != 0) {
        text = clock_iso(wall_us, "+00:00", iso);
    }
    return add_text(h, name, text);
}

static bool add_group(cJSON *h, const struct msg_new *n)
{
    bool indexed = n->group && n->group_index >= 0;

    return add_text(h, "group", n->group) &&
           cJSON_AddItemToObject(h, "group_index",
                                 indexed ? cJSON_CreateNumber((double)n->group_index)
                                         : cJSON_CreateNull());
}

static bool add_limits(cJSON *h, const struct msg_new *n)
{
    cJSON *limits = cJSON_AddArrayToObject(h, "timelimit");

    return limits && add_copy(limits, n->hard_limit) && add_copy(limits, n->soft_limit);
}

static bool add_reprs(cJSON *h, const struct msg_new *n)
{
    static const cJSON EMPTY = {.type = cJSON_Object};
    char text[MSG_REPR_SIZE];

    return cJSON_AddStringToObject(h, "argsrepr", msg_repr_args(n->args, text)) &&
           cJSON_AddStringToObject(h, "kwargsrepr",
                                   msg_repr_value(n->kwargs ? n->kwargs : &EMPTY, text));
}

/* Headers of the sender's own; Celery's keep their meaning. */
static bool add_more_headers(cJSON *h, const struct msg_new *n)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, n->headers)
    {
        if (!cJSON_GetObjectItemCaseSensitive(h, v->string) &&
            !cJSON_AddItemToObject(h, v->string, cJSON_Duplicate(v, true))) {
            return false;
        }
    }
    return true;
}

static bool add_headers(cJSON *root, const struct msg_new *n)
{
    cJSON *h = cJSON_AddObjectToObject(root, "headers");
    bool ok = h && cJSON_AddStringToObject(h, "lang", "c") && add_text(h, "task", n->task) &&
              add_text(h, "id", n->id) && add_text(h, "shadow", n->shadow) &&
              add_time(h, "eta", n->eta, n->eta_us) &&
              add_time(h, "expires", n->expires, n->expires_us) && add_group(h, n) &&
              cJSON_AddNumberToObject(h, "retries", n->retries) && add_limits(h, n) &&
              add_text(h, "root_id", n->root ? n->root : n->id) &&
              add_text(h, "parent_id", n->parent) && add_reprs(h, n) &&
              cJSON_AddStringToObject(h, "origin", n->origin ? n->origin : "") &&
              cJSON_AddBoolToObject(h, "ignore_result", n->ignore_result);

    if (ok && n->slot_unix_s >= 0) {
        ok = cJSON_AddNumberToObject(h, MSG_SLOT_MEMBER, (double)n->slot_unix_s) != NULL;
    }
    if (ok && n->sent_us != 0) {
        ok = cJSON_AddNumberToObject(h, MSG_SENT_MEMBER, (double)n->sent_us / 1e6) != NULL;
    }
    return ok && add_more_headers(h, n);
}

static bool add_expiration(cJSON *p, const struct msg_new *n)
{
    char ms[24];

    snprintf(ms, sizeof ms, "%" PRId64, n->expires_in_ms);
    return !n->expires || cJSON_AddStringToObject(p, "expiration", ms);
}

static bool add_properties(cJSON *root, const struct msg_new *n)
{
    cJSON *p = cJSON_AddObjectToObject(root, "properties");
    cJSON *info;
    char tag[UUID_SIZE];
    bool ok = p && cJSON_AddStringToObject(p, "correlation_id", n->id) &&
              cJSON_AddStringToObject(p, "reply_to", n->reply_to ? n->reply_to : n->id) &&
              cJSON_AddNumberToObject(p, "delivery_mode", 2);

    info = ok ? cJSON_AddObjectToObject(p, "delivery_info") : NULL;
    uuid_random(tag);
    return info && cJSON_AddStringToObject(info, "exchange", "") &&
           cJSON_AddStringToObject(info, "routing_key", n->queue) &&
           cJSON_AddNumberToObject(p, "priority", n->priority) && add_expiration(p, n) &&
           cJSON_AddStringToObject(p, "body_encoding", "base64") &&
           cJSON_AddStringToObject(p, "delivery_tag", n->tag ? n->tag : tag);
}

/* v may be NULL: the text instead. */
static bool print_or(struct buf *out, const cJSON *v, const char *text)
{
    return v ? json_add(out, v) : buf_addstr(out, text);
}

static bool add_body(cJSON *root, const struct msg_new *n)
{
    struct buf text, coded;
    bool ok;

    buf_init(&text, MSG_BYTES_MAX);
    buf_init(&coded, 2 * MSG_BYTES_MAX);
    ok = buf_addstr(&text, "[") && print_or(&text, n->args, "[]") && buf_addstr(&text, ", ") &&
         print_or(&text, n->kwargs, "{}") && buf_addstr(&text, ", {\"callbacks\": ") &&
         print_or(&text, n->callbacks, "null") && buf_addstr(&text, ", \"errbacks\": ") &&
         print_or(&text, n->errbacks, "null") && buf_addstr(&text, ", \"chain\": ") &&
         print_or(&text, n->chain, "null") && buf_addstr(&text, ", \"chord\": ") &&
         print_or(&text, n->chord, "null") && buf_addstr(&text, "}]") &&
         b64_encode(&coded, text.data, text.len) &&
         cJSON_AddStringToObject(root, "body", coded.data);
    buf_fini(&text);
    buf_fini(&coded);
    return ok;
}

char *msg_build(const struct msg_new *n, size_t *len)
{
    cJSON *root = cJSON_CreateObject();
    char *text = NULL;

    if (root && add_body(root, n) && cJSON_AddStringToObject(root, "content-encoding", "utf-8") &&
        cJSON_AddStringToObject(root, "content-type", "application/json") && add_headers(root, n) &&
        add_properties(root, n)) {
        text = json_print(root);
    }
    cJSON_Delete(root);
    *len = text ? strlen(text) : 0;
    if (*len > MSG_BYTES_MAX) {
        free(text);
        text = NULL;
    }
    return text;
}
