#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "common/msg_parts.h"
#include "common/signature.h"
#include "common/text.h"

#define RETRIES_MAX     1000
#define SECONDS_MAX     (10.0 * 365 * 86400)  /* of countdown, expires and limits */
#define SLOT_MAX        INT64_C(253402300799) /* year 9999 */
#define GROUP_INDEX_MAX 1000000000.0

bool msg_refuse(struct err *e, const char *type, const char *field, const char *expected)
{
    return err_set(e, ERR_PERMANENT, type, "field \"%s\": expected %s", field, expected);
}

/* ---- one reader per kind of field; v is never NULL and never null ---- */

struct field {
    const char *name;
    bool (*read)(const struct field *f, const cJSON *v, struct msg *m, struct err *e);
    size_t offset; /* of what it fills in */
    unsigned forms;
};

#define IN_PLAIN (1u << MSG_PLAIN)
#define IN_1     (1u << MSG_CELERY_1)
#define IN_2     (1u << MSG_CELERY_2)
#define IN_ALL   (IN_PLAIN | IN_1 | IN_2)

static void *target(const struct field *f, struct msg *m)
{
    return (char *)m + f->offset;
}

static bool copy_name(const char *field, const cJSON *v, char *out, struct err *e)
{
    const char *s = cJSON_GetStringValue(v);

    if (!s || *s == '\0' || strlen(s) >= MSG_NAME_SIZE || text_has_control(s, strlen(s))) {
        return msg_refuse(e, "ValueError", field,
                          "a text of 1 to 255 bytes without control characters");
    }
    return text_copy(out, MSG_NAME_SIZE, s);
}

static bool read_name(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    return copy_name(f->name, v, target(f, m), e);
}

/* For people only: whatever is no text is as good as missing. */
static bool read_remark(const struct field *f, const cJSON *v, struct msg *m, UNUSED struct err *e)
{
    const char **out = target(f, m);

    *out = cJSON_GetStringValue(v);
    return true;
}

static bool read_time(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    const char *s = cJSON_GetStringValue(v);

    if (!s || !clock_parse_iso(s, target(f, m))) {
        return msg_refuse(e, "ValueError", f->name,
                          "an ISO 8601 time as 2025-12-31T21:47:16+00:00");
    }
    return true;
}

static bool read_seconds(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    int64_t *ms = target(f, m);

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= SECONDS_MAX)) {
        return msg_refuse(e, "ValueError", f->name, "seconds, 0 to 315360000");
    }
    *ms = (int64_t)(v->valuedouble * 1000);
    return true;
}

static bool read_expires(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    struct field seconds = *f;

    if (!cJSON_IsNumber(v)) {
        return read_time(f, v, m, e);
    }
    seconds.offset = offsetof(struct msg, expires_in_ms);
    return read_seconds(&seconds, v, m, e);
}

static bool whole_number(const cJSON *v, double min, double max)
{
    return cJSON_IsNumber(v) && v->valuedouble >= min && v->valuedouble <= max &&
           v->valuedouble == floor(v->valuedouble);
}

static bool read_retries(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!whole_number(v, 0, RETRIES_MAX)) {
        return msg_refuse(e, "ValueError", f->name, "a whole number, 0 to 1000");
    }
    m->retries = (int)v->valuedouble;
    return true;
}

/* The list it came from has decided already; a wrong one is still worth telling. */
static bool read_priority(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!whole_number(v, 0, 255)) {
        return msg_refuse(e, "ValueError", f->name, "a whole number, 0 to 255");
    }
    m->priority = (int)v->valuedouble;
    return true;
}

static bool read_group_index(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!whole_number(v, 0, GROUP_INDEX_MAX)) {
        return msg_refuse(e, "ValueError", f->name, "a whole number, 0 to 1000000000");
    }
    m->group_index = (int64_t)v->valuedouble;
    return true;
}

