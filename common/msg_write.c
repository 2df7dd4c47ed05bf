#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/text.h"
#include "common/uuid.h"

/* ---- rewriting ---- */

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory to rewrite a message");
}

/* Where id, eta, retries and the like stand. */
static cJSON *fields_object(const struct msg *m)
{
    switch (m->form) {
    case MSG_PLAIN:
        return m->root;
    case MSG_CELERY_1:
        return m->body;
    case MSG_CELERY_2:
        break;
    }
    return cJSON_GetObjectItemCaseSensitive(m->root, "headers");
}

/* Takes v. */
static bool put(cJSON *obj, const char *name, cJSON *v)
{
    if (!v) {
        return false;
    }
    if (cJSON_GetObjectItemCaseSensitive(obj, name)) {
        return cJSON_ReplaceItemInObjectCaseSensitive(obj, name, v);
    }
    return cJSON_AddItemToObject(obj, name, v);
}

static bool put_time(cJSON *obj, const char *name, int64_t wall_us)
{
    char iso[CLOCK_ISO_SIZE];

    return put(obj, name, cJSON_CreateString(clock_iso(wall_us, "+00:00", iso)));
}

bool msg_needs_adoption(const struct msg *m)
{
    return m->id[0] == '\0' || m->countdown_ms >= 0 || m->expires_in_ms >= 0;
}

bool msg_adopt(struct msg *m, const char *id, int64_t now_ms, struct err *e)
{
    bool ok = true;

    MUST(m->form == MSG_PLAIN);
    if (m->id[0] == '\0') {
        text_copy(m->id, sizeof m->id, id);
        ok = put(m->root, "id", cJSON_CreateString(id));
    }
    if (m->countdown_ms >= 0) { /* as in Celery, it wins over eta */
        m->eta_us = (now_ms + m->countdown_ms) * 1000;
        m->countdown_ms = -1;
        cJSON_DeleteItemFromObjectCaseSensitive(m->root, "countdown");
        ok = ok && put_time(m->root, "eta", m->eta_us);
    }
    if (m->expires_in_ms >= 0) {
        m->expires_us = (now_ms + m->expires_in_ms) * 1000;
        m->expires_in_ms = -1;
        ok = ok && put_time(m->root, "expires", m->expires_us);
    }
    return ok || no_memory(e);
}

/* Protocol 1 keeps its fields inside the body: encode it anew. */
static bool put_body(struct msg *m)
{
    char *text = json_print(m->body);
    cJSON *headers = json_get_obj(m->root, "headers");
    bool ok = text && put(m->root, "body", cJSON_CreateString(text));

    free(text);
    if (headers) {
        cJSON_DeleteItemFromObjectCaseSensitive(headers, "compression");
    }
    if (json_get_obj(m->root, "properties")) {
        ok = ok && put(json_get_obj(m->root, "properties"), "body_encoding", cJSON_CreateNull());
    }
    return ok;
}

bool msg_set_retries(struct msg *m, int retries, struct err *e)
{
    cJSON *obj = fields_object(m);

    m->retries = retries;
    m->eta_us = MSG_NO_TIME;
    if (!put(obj, "retries", cJSON_CreateNumber(retries)) || !put(obj, "eta", cJSON_CreateNull()) ||
        (m->form == MSG_CELERY_1 && !put_body(m))) {
        return no_memory(e);
    }
    return true;
}

char *msg_print(const struct msg *m, size_t *len)
{
    char *text = json_print(m->root);

    if (text) {
        *len = strlen(text);
        if (*len > MSG_BYTES_MAX) {
            free(text);
            return NULL;
        }
    }
    return text;
}

/* ---- building ---- */

static char *print_or_empty(const cJSON *v, const char *empty)
{
    return v ? json_print(v) : strdup(empty);
}

