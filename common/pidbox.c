#include "common/pidbox.h"

#include <stdio.h>
#include <string.h>

#include "common/keys.h"
#include "common/lamport.h"
#include "common/text.h"

void pidbox_channel(char out[PIDBOX_CHANNEL_SIZE], int db)
{
    snprintf(out, PIDBOX_CHANNEL_SIZE, "/%d.celery.pidbox", db);
}

bool pidbox_list(char out[PIDBOX_LIST_SIZE], const char *routing_key)
{
    int n = snprintf(out, PIDBOX_LIST_SIZE, "%s." PIDBOX_REPLY_EXCHANGE, routing_key);

    return n > 0 && (size_t)n < PIDBOX_LIST_SIZE;
}

/* Routing key, pattern, queue, as kombu binds them. */
bool pidbox_member(char out[PIDBOX_MEMBER_SIZE], const char *routing_key)
{
    int n = snprintf(out, PIDBOX_MEMBER_SIZE,
                     "%s" KEY_PRIORITY_SEP KEY_PRIORITY_SEP "%s." PIDBOX_REPLY_EXCHANGE,
                     routing_key, routing_key);

    return n > 0 && (size_t)n < PIDBOX_MEMBER_SIZE;
}

/* ---- reading ---- */

static bool fault(struct err *e, const char *what)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "%s", what);
}

/* Absent, null and empty all mean everybody; one name alone is taken as a list of it. */
static bool read_destination(struct pidbox_request *r, const cJSON *body, struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(body, "destination");
    const cJSON *name;

    if (!v || cJSON_IsNull(v)) {
        return true;
    }
    if (cJSON_IsString(v)) {
        r->destination = v->valuestring[0] ? v : NULL;
        return true;
    }
    if (!cJSON_IsArray(v)) {
        return fault(e, "destination: array expected");
    }
    cJSON_ArrayForEach(name, v)
    {
        if (!cJSON_IsString(name)) {
            return fault(e, "destination: names expected");
        }
    }
    r->destination = v->child ? v : NULL;
    return true;
}

static bool read_pattern(struct pidbox_request *r, const cJSON *body, struct err *e)
{
    const char *pattern = json_get_str(body, "pattern");
    const char *matcher = json_get_str(body, "matcher");

    if ((json_has(body, "pattern") && !pattern) || (json_has(body, "matcher") && !matcher)) {
        return fault(e, "pattern, matcher: text expected");
    }
    if (pattern && matcher && pattern[0] && matcher[0]) {
        if (strlen(pattern) > PIDBOX_PATTERN_MAX) {
            return fault(e, "pattern: too long");
        }
        r->pattern = pattern;
        r->matcher = matcher;
    }
    return true;
}

static bool read_reply_to(struct pidbox_request *r, const cJSON *body, struct err *e)
{
    const cJSON *to = cJSON_GetObjectItemCaseSensitive(body, "reply_to");
    const char *exchange = json_get_str(to, "exchange");
    const char *key = json_get_str(to, "routing_key");

    r->ticket = json_get_str(body, "ticket");
    if (r->ticket && strlen(r->ticket) > PIDBOX_TICKET_MAX) {
        return fault(e, "ticket: too long");
    }
    if (!to || cJSON_IsNull(to)) {
        return true;
    }
    if (!exchange || strcmp(exchange, PIDBOX_REPLY_EXCHANGE) != 0) {
        return fault(e, "reply_to: exchange " PIDBOX_REPLY_EXCHANGE " expected");
    }
    if (!key || !key[0] || strlen(key) > PIDBOX_ROUTING_MAX || text_has_control(key, strlen(key))) {
        return fault(e, "reply_to: a routing key of up to 200 bytes expected");
    }
    r->reply_to = key;
    return true;
}

static bool read_body(struct pidbox_request *r, const cJSON *body, struct err *e)
{
    const cJSON *arguments;

    if (!cJSON_IsObject(body)) {
        return fault(e, "body: object expected");
    }
    r->method = json_get_str(body, "method");
    if (!r->method || strlen(r->method) > PIDBOX_METHOD_MAX) {
        return fault(e, "method: a short text expected");
    }
    arguments = cJSON_GetObjectItemCaseSensitive(body, "arguments");
    if (arguments && !cJSON_IsNull(arguments) && !cJSON_IsObject(arguments)) {
        return fault(e, "arguments: object expected");
    }
    r->arguments = cJSON_IsObject(arguments) ? arguments : NULL;
    return read_destination(r, body, e) && read_pattern(r, body, e) && read_reply_to(r, body, e);
}

/* What real workers stumble over is no request for us either: one fleet, one meaning. */
static bool is_complete(const struct envelope *v)
{
    return json_get_str(v->root, "content-type") &&
           json_get_str(json_get_obj(v->root, "properties"), "delivery_tag");
}

