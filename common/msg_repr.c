#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "common/text.h"

/* Python's repr() of JSON values, for people: bounded, so nothing here can be large or slow. */

#define REPR_BYTES_MAX (MSG_REPR_SIZE - 4)

struct repr {
    char *out;
    size_t len;
    bool full; /* the rest is left out */
};

static void add(struct repr *r, const char *s, size_t len)
{
    if (r->full || r->len + len > REPR_BYTES_MAX) {
        r->full = true;
        return;
    }
    memcpy(r->out + r->len, s, len);
    r->len += len;
}

static void add_text(struct repr *r, const char *s)
{
    add(r, s, strlen(s));
}

/* The shortest digits that read back as the same number; a whole number as such. */
static void add_number(struct repr *r, double v)
{
    char text[40];
    int digits = 15;

    if (v == floor(v) && fabs(v) < 1e16) {
        snprintf(text, sizeof text, "%.0f", v);
        add_text(r, text);
        return;
    }
    do {
        snprintf(text, sizeof text, "%.*g", digits, v);
    } while (strtod(text, NULL) != v && ++digits <= 17);
    add_text(r, text);
}

/* Bytes of the UTF-8 sequence that begins with c. */
static size_t sequence_len(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void add_escaped(struct repr *r, unsigned char c)
{
    char text[8];

    snprintf(text, sizeof text,
             c == '\n'   ? "\\n"
             : c == '\r' ? "\\r"
             : c == '\t' ? "\\t"
                         : "\\x%02x",
             c);
    add_text(r, text);
}

/* Single quotes, unless only single ones are inside. */
static void add_string(struct repr *r, const char *s)
{
    char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';

    add(r, &quote, 1);
    for (size_t n; *s && !r->full; s += n) {
        unsigned char c = (unsigned char)*s;

        n = sequence_len(c);
        if (c == '\\' || c == (unsigned char)quote) {
            add(r, "\\", 1);
        }
        if (c < 0x20 || c == 0x7f) {
            add_escaped(r, c);
        } else {
            add(r, s, n);
        }
    }
    add(r, &quote, 1);
}

static void add_value(struct repr *r, const cJSON *v);

static void add_members(struct repr *r, const cJSON *v)
{
    for (const cJSON *i = v->child; i && !r->full; i = i->next) {
        if (cJSON_IsObject(v)) {
            add_string(r, i->string);
            add_text(r, ": ");
        }
        add_value(r, i);
        if (i->next) {
            add_text(r, ", ");
        }
    }
}

/* The depth of a parsed JSON value is bounded (JSON_DEPTH_MAX). */
static void add_value(struct repr *r, const cJSON *v)
{
    if (cJSON_IsString(v)) {
        add_string(r, v->valuestring);
    } else if (cJSON_IsRaw(v)) {
        add_text(r, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        add_number(r, v->valuedouble);
    } else if (cJSON_IsBool(v)) {
        add_text(r, cJSON_IsTrue(v) ? "True" : "False");
    } else if (cJSON_IsArray(v)) {
        add_text(r, "[");
        add_members(r, v);
        add_text(r, "]");
    } else if (cJSON_IsObject(v)) {
        add_text(r, "{");
        add_members(r, v);
        add_text(r, "}");
    } else {
        add_text(r, "None");
    }
}

static const char *end(struct repr *r)
{
    memcpy(r->out + r->len, r->full ? "..." : "", r->full ? 4 : 1);
    return r->out;
}

/* JSON that is kept as text, read for once; NULL: v is none of that kind. */
static cJSON *read_raw(const cJSON *v)
{
    return cJSON_IsRaw(v) ? cJSON_Parse(v->valuestring) : NULL;
}

const char *msg_repr_value(const cJSON *v, char out[MSG_REPR_SIZE])
{
    struct repr r = {.out = out};
    cJSON *read = read_raw(v);

    add_value(&r, read ? read : v);
    cJSON_Delete(read);
    return end(&r);
}

/* A tuple; that of one element has a comma. */
const char *msg_repr_args(const cJSON *args, char out[MSG_REPR_SIZE])
{
    struct repr r = {.out = out};
    cJSON *read = read_raw(args);

    args = read ? read : args;
    add_text(&r, "(");
    if (args) {
        add_members(&r, args);
    }
    add_text(&r, args && args->child && !args->child->next ? ",)" : ")");
    cJSON_Delete(read);
    return end(&r);
}

static const char *clip(const char *text, char out[MSG_REPR_SIZE])
{
    struct repr r = {.out = out};
    size_t len = strlen(text);

    if (len > REPR_BYTES_MAX) {
        r.full = true;
        len = REPR_BYTES_MAX;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--; /* not in the middle of a character */
        }
    }
    memcpy(out, text, len);
    r.len = len;
    return end(&r);
}

const char *msg_args_repr(const struct msg *m, char out[MSG_REPR_SIZE])
{
    return m->argsrepr ? clip(m->argsrepr, out) : msg_repr_args(m->args, out);
}

const char *msg_kwargs_repr(const struct msg *m, char out[MSG_REPR_SIZE])
{
    static const cJSON EMPTY = {.type = cJSON_Object};

    return m->kwargsrepr ? clip(m->kwargsrepr, out)
                         : msg_repr_value(m->kwargs ? m->kwargs : &EMPTY, out);
}
