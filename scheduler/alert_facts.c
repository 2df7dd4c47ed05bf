#include "scheduler/alert_facts.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/audit.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/letters.h"
#include "common/pg.h"
#include "common/source_gate.h"
#include "common/text.h"

/* An audit that looks between two steps of a failover may be wrong once. */
#define UNBALANCED_FIRES 2
#define PG_PATIENCE_MS   5000

const char *alert_span(int64_t s, char out[32])
{
    if (s < 3600) {
        snprintf(out, 32, "%" PRId64 " min", s / 60);
    } else if (s < 86400) {
        snprintf(out, 32, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    } else {
        snprintf(out, 32, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
    }
    return out;
}

/* ---------------------------------------------------------------------------------- the ranking */

/* A batch that found no characters has left the ranking as it was, and is none the worse for it. */
static const char LAST_SUCCESS[] =
    "SELECT id, floor(extract(epoch FROM finished_at))::bigint FROM batch_runs"
    " WHERE state IN ('success', 'no_data') AND started_at > now() - interval '400 days'"
    " ORDER BY started_at DESC LIMIT 1";

/* The answer, or NULL when there is none in time: a server that hangs must not hold us. */
static PGresult *ask_pg(PGconn *pg, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + PG_PATIENCE_MS, left_ms;
    struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};
    PGresult *r = NULL, *next;

    if (!PQsendQuery(pg, LAST_SUCCESS)) {
        pg_error(pg, NULL, e);
        return NULL;
    }
    while (PQisBusy(pg) && (left_ms = until_ms - clock_mono_ms()) > 0) {
        if (poll(&fd, 1, (int)left_ms) > 0 && !PQconsumeInput(pg)) {
            break;
        }
    }
    if (PQisBusy(pg)) {
        err_set(e, ERR_RETRYABLE, "OperationalError", "no answer");
        return NULL;
    }
    while ((next = PQgetResult(pg)) != NULL) {
        PQclear(r);
        r = next;
    }
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(pg, r, e);
        PQclear(r);
        return NULL;
    }
    return r;
}

static void look_at_runs(struct alert_sight *sight, PGconn *pg)
{
    struct err e;
    PGresult *r = pg ? ask_pg(pg, &e) : NULL;

    if (pg && !r) {
        snprintf(sight->pg_away, sizeof sight->pg_away, "%.*s", (int)sizeof sight->pg_away - 1,
                 e.text);
        return;
    }
    if (r && PQntuples(r) == 1) {
        sight->run_id = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
        sight->success_s = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
    }
    if (r) {
        sight->pg_asked = true;
        sight->pg_away[0] = '\0';
    }
    PQclear(r);
}

void alert_judge_age(const struct alert_sight *sight, const struct alert_limits *limits,
                     int64_t now_s, struct alert_fact *f)
{
    int64_t age_s = now_s - sight->success_s;
    char span[32];

    f->known = sight->success_s > 0; /* before the first batch there is nothing to grow old */
    f->firing = age_s > limits->ranking_age_s;
    f->level = 0;
    snprintf(f->text, sizeof f->text, "the last batch that succeeded ended %s ago%s%s",
             alert_span(age_s, span), sight->pg_away[0] ? "; PostgreSQL: " : "", sight->pg_away);
}

/* --------------------------------------------------------------------------------- dead letters */

static bool newest_letter_of_batch(struct alert_sight *sight, redisContext *c)
{
    struct letter_filter of_batch = {.task = TASK_BATCH};
    struct err e;
    cJSON *doc = letters_list(c, &LETTERS_DEAD, &of_batch, 1, &e);
    const cJSON *letter = cJSON_GetArrayItem(json_get_arr(doc, "letters"), 0);
    const char *reason = json_get_str(letter, "reason");

    sight->letter_s = 0;
    if (json_get_i64(letter, "at", 0, INT64_MAX, &sight->letter_s)) {
        snprintf(sight->letter_text, sizeof sight->letter_text, "%s", reason ? reason : "");
        text_make_utf8(sight->letter_text);
    }
    cJSON_Delete(doc);
    return doc != NULL;
}

/* -1: cannot be told. */
static int64_t ask_number(redisContext *c, const char *command, const char *key, const char *field)
{
    const char *argv[] = {command, key, field};
    struct err e;
    redisReply *r = rds_command_argv(c, field ? 3 : 2, argv, NULL, &e);
    int64_t n = -1;

    if (r && r->type == REDIS_REPLY_INTEGER) {
        n = r->integer;
    } else if (r && r->type == REDIS_REPLY_STRING && !text_to_i64(r->str, 0, INT64_MAX, &n)) {
        n = -1;
    } else if (r && r->type == REDIS_REPLY_NIL) {
        n = 0;
    }
    if (r) {
        freeReplyObject(r);
    }
    return n;
}

