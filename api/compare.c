/* Two to four characters side by side. */
#include <stdio.h>
#include <string.h>

#include "api/board.h"
#include "api/person.h"
#include "api/route.h"
#include "common/text.h"

#define COMPARE_MAX 4

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

/* Nearly all are whole, and then their digits are quick to find. */
static void add_value(struct buf *b, double v)
{
    if (v == (double)(int64_t)v) { /* 0 to 1e12 */
        buf_addi64(b, (int64_t)v);
    } else {
        buf_addf(b, "%.17g", v);
    }
}

/* ,"stats":{...}: all eight, as the batch reads them; null when it reads none. */
static void add_stats(struct buf *b, const struct person *p)
{
    struct payload_fault fault;
    double stats[STAT_COUNT];

    if (!p->has_detail || detail_read_stats(&p->detail, stats, &fault) != PAYLOAD_STATS) {
        buf_addstr(b, ",\"stats\":null");
        return;
    }
    for (int s = 0; s < STAT_COUNT; s++) {
        buf_addf(b, "%s\"%s\":", s ? "," : ",\"stats\":{", STAT_NAMES[s]);
        add_value(b, stats[s]);
    }
    buf_addch(b, '}');
}

static void answer(const struct request *rq, struct persons *p)
{
    struct buf b;

    for (size_t i = 0; i < p->count; i++) {
        if (!person_must_be_found(rq, &p->at[i])) {
            return;
        }
    }
    buf_init(&b, BODY_MAX);
    buf_addstr(&b, "{\"characters\":[");
    for (size_t i = 0; i < p->count; i++) {
        buf_addstr(&b, i ? "," : "");
        person_add_json(&b, rq, &p->at[i]);
        add_stats(&b, &p->at[i]);
        buf_addch(&b, '}');
    }
    buf_addch(&b, ']');
    board_add_snapshot(&b, rq, rq->loop->image);
    buf_addch(&b, '}');
    reply_buf(rq, &NOT_KEPT, &b);
}

/* "Server:Name", split at the first colon; both as long as a parameter may be. */
static bool split(const struct query_value *v, struct person *out)
{
    const char *colon = strchr(v->text, ':');

    if (!colon) {
        return false;
    }
    out->server_len = (size_t)(colon - v->text);
    out->name_len = v->len - out->server_len - 1;
    if (out->server_len == 0 || out->name_len == 0 ||
        text_utf8_count(v->text, out->server_len) > QUERY_TEXT_CHARS ||
        text_utf8_count(colon + 1, out->name_len) > QUERY_TEXT_CHARS) {
        return false;
    }
    memcpy(out->server, v->text, out->server_len);
    memcpy(out->name, colon + 1, out->name_len);
    return true;
}

void handle_compare(const struct request *rq, const struct query_value *values)
{
    const struct query_value *given[COMPARE_MAX];
    struct persons *p;
    size_t n = 0;

    for (size_t i = 0; i < COMPARE_MAX; i++) {
        if (values[i].given) {
            given[n++] = &values[i];
        }
    }
    p = persons_new(n);
    for (size_t i = 0; i < n; i++) {
        if (!split(given[i], &p->at[i])) {
            const char param[] = {(char)('a' + (given[i] - values)), '\0'};

            reply_problem(rq, 400, param, "A character is given as Server:Name.");
            persons_free(p);
            return;
        }
    }
    persons_find(rq, p, answer);
}