bool pidbox_read_request(const char *bytes, size_t len, struct pidbox_request *r, struct err *e)
{
    *r = (struct pidbox_request){0};
    if (!envelope_open(&r->envelope, bytes, len, e)) {
        return false;
    }
    if (!is_complete(&r->envelope)) {
        return fault(e, "no content-type, or no delivery_tag");
    }
    if (!json_get_i64(r->envelope.headers, "clock", 0, LAMPORT_MAX, &r->clock)) {
        r->clock = 0;
    }
    return read_body(r, r->envelope.body, e);
}

void pidbox_request_fini(struct pidbox_request *r)
{
    envelope_fini(&r->envelope);
    *r = (struct pidbox_request){0};
}

/* ---- whom it is for ---- */

/* One character against [seq] or [!seq] at *p; moves *p behind it. A lone "[" means itself. */
static bool glob_set(const char **p, char c)
{
    const char *s = *p + 1;
    bool no = *s == '!', found = false;
    const char *first = s += no;

    while (*s && (*s != ']' || s == first)) {
        s++;
    }
    if (*s == '\0') {
        (*p)++;
        return c == '[';
    }
    for (const char *q = first; q < s; q++) {
        if (q + 2 < s && q[1] == '-') {
            found |=
                (unsigned char)c >= (unsigned char)q[0] && (unsigned char)c <= (unsigned char)q[2];
            q += 2;
        } else {
            found |= c == *q;
        }
    }
    *p = s + 1;
    return found != no;
}

bool pidbox_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL; /* where the last * stands, and what it has eaten */

    while (*text) {
        const char *next = pattern;
        bool fits;

        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        fits = *pattern == '[' ? glob_set(&next, *text) : *pattern == '?' || *pattern == *text;
        if (fits) {
            pattern = *pattern == '[' ? next : pattern + 1;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static bool is_named(const cJSON *destination, const char *node)
{
    const cJSON *name;

    if (cJSON_IsString(destination)) {
        return strcmp(destination->valuestring, node) == 0;
    }
    cJSON_ArrayForEach(name, destination)
    {
        if (strcmp(name->valuestring, node) == 0) {
            return true;
        }
    }
    return false;
}

enum pidbox_address pidbox_address(const struct pidbox_request *r, const char *node)
{
    if (r->destination) {
        return is_named(r->destination, node) ? PIDBOX_OURS : PIDBOX_OTHERS;
    }
    if (!r->pattern) {
        return PIDBOX_OURS;
    }
    if (strcmp(r->matcher, "glob") != 0) {
        return PIDBOX_UNKNOWN_MATCHER;
    }
    return pidbox_glob(r->pattern, node) ? PIDBOX_OURS : PIDBOX_OTHERS;
}

/* ---- writing ---- */

static bool add_text(struct buf *out, const char *text)
{
    return text ? buf_add_json(out, text, strlen(text)) : buf_addstr(out, "null");
}

bool pidbox_write_reply(struct buf *out, const struct pidbox_reply *r)
{
    struct envelope_to to = {
        .exchange = PIDBOX_REPLY_EXCHANGE, .routing_key = r->reply_to, .transient = true};
    struct buf headers, body;
    bool ok;

    buf_init(&headers, ENVELOPE_BYTES_MAX);
    buf_init(&body, ENVELOPE_BYTES_MAX);
    buf_addstr(&headers, "{\"ticket\": ");
    add_text(&headers, r->ticket);
    buf_addf(&headers, ", \"clock\": %" PRId64 "}", r->clock);
    buf_addch(&body, '{');
    add_text(&body, r->node);
    buf_addstr(&body, ": ");
    buf_addstr(&body, r->value);
    buf_addch(&body, '}');
    ok = !headers.failed && !body.failed &&
         envelope_wrap(out, &to, headers.data, body.data, body.len);
    buf_fini(&headers);
    buf_fini(&body);
    return ok;
}

static bool write_ask(struct buf *out, const struct pidbox_ask *a)
{
    buf_addstr(out, "{\"method\": ");
    add_text(out, a->method);
    buf_addf(out, ", \"arguments\": %s, \"destination\": ", a->arguments);
    if (a->destination) {
        buf_addch(out, '[');
        add_text(out, a->destination);
        buf_addch(out, ']');
    } else {
        buf_addstr(out, "null");
    }
    buf_addstr(out, ", \"pattern\": null, \"matcher\": null");
    if (a->reply_to) {
        buf_addstr(out, ", \"ticket\": ");
        add_text(out, a->ticket);
        buf_addstr(out, ", \"reply_to\": {\"exchange\": \"" PIDBOX_REPLY_EXCHANGE
                        "\", \"routing_key\": ");
        add_text(out, a->reply_to);
        buf_addch(out, '}');
    }
    return buf_addch(out, '}');
}

bool pidbox_write_request(struct buf *out, const struct pidbox_ask *a)
{
    struct envelope_to to = {.exchange = "celery.pidbox", .routing_key = ""};
    char headers[64];
    struct buf body;
    bool ok;

    snprintf(headers, sizeof headers, "{\"clock\": %" PRId64 ", \"expires\": 0}", a->clock);
    buf_init(&body, ENVELOPE_BYTES_MAX);
    ok = write_ask(&body, a) && envelope_wrap(out, &to, headers, body.data, body.len);
    buf_fini(&body);
    return ok;
}