/* They are looked through only when there is something new among them, or fewer. */
static bool look_through(struct alert_sight *sight, redisContext *c, int64_t ever, int64_t count)
{
    if (sight->looked && sight->dead_ever == ever && sight->dead_count == count) {
        return true;
    }
    sight->looked = newest_letter_of_batch(sight, c);
    sight->dead_ever = ever;
    sight->dead_count = count;
    return sight->looked;
}

static void look_at_letters(struct alert_sight *sight, redisContext *c,
                            const struct alert_limits *limits, struct alert_fact *batch,
                            struct alert_fact *dead)
{
    int64_t count = ask_number(c, "LLEN", KEY_DEAD, NULL);
    int64_t ever = ask_number(c, "HGET", KEY_COUNTERS, "dead");

    if (count < 0 || ever < 0) {
        return;
    }
    batch->known = look_through(sight, c, ever, count) && sight->pg_asked;
    /* In the same second: rather once too often, the next batch ends it. */
    batch->firing = sight->letter_s > 0 && sight->letter_s >= sight->success_s;
    batch->level = sight->letter_s;
    snprintf(batch->text, sizeof batch->text, "%s", sight->letter_text);
    dead->known = true;
    dead->firing = count > limits->dead_letters;
    dead->level = count;
    snprintf(dead->text, sizeof dead->text, "%" PRId64 " dead letter%s: aion2ctl dead list", count,
             count == 1 ? "" : "s");
}

/* -------------------------------------------------------------------------------- conservation */

static void add_difference(const cJSON *identity, struct alert_fact *f)
{
    const char *name = json_get_str(identity, "name");
    size_t len = strlen(f->text);
    int64_t difference;

    if (name && json_get_i64(identity, "difference", INT64_MIN / 2, INT64_MAX / 2, &difference) &&
        difference != 0 && len < sizeof f->text) {
        snprintf(f->text + len, sizeof f->text - len, "%s%s: %+" PRId64, len ? ", " : "", name,
                 difference);
    }
}

static void look_at_audit(struct alert_sight *sight, redisContext *c, struct alert_fact *f)
{
    struct err e;
    cJSON *doc = audit_run(c, false, &e);
    const cJSON *identity;

    if (!doc) {
        return;
    }
    sight->unbalanced = json_get_bool(doc, "ok", true) ? 0 : sight->unbalanced + 1;
    f->known = sight->unbalanced == 0 || sight->unbalanced >= UNBALANCED_FIRES;
    f->firing = sight->unbalanced >= UNBALANCED_FIRES;
    cJSON_ArrayForEach(identity, json_get_arr(doc, "identities"))
    {
        add_difference(identity, f);
    }
    if (f->text[0] == '\0') {
        snprintf(f->text, sizeof f->text, "messages are held for nobody: aion2ctl audit");
    }
    cJSON_Delete(doc);
}

/* ------------------------------------------------------------------------------------ the source
 */

static void look_at_source(redisContext *c, int64_t now_s, struct alert_fact *f)
{
    int64_t until_ms = ask_number(c, "HGET", KEY_SOURCE, "rest_until_ms");
    int64_t failures = ask_number(c, "HGET", KEY_SOURCE, "failures");
    int64_t left_s = until_ms / 1000 - now_s;

    f->known = until_ms >= 0 && failures >= 0;
    /* A rest that is over and was not followed by a good answer is still the same trouble. */
    f->firing = left_s > 0 || (until_ms > 0 && failures >= GATE_FAILURES_OPEN);
    snprintf(f->text, sizeof f->text,
             "%" PRId64 " failure%s in a row; it is asked again in %" PRId64 " s", failures,
             failures == 1 ? "" : "s", left_s > 0 ? left_s : 0);
}

void alert_recall(struct alert_sight *sight, int64_t success_s)
{
    if (success_s > 0) {
        sight->success_s = success_s;
        sight->pg_asked = true;
    }
}

void alert_look(struct alert_sight *sight, redisContext *redis, PGconn *pg,
                const struct alert_limits *limits, int64_t now_s,
                struct alert_fact facts[ALERT_RULE_COUNT])
{
    memset(facts, 0, sizeof facts[0] * ALERT_RULE_COUNT);
    look_at_runs(sight, pg);
    alert_judge_age(sight, limits, now_s, &facts[ALERT_RANKING_OLD]);
    if (redis) {
        look_at_letters(sight, redis, limits, &facts[ALERT_BATCH_FAILED],
                        &facts[ALERT_DEAD_LETTERS]);
        look_at_audit(sight, redis, &facts[ALERT_CONSERVATION]);
        look_at_source(redis, now_s, &facts[ALERT_SOURCE_RESTS]);
    }
}
