#include "common/msg.h"

#include "common/msg_parts.h"

/* [args, kwargs, embed]; the last one first, because who is to be told of an error stands there. */
static bool read_body_2(struct msg *m, struct err *e)
{
    const cJSON *args = cJSON_GetArrayItem(m->body, 0);
    const cJSON *kwargs = cJSON_GetArrayItem(m->body, 1);

    if (!cJSON_IsArray(m->body) || cJSON_GetArraySize(m->body) != 3) {
        return msg_refuse(e, "ValueError", "body", "an array [args, kwargs, embed]");
    }
    return msg_read_embed(cJSON_GetArrayItem(m->body, 2), m, e) &&
           (cJSON_IsNull(args) || msg_read_args(args, m, e)) &&
           (cJSON_IsNull(kwargs) || msg_read_kwargs(kwargs, m, e));
}

/* Without an id nobody can be told anything. */
static bool read_id(const cJSON *obj, struct msg *m, struct err *e)
{
    if (!msg_read_id(obj, "id", m, e)) {
        return false;
    }
    return m->form == MSG_PLAIN || m->id[0] != '\0' ||
           msg_refuse(e, "ValueError", "id", "a text, it is missing");
}

static bool read_rest(const cJSON *obj, struct msg *m, struct err *e)
{
    if (!msg_read_fields(obj, m, e)) {
        return false;
    }
    if (m->task[0] == '\0') {
        return msg_refuse(e, "ValueError", "task", "the task's name, it is missing");
    }
    return true;
}

static bool parse_plain(struct msg *m, struct err *e)
{
    m->form = MSG_PLAIN;
    return read_id(m->root, m, e) && read_rest(m->root, m, e);
}

/* Headers and body; with wrong headers the body is read as far as it goes, as above. */
static bool parse_celery_2(const cJSON *headers, struct msg *m, struct err *e)
{
    struct err later;
    bool ok;

    if (!read_id(headers, m, e)) {
        return false;
    }
    ok = read_rest(headers, m, e);
    return msg_decode_body(m, headers, ok ? e : &later) && read_body_2(m, ok ? e : &later) && ok;
}

static bool parse_celery(struct msg *m, struct err *e)
{
    const cJSON *headers = json_get_obj(m->root, "headers");

    /* The envelope's copy of the id: all there is when the body cannot be read. */
    if (!msg_read_id(json_get_obj(m->root, "properties"), "correlation_id", m, NULL)) {
        m->id[0] = '\0';
    }
    msg_read_properties(m->root, m);
    m->form = headers && json_has(headers, "task") ? MSG_CELERY_2 : MSG_CELERY_1;
    if (m->form == MSG_CELERY_2) {
        return parse_celery_2(headers, m, e);
    }
    if (!msg_decode_body(m, headers, e)) {
        return false;
    }
    if (!cJSON_IsObject(m->body)) {
        return msg_refuse(e, "ValueError", "task", "the task's name, it is missing");
    }
    return read_id(m->body, m, e) && read_rest(m->body, m, e);
}

enum msg_verdict msg_parse(const char *bytes, size_t len, struct msg *m, struct err *e)
{
    bool ok;

    *m = (struct msg){.eta_us = MSG_NO_TIME,
                      .expires_us = MSG_NO_TIME,
                      .sent_us = MSG_NO_TIME,
                      .countdown_ms = -1,
                      .expires_in_ms = -1,
                      .slot_unix_s = -1,
                      .group_index = -1};
    if (len > MSG_BYTES_MAX) {
        err_set(e, ERR_PERMANENT, "ValueError", "longer than %zu bytes", (size_t)MSG_BYTES_MAX);
        return MSG_UNREADABLE;
    }
    m->root = json_parse(bytes, len, e);
    if (!m->root) {
        return MSG_UNREADABLE;
    }
    if (!cJSON_IsObject(m->root)) {
        err_set(e, ERR_PERMANENT, "ValueError", "not a JSON object");
        return MSG_UNREADABLE;
    }
    ok = cJSON_GetObjectItemCaseSensitive(m->root, "body") ||
                 cJSON_GetObjectItemCaseSensitive(m->root, "headers")
             ? parse_celery(m, e)
             : parse_plain(m, e);
    if (ok) {
        return MSG_OK;
    }
    return m->id[0] ? MSG_REFUSED : MSG_UNREADABLE;
}

void msg_fini(struct msg *m)
{
    cJSON_Delete(m->root);
    cJSON_Delete(m->body);
    *m = (struct msg){0};
}
