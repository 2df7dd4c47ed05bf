/* How the score of a character comes about, term by term. */
#include <string.h>

#include "api/board.h"
#include "api/person.h"
#include "api/route.h"
#include "common/power.h"

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

/* All digits that a double has: whoever computes with them gets the same bits. */
static void add_double(struct buf *b, const char *key, double v)
{
    buf_addf(b, ",\"%s\":%.17g", key, v);
}

static void add_term(struct buf *b, enum stat_key s, double value, int64_t average,
                     const struct power *power)
{
    double points = 1000.0 * POWER_WEIGHTS[s] * power->ratio[s];

    buf_addf(b, "{\"stat\":\"%s\"", STAT_NAMES[s]);
    add_double(b, "value", value);
    buf_addf(b, ",\"average\":%" PRId64, average);
    add_double(b, "ratio", power->ratio[s]);
    add_double(b, "weight", POWER_WEIGHTS[s]);
    add_double(b, "points", points);
    buf_addf(b, ",\"share\":%.2f}", power->points > 0 ? points / power->points * 100.0 : 0.0);
}

static void add_terms(struct buf *b, const double stats[STAT_COUNT], const int64_t avg[STAT_COUNT],
                      const struct power *power)
{
    buf_addstr(b, ",\"terms\":[");
    for (int s = 0; s < STAT_COUNT; s++) {
        buf_addstr(b, s ? "," : "");
        add_term(b, (enum stat_key)s, stats[s], avg[s], power);
    }
    buf_addch(b, ']');
}

static const char *why_not_scored(enum payload_kind kind, const struct payload_fault *fault)
{
    switch (kind) {
    case PAYLOAD_BAD:
        return fault->reason;
    case PAYLOAD_PROFILE:
        return "the stats are a profile, which is not scored";
    case PAYLOAD_EMPTY:
    case PAYLOAD_STATS:
        break;
    }
    return "there are no stats";
}

/* What the stats of now come to; of none or faulty ones why there are no terms. */
static void add_sum(struct buf *b, const struct image_stats *server, const struct person *p)
{
    struct payload_fault fault = {.stat = ""};
    double stats[STAT_COUNT];
    struct power power;
    enum payload_kind kind = detail_read_stats(&p->detail, stats, &fault);

    if (kind != PAYLOAD_STATS) {
        const char *why = why_not_scored(kind, &fault);

        buf_addstr(b, ",\"points\":null,\"stats_score\":null,\"stats_newer\":true,\"terms\":[],"
                      "\"fault\":");
        buf_add_json(b, why, strlen(why));
        return;
    }
    power_of(stats, server->average, &power);
    add_double(b, "points", power.points);
    buf_addf(b, ",\"stats_score\":%" PRId64 ",\"stats_newer\":%s", power.score,
             power.score == p->row->power_score ? "false" : "true");
    add_terms(b, stats, server->average, &power);
    buf_addstr(b, ",\"fault\":null");
}

static void render(struct buf *b, const struct request *rq, const struct person *p)
{
    const struct image *img = rq->loop->image;
    const struct image_stats *server = &img->stats[p->row->server];

    buf_addf(b, "{\"id\":%" PRId64 ",\"name\":", p->row->id);
    buf_add_json(b, p->name, p->name_len);
    buf_addstr(b, ",\"server\":");
    buf_add_json(b, p->server, p->server_len);
    buf_addf(b,
             ",\"power_score\":%" PRId64 ",\"power_rank\":\"%.2s\",\"rules_version\":%d"
             ",\"sample_size\":%" PRId64,
             p->row->power_score, p->row->tier, POWER_RULES_VERSION, server->sample_size);
    add_sum(b, server, p);
    board_add_snapshot(b, rq, img);
    buf_addch(b, '}');
}

static void answer(const struct request *rq, struct persons *all)
{
    const struct person *p = &all->at[0];
    struct buf b;

    if (!person_must_be_found(rq, p)) {
        return;
    }
    if (!p->row) {
        reply_problem(rq, 404, NULL, "This character is not on the board.");
        return;
    }
    if (!p->has_detail) {
        reply_unavailable(rq, "The database does not answer, and only it has the stats.");
        return;
    }
    buf_init(&b, BODY_MAX);
    render(&b, rq, p);
    reply_buf(rq, &NOT_KEPT, &b);
}

void handle_explain(const struct request *rq, const struct query_value *values)
{
    struct persons *p = persons_new(1);

    person_set(&p->at[0], &values[0], &values[1]);
    persons_find(rq, p, answer);
}
