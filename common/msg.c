#include "common/msg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/text.h"

#define RETRIES_MAX 1000
#define SECONDS_MAX (10.0 * 365 * 86400)  /* of countdown, expires and limits */
#define SLOT_MAX    INT64_C(253402300799) /* year 9999 */

static bool refuse(struct err *e, const char *type, const char *field, const char *expected)
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

static bool read_name(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    const char *s = cJSON_GetStringValue(v);

    if (!s || *s == '\0' || strlen(s) >= MSG_NAME_SIZE || text_has_control(s, strlen(s))) {
        return refuse(e, "ValueError", f->name,
                      "a text of 1 to 255 bytes without control characters");
    }
    text_copy(target(f, m), MSG_NAME_SIZE, s);
    return true;
}

static bool read_time(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    const char *s = cJSON_GetStringValue(v);

    if (!s || !clock_parse_iso(s, target(f, m))) {
        return refuse(e, "ValueError", f->name, "an ISO 8601 time as 2025-12-31T21:47:16+00:00");
    }
    return true;
}

static bool read_seconds(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    int64_t *ms = target(f, m);

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= SECONDS_MAX)) {
        return refuse(e, "ValueError", f->name, "seconds, 0 to 315360000");
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
        return refuse(e, "ValueError", f->name, "a whole number, 0 to 1000");
    }
    m->retries = (int)v->valuedouble;
    return true;
}

/* The list it came from has decided already; a wrong one is still worth telling. */
static bool read_priority(const struct field *f, const cJSON *v, UNUSED struct msg *m,
                          struct err *e)
{
    return whole_number(v, 0, 255) || refuse(e, "ValueError", f->name, "a whole number, 0 to 255");
}

static bool read_slot(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!whole_number(v, 0, (double)SLOT_MAX)) {
        return refuse(e, "ValueError", f->name, "seconds since 1970");
    }
    m->slot_unix_s = (int64_t)v->valuedouble;
    return true;
}

static bool read_bool(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    bool *b = target(f, m);

    if (!cJSON_IsBool(v)) {
        return refuse(e, "ValueError", f->name, "true or false");
    }
    *b = cJSON_IsTrue(v);
    return true;
}

static bool read_args(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsArray(v)) {
        return refuse(e, "TypeError", f->name, "an array");
    }
    m->args = v;
    return true;
}

static bool read_kwargs(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    if (!cJSON_IsObject(v)) {
        return refuse(e, "TypeError", f->name, "an object");
    }
    m->kwargs = v;
    return true;
}

/* [hard, soft]; the soft limit is a request to the task and has no meaning here. */
static bool read_limits(const struct field *f, const cJSON *v, struct msg *m, struct err *e)
{
    const cJSON *hard = cJSON_GetArrayItem(v, 0);

    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2) {
        return refuse(e, "ValueError", f->name, "[hard seconds, soft seconds]");
    }
    if (cJSON_IsNull(hard)) {
        return true;
    }
    if (!cJSON_IsNumber(hard) || !(hard->valuedouble > 0 && hard->valuedouble <= SECONDS_MAX)) {
        return refuse(e, "ValueError", f->name, "a hard limit above 0 and up to 315360000");
    }
    m->hard_limit_s = (int64_t)ceil(hard->valuedouble);
    return true;
}

/* What comes after the task. Leaving it out silently would lose work, so the message is refused. */
static bool read_workflow(const struct field *f, const cJSON *v, UNUSED struct msg *m,
                          struct err *e)
{
    bool empty = (cJSON_IsArray(v) || cJSON_IsObject(v)) && cJSON_GetArraySize(v) == 0;

    return empty || err_set(e, ERR_PERMANENT, "NotImplementedError",
                            "field \"%s\": chains, chords and callbacks are not supported by this "
                            "worker",
                            f->name);
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
    FIELD("priority", read_priority, retries, IN_PLAIN),
    FIELD("ignore_result", read_bool, ignore_result, IN_ALL),
    FIELD("timelimit", read_limits, hard_limit_s, IN_ALL),
    FIELD("group", read_name, group, IN_ALL),
    FIELD("taskset", read_name, group, IN_1),
    FIELD("parent_id", read_name, parent, IN_ALL),
    FIELD(MSG_SLOT_MEMBER, read_slot, slot_unix_s, IN_ALL),
    FIELD("args", read_args, args, IN_PLAIN | IN_1),
    FIELD("kwargs", read_kwargs, kwargs, IN_PLAIN | IN_1),
    FIELD("callbacks", read_workflow, task, IN_PLAIN | IN_1),
    FIELD("errbacks", read_workflow, task, IN_PLAIN | IN_1),
    FIELD("chain", read_workflow, task, IN_PLAIN | IN_1),
    FIELD("chord", read_workflow, task, IN_PLAIN | IN_1),
};
/* The third element of a protocol 2 body. */
static const struct field EMBED_FIELDS[] = {
    FIELD("callbacks", read_workflow, task, IN_2),
    FIELD("errbacks", read_workflow, task, IN_2),
    FIELD("chain", read_workflow, task, IN_2),
    FIELD("chord", read_workflow, task, IN_2),
};

