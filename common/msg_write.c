#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/msg_parts.h"
#include "common/text.h"

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

static bool put_ancestry(struct msg *m, cJSON *obj)
{
    if (m->root_id[0] == '\0') {
        text_copy(m->root_id, sizeof m->root_id, m->id);
    }
    text_copy(m->parent, sizeof m->parent, m->id);
    return put(obj, "root_id", cJSON_CreateString(m->root_id)) &&
           put(obj, "parent_id", cJSON_CreateString(m->parent));
}

bool msg_set_retries(struct msg *m, int retries, int64_t eta_us, struct err *e)
{
    cJSON *obj = fields_object(m);
    bool ok;

    m->retries = retries;
    m->eta_us = eta_us;
    ok = put(obj, "retries", cJSON_CreateNumber(retries)) &&
         (eta_us == MSG_NO_TIME ? put(obj, "eta", cJSON_CreateNull())
                                : put_time(obj, "eta", eta_us));
    /* Protocol 1 knows no ancestry, a plain message needs none. */
    ok = ok && (m->form != MSG_CELERY_2 || retries == 0 || put_ancestry(m, obj)) &&
         (m->form != MSG_CELERY_1 || put_body(m));
    return ok || no_memory(e);
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

/* ---- lists ---- */

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