/* Python's repr of the arguments is for people only; JSON reads as well. */
static bool add_headers(cJSON *root, const struct msg_new *n, const char *args, const char *kwargs)
{
    static const char *const NULLS[] = {"shadow", "eta",         "expires",
                                        "group",  "group_index", "parent_id"};
    cJSON *h = cJSON_AddObjectToObject(root, "headers");
    cJSON *limits;
    bool ok = h && cJSON_AddStringToObject(h, "lang", "c") &&
              cJSON_AddStringToObject(h, "task", n->task) &&
              cJSON_AddStringToObject(h, "id", n->id) && cJSON_AddNumberToObject(h, "retries", 0) &&
              cJSON_AddStringToObject(h, "root_id", n->id) &&
              cJSON_AddStringToObject(h, "origin", n->origin ? n->origin : "") &&
              cJSON_AddStringToObject(h, "argsrepr", args) &&
              cJSON_AddStringToObject(h, "kwargsrepr", kwargs) &&
              cJSON_AddFalseToObject(h, "ignore_result");

    for (size_t i = 0; ok && i < ARRAY_LEN(NULLS); i++) {
        ok = cJSON_AddNullToObject(h, NULLS[i]) != NULL;
    }
    limits = ok ? cJSON_AddArrayToObject(h, "timelimit") : NULL;
    ok = limits && cJSON_AddItemToArray(limits, cJSON_CreateNull()) &&
         cJSON_AddItemToArray(limits, cJSON_CreateNull());
    if (ok && n->slot_unix_s >= 0) {
        ok = cJSON_AddNumberToObject(h, MSG_SLOT_MEMBER, (double)n->slot_unix_s) != NULL;
    }
    if (ok && n->sent_us != 0) {
        ok = cJSON_AddNumberToObject(h, MSG_SENT_MEMBER, (double)n->sent_us / 1e6) != NULL;
    }
    if (ok && n->eta_us != 0) {
        ok = put_time(h, "eta", n->eta_us);
    }
    if (ok && n->expires_us != 0) {
        ok = put_time(h, "expires", n->expires_us);
    }
    return ok;
}

static bool add_properties(cJSON *root, const struct msg_new *n)
{
    cJSON *p = cJSON_AddObjectToObject(root, "properties");
    cJSON *info = p ? cJSON_AddObjectToObject(p, "delivery_info") : NULL;
    char tag[UUID_SIZE];

    uuid_random(tag);
    return info && cJSON_AddStringToObject(info, "exchange", "") &&
           cJSON_AddStringToObject(info, "routing_key", n->queue) &&
           cJSON_AddStringToObject(p, "correlation_id", n->id) &&
           cJSON_AddStringToObject(p, "reply_to", n->id) &&
           cJSON_AddNumberToObject(p, "delivery_mode", 2) &&
           cJSON_AddNumberToObject(p, "priority", n->priority) &&
           cJSON_AddStringToObject(p, "body_encoding", "base64") &&
           cJSON_AddStringToObject(p, "delivery_tag", tag);
}

static bool add_body(cJSON *root, const char *args, const char *kwargs)
{
    struct buf text, coded;
    bool ok;

    buf_init(&text, MSG_BYTES_MAX);
    buf_init(&coded, 2 * MSG_BYTES_MAX);
    ok = buf_addf(&text,
                  "[%s, %s, {\"callbacks\": null, \"errbacks\": null, \"chain\": null, "
                  "\"chord\": null}]",
                  args, kwargs) &&
         b64_encode(&coded, text.data, text.len) &&
         cJSON_AddStringToObject(root, "body", coded.data);
    buf_fini(&text);
    buf_fini(&coded);
    return ok;
}

char *msg_build(const struct msg_new *n, size_t *len)
{
    cJSON *root = cJSON_CreateObject();
    char *args = print_or_empty(n->args, "[]");
    char *kwargs = print_or_empty(n->kwargs, "{}");
    char *text = NULL;

    if (root && args && kwargs && add_body(root, args, kwargs) &&
        cJSON_AddStringToObject(root, "content-encoding", "utf-8") &&
        cJSON_AddStringToObject(root, "content-type", "application/json") &&
        add_headers(root, n, args, kwargs) && add_properties(root, n)) {
        text = json_print(root);
    }
    if (text) {
        *len = strlen(text);
    }
    cJSON_Delete(root);
    free(args);
    free(kwargs);
    return text;
}

bool msg_list_name(char *out, size_t cap, const char *queue, int priority)
{
    static const char *const SUFFIX[KEY_PRIORITY_STEPS] = {
        "", KEY_PRIORITY_SEP "3", KEY_PRIORITY_SEP "6", KEY_PRIORITY_SEP "9"};
    int step = priority < 0 ? 0 : priority / 3;
    int n;

    n = snprintf(out, cap, "%s%s", queue,
                 SUFFIX[step < KEY_PRIORITY_STEPS ? step : KEY_PRIORITY_STEPS - 1]);
    return n >= 0 && (size_t)n < cap;
}