static bool read_fields(const cJSON *obj, const struct field *fields, size_t n, struct msg *m,
                        struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, fields[i].name);

        if (v && !cJSON_IsNull(v) && (fields[i].forms & (1u << m->form)) != 0 &&
            !fields[i].read(&fields[i], v, m, e)) {
            return false;
        }
    }
    return true;
}

/* ---- the body of an envelope ---- */

static bool inflate_all(const char *in, size_t len, struct buf *out, struct err *e)
{
    z_stream z = {0};
    int rc = Z_OK;

    if (inflateInit2(&z, 15 + 32) != Z_OK) { /* zlib or gzip, by its header */
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory to decompress a body");
    }
    z.next_in = (unsigned char *)(uintptr_t)in; /* zlib does not write there */
    z.avail_in = (unsigned)len;
    while (rc == Z_OK && buf_reserve(out, 16 * KIB)) {
        z.next_out = (unsigned char *)out->data + out->len;
        z.avail_out = 16 * KIB;
        rc = inflate(&z, Z_NO_FLUSH);
        out->len += 16 * KIB - z.avail_out;
    }
    inflateEnd(&z);
    if (out->failed) {
        return err_set(e, ERR_PERMANENT, "ValueError", "the body is longer than %zu bytes",
                       out->max);
    }
    return rc == Z_STREAM_END ||
           err_set(e, ERR_PERMANENT, "ValueError", "the compressed body is damaged");
}