static bool read_slot(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!whole_number(v, 0, (double)SLOT_MAX)) {
        return msg_refuse(e, "ValueError", f->name, "seconds since 1970");
    }
    m->slot_unix_s = (int64_t)v->valuedouble;
    return true;
}

/* For figures only: a strange one is as good as none. */
static bool read_sent(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    (void)f;
    (void)e;
    if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < (double)SLOT_MAX) {
        m->sent_us = (int64_t)(v->valuedouble * 1e6);
    }
    return true;
}

static bool read_bool(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    bool *b = target(f, m);

    if (!cJSON_IsBool(v)) {
        return msg_refuse(e, "ValueError", f->name, "true or false");
    }
    *b = cJSON_IsTrue(v);
    return true;
}

bool msg_read_args(const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsArray(v)) {
        return msg_refuse(e, "TypeError", "args", "an array");
    }
    m->args = v;
    return true;
}

bool msg_read_kwargs(const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsObject(v)) {
        return msg_refuse(e, "TypeError", "kwargs", "an object");
    }
    m->kwargs = v;
    return true;
}

static bool read_args(UNUSED const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    return msg_read_args(v, m, e);
}

static bool read_kwargs(UNUSED const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    return msg_read_kwargs(v, m, e);
}

static bool read_limit(const cJSON *v, int64_t *out, struct err *e)
{
    if (!v || cJSON_IsNull(v)) {
        return true;
    }
    if (!cJSON_IsNumber(v) || !(v->valuedouble > 0 && v->valuedouble <= SECONDS_MAX)) {
        return msg_refuse(e, "ValueError", "timelimit", "limits above 0 and up to 315360000");
    }
    *out = (int64_t)ceil(v->valuedouble);
    return true;
}

/* [hard, soft] */
static bool read_limits(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2) {
        return msg_refuse(e, "ValueError", f->name, "[hard seconds, soft seconds]");
    }
    return read_limit(cJSON_GetArrayItem(v, 0), &m->hard_limit_s, e) &&
           read_limit(cJSON_GetArrayItem(v, 1), &m->soft_limit_s, e);
}

/* What comes after the task. It is checked now: found out after the task has run, an error there
 * would make the work worthless. */
static bool read_links(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    const cJSON **out = target(f, m);

    if (!cJSON_IsArray(v)) {
        return msg_refuse(e, "ValueError", f->name, "an array of signatures");
    }
    if (!signature_check_list(v, e)) {
        return err_prefix(e, f->name);
    }
    *out = v->child ? v : NULL;
    return true;
}

static bool read_chord(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsObject(v)) {
        return msg_refuse(e, "ValueError", f->name, "a signature");
    }
    if (v->child && !signature_check(v, e)) {
        return err_prefix(e, f->name);
    }
    m->chord = v->child ? v : NULL;
    return true;
}

#define FIELD(name, read, member, forms)                                                           \
    {                                                                                              \
        name, read, offsetof(struct msg, member), forms                                            \
    }