static bool is_one_of(const char *s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(s, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Only JSON in UTF-8, plain or zlib. Pickle could run code; the others nobody has asked for. */
static bool check_content(const cJSON *root, const cJSON *headers, bool *compressed, struct err *e)
{
    static const char *const TYPES[] = {"application/json"};
    static const char *const ENCODINGS[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    static const char *const ZLIB[] = {"application/x-gzip", "zlib", "gzip"};
    const char *type = json_get_str(root, "content-type");
    const char *encoding = json_get_str(root, "content-encoding");
    const char *compression = json_get_str(headers, "compression");

    if (type && !is_one_of(type, TYPES, ARRAY_LEN(TYPES))) {
        return err_set(e, ERR_PERMANENT, "ContentDisallowed",
                       "field \"content-type\": only application/json is accepted, not %.100s",
                       type);
    }
    if (encoding && !is_one_of(encoding, ENCODINGS, ARRAY_LEN(ENCODINGS))) {
        return err_set(e, ERR_PERMANENT, "ContentDisallowed",
                       "field \"content-encoding\": only utf-8 is accepted, not %.100s", encoding);
    }
    if (compression && !is_one_of(compression, ZLIB, ARRAY_LEN(ZLIB))) {
        return err_set(e, ERR_PERMANENT, "ContentDisallowed",
                       "header \"compression\": only zlib is accepted, not %.100s", compression);
    }
    *compressed = compression != NULL;
    return true;
}

static bool decode_text(const cJSON *root, const char *body, struct buf *out, struct err *e)
{
    const char *encoding = json_get_str(json_get_obj(root, "properties"), "body_encoding");

    if (!encoding) {
        return buf_addstr(out, body) ||
               err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a body");
    }
    if (strcasecmp(encoding, "base64") != 0) {
        return refuse(e, "ValueError", "body_encoding", "base64 or null");
    }
    return b64_decode(out, body, strlen(body)) || refuse(e, "ValueError", "body", "valid base64");
}

/* The body's JSON as m->body. */
static bool decode_body(struct msg *m, const cJSON *headers, struct err *e)
{
    const char *body = json_get_str(m->root, "body");
    struct buf text, plain;
    bool compressed = false;
    bool ok = false;

    buf_init(&text, MSG_BYTES_MAX);
    buf_init(&plain, MSG_BYTES_MAX);
    if (!body) {
        refuse(e, "ValueError", "body", "a text");
        goto out;
    }
    if (!check_content(m->root, headers, &compressed, e) || !decode_text(m->root, body, &text, e) ||
        (compressed && !inflate_all(text.data ? text.data : "", text.len, &plain, e))) {
        goto out;
    }
    m->body = compressed ? json_parse(plain.data ? plain.data : "", plain.len, e)
                         : json_parse(text.data ? text.data : "", text.len, e);
    ok = m->body != NULL || err_prefix(e, "field \"body\"");
out:
    buf_fini(&text);
    buf_fini(&plain);
    return ok;
}

/* [args, kwargs, embed] */
static bool read_body_2(struct msg *m, struct err *e)
{
    static const struct field ARGS = {"args", read_args, 0, IN_2};
    static const struct field KWARGS = {"kwargs", read_kwargs, 0, IN_2};
    const cJSON *args = cJSON_GetArrayItem(m->body, 0);
    const cJSON *kwargs = cJSON_GetArrayItem(m->body, 1);
    const cJSON *embed = cJSON_GetArrayItem(m->body, 2);

    if (!cJSON_IsArray(m->body) || cJSON_GetArraySize(m->body) != 3) {
        return refuse(e, "ValueError", "body", "an array [args, kwargs, embed]");
    }
    if ((!cJSON_IsNull(args) && !read_args(&ARGS, args, m, e)) ||
        (!cJSON_IsNull(kwargs) && !read_kwargs(&KWARGS, kwargs, m, e))) {
        return false;
    }
    if (cJSON_IsNull(embed)) {
        return true;
    }
    if (!cJSON_IsObject(embed)) {
        return refuse(e, "ValueError", "embed", "an object");
    }
    return read_fields(embed, EMBED_FIELDS, ARRAY_LEN(EMBED_FIELDS), m, e);
}

/* ---- the whole ---- */

/* The envelope's copy of the id: all there is when the body cannot be read. */
static void read_correlation_id(struct msg *m)
{
    static const struct field F = {"correlation_id", read_name, offsetof(struct msg, id), IN_ALL};
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(json_get_obj(m->root, "properties"), F.name);

    if (v && !read_name(&F, v, m, NULL)) {
        m->id[0] = '\0';
    }
}

/* Without an id nobody can be told anything. */
static bool read_id(const cJSON *obj, struct msg *m, struct err *e)
{
    static const struct field F = {"id", read_name, offsetof(struct msg, id), IN_ALL};
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, F.name);

    if (v && !cJSON_IsNull(v)) {
        return read_name(&F, v, m, e);
    }
    return m->form == MSG_PLAIN || m->id[0] != '\0' ||
           refuse(e, "ValueError", F.name, "a text, it is missing");
}

static bool read_rest(const cJSON *obj, struct msg *m, struct err *e)
{
    if (!read_fields(obj, FIELDS, ARRAY_LEN(FIELDS), m, e)) {
        return false;
    }
    if (m->task[0] == '\0') {
        return refuse(e, "ValueError", "task", "the task's name, it is missing");
    }
    return true;
}

static bool parse_plain(struct msg *m, struct err *e)
{
    m->form = MSG_PLAIN;
    return read_id(m->root, m, e) && read_rest(m->root, m, e);
}

static bool parse_celery(struct msg *m, struct err *e)
{
    const cJSON *headers = json_get_obj(m->root, "headers");

    read_correlation_id(m);
    m->form = headers && json_has(headers, "task") ? MSG_CELERY_2 : MSG_CELERY_1;
    if (m->form == MSG_CELERY_2) {
        return read_id(headers, m, e) && read_rest(headers, m, e) && decode_body(m, headers, e) &&
               read_body_2(m, e);
    }
    if (!decode_body(m, headers, e)) {
        return false;
    }
    if (!cJSON_IsObject(m->body)) {
        return refuse(e, "ValueError", "task", "the task's name, it is missing");
    }
    return read_id(m->body, m, e) && read_rest(m->body, m, e);
}

enum msg_verdict msg_parse(const char *bytes, size_t len, struct msg *m, struct err *e)
{
    bool ok;

    *m = (struct msg){.eta_us = MSG_NO_TIME,
                      .expires_us = MSG_NO_TIME,
                      .countdown_ms = -1,
                      .expires_in_ms = -1,
                      .slot_unix_s = -1};
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