static const struct field FIELDS[] = {
    FIELD("task", read_name, task, IN_ALL),
    FIELD("retries", read_retries, retries, IN_ALL),
    FIELD("eta", read_time, eta_us, IN_ALL),
    FIELD("countdown", read_seconds, countdown_ms, IN_PLAIN),
    FIELD("expires", read_expires, expires_us, IN_PLAIN),
    FIELD("expires", read_time, expires_us, IN_1 | IN_2),
    FIELD("priority", read_priority, priority, IN_PLAIN),
    FIELD("ignore_result", read_bool, ignore_result, IN_ALL),
    FIELD("timelimit", read_limits, hard_limit_s, IN_ALL),
    FIELD("group", read_name, group, IN_ALL),
    FIELD("taskset", read_name, group, IN_1),
    FIELD("group_index", read_group_index, group_index, IN_ALL),
    FIELD("parent_id", read_name, parent, IN_ALL),
    FIELD("root_id", read_name, root_id, IN_ALL),
    FIELD("origin", read_remark, origin, IN_ALL),
    FIELD("shadow", read_remark, shadow, IN_ALL),
    FIELD("argsrepr", read_remark, argsrepr, IN_2),
    FIELD("kwargsrepr", read_remark, kwargsrepr, IN_2),
    FIELD(MSG_SLOT_MEMBER, read_slot, slot_unix_s, IN_ALL),
    FIELD(MSG_SENT_MEMBER, read_sent, sent_us, IN_ALL),
    FIELD("args", read_args, args, IN_PLAIN | IN_1),
    FIELD("kwargs", read_kwargs, kwargs, IN_PLAIN | IN_1),
    FIELD("callbacks", read_links, callbacks, IN_PLAIN | IN_1),
    FIELD("errbacks", read_links, errbacks, IN_PLAIN | IN_1),
    FIELD("chain", read_links, chain, IN_PLAIN | IN_1),
    FIELD("chord", read_chord, chord, IN_PLAIN | IN_1),
};
static const struct field EMBED_FIELDS[] = {
    FIELD("callbacks", read_links, callbacks, IN_2),
    FIELD("errbacks", read_links, errbacks, IN_2),
    FIELD("chain", read_links, chain, IN_2),
    FIELD("chord", read_chord, chord, IN_2),
};

struct fields {
    const struct field *fields;
    size_t n;
};

static const struct field *find_field(const struct fields *t, const char *name, enum msg_form form)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->fields[i].name[0] == name[0] && (t->fields[i].forms & (1u << form)) != 0 &&
            strcmp(t->fields[i].name, name) == 0) {
            return &t->fields[i];
        }
    }
    return NULL;
}

/* Of two members with one name every JSON reader takes another: such a message means nothing. After
 * the first error the others are read still: who is to be told of it stands there. */
static bool read_fields(const cJSON *obj, const struct fields *t, struct msg *m, struct err *e)
{
    struct err later;
    uint64_t seen = 0;
    bool ok = true;
    const cJSON *v;

    cJSON_ArrayForEach(v, obj)
    {
        const struct field *f = find_field(t, v->string, m->form);
        uint64_t bit = f ? UINT64_C(1) << (f - t->fields) : 0;

        if ((seen & bit) != 0) {
            ok = msg_refuse(ok ? e : &later, "ValueError", f->name, "one of it, there are two");
        } else if (f && !cJSON_IsNull(v) && !f->read(f, v, m, ok ? e : &later)) {
            ok = false;
        }
        seen |= bit;
    }
    return ok;
}

bool msg_read_fields(const cJSON *obj, struct msg *m, struct err *e)
{
    static const struct fields T = {FIELDS, ARRAY_LEN(FIELDS)};

    return read_fields(obj, &T, m, e);
}

bool msg_read_embed(const cJSON *embed, struct msg *m, struct err *e)
{
    static const struct fields T = {EMBED_FIELDS, ARRAY_LEN(EMBED_FIELDS)};

    if (!embed || cJSON_IsNull(embed)) {
        return true;
    }
    if (!cJSON_IsObject(embed)) {
        return msg_refuse(e, "ValueError", "embed", "an object");
    }
    return read_fields(embed, &T, m, e);
}

void msg_read_properties(const cJSON *root, struct msg *m)
{
    const cJSON *p = json_get_obj(root, "properties");
    const cJSON *info = json_get_obj(p, "delivery_info");
    const cJSON *priority = cJSON_GetObjectItemCaseSensitive(p, "priority");

    m->reply_to = json_get_str(p, "reply_to");
    m->delivery_tag = json_get_str(p, "delivery_tag");
    m->exchange = json_get_str(info, "exchange");
    m->routing_key = json_get_str(info, "routing_key");
    if (whole_number(priority, 0, 255)) {
        m->priority = (int)priority->valuedouble;
    }
}

bool msg_read_id(const cJSON *obj, const char *member, struct msg *m, struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, member);

    return !v || cJSON_IsNull(v) || copy_name(member, v, m->id, e);
}
