/*
 * A flight: one look at the stored row, one at the source, and what is stored then, for everybody
 * who waits for the same character meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/searcher_parts.h"
#include "common/clock.h"
#include "common/host.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/realm.h"
#include "common/sheet_task.h"
#include "common/text.h"

#define COLUMNS DETAIL_COLUMNS(DETAIL_STATS_SHOWN)

struct flight {
    TAILQ_ENTRY(flight) next;
    struct searcher *s;
    char server[SOURCE_TEXT_SIZE]; /* canonical, where it is known */
    char name[SOURCE_TEXT_SIZE];
    struct search_jobs jobs;
    bool looked; /* the stored row was looked for */
    bool has_row;
    struct search_row row;
    struct source_person *fetched; /* until it is stored; owned with its texts */
    char reason[CHARACTER_REASON_SIZE];
};

/* ---- who waits ---- */

static void tell(struct flight *f, struct search_job *j, enum search_end end, const char *reason)
{
    TAILQ_REMOVE(&f->jobs, j, next);
    j->flight = NULL;
    if (end == SEARCH_FRESH || end == SEARCH_FETCHED || end == SEARCH_FAILED) {
        memcpy(j->row.server, f->row.server, sizeof j->row.server);
        memcpy(j->row.name, f->row.name, sizeof j->row.name);
        detail_copy(&j->row.detail, &f->row.detail);
    }
    text_copy(j->reason, sizeof j->reason, reason);
    search_job_end(j, end);
}

static void person_free(struct source_person *p)
{
    if (p) {
        free(p->stats_payload);
        free(p->raw_payload);
        free(p);
    }
}

static void flight_free(struct flight *f)
{
    TAILQ_REMOVE(&f->s->flights, f, next);
    detail_fini(&f->row.detail);
    person_free(f->fetched);
    free(f);
}

/* The last use of f. */
static void land(struct flight *f, enum search_end end)
{
    struct search_job *j;

    while ((j = TAILQ_FIRST(&f->jobs))) {
        tell(f, j, end, f->reason);
    }
    flight_free(f);
}

void flight_crash(struct flight *f)
{
    land(f, SEARCH_NO_DATABASE);
}

void flight_leave(struct search_job *j)
{
    struct flight *f = j->flight;

    if (f->looked) {
        tell(f, j, f->has_row ? SEARCH_FAILED : SEARCH_ABSENT, "the source did not answer in time");
    } else {
        tell(f, j, SEARCH_NO_DATABASE, "");
    }
}

/* ---- rows ---- */

/* What is known of it now, for the answers. False: it cannot be held. */
static bool take_row(struct flight *f, const PGresult *r)
{
    struct detail d;

    if (!detail_read(r, 0, &d)) {
        detail_fini(&d);
        return false;
    }
    detail_fini(&f->row.detail);
    f->row.detail = d;
    f->has_row = true;
    text_copy(f->row.server, sizeof f->row.server, PQgetvalue(r, 0, DETAIL_COL_SERVER));
    text_copy(f->row.name, sizeof f->row.name, PQgetvalue(r, 0, DETAIL_COL_NAME));
    return true;
}

/*
 * The row as we have just changed it, for memory, too. What was only read is not for memory: it may
 * have changed since, and where no changes are heard of it would stay for good.
 */
static bool take_changed_row(struct flight *f, const PGresult *r)
{
    bool ok = take_row(f, r);

    if (ok) {
        details_put(
            f->s->details, &f->row.detail,
            details_key(f->row.server, strlen(f->row.server), f->row.name, strlen(f->row.name)));
    }
    return ok;
}

static void query(struct flight *f, const char *sql, int n, const char *const *values,
                  pgpool_done_fn done)
{
    struct err e;

    if (!pgpool_query(f->s->pg, sql, n, values, done, f, &e)) {
        done(f, NULL, &e);
    }
}

static void say_not_stored(const struct flight *f, const struct err *e)
{
    log_warn("search.store", "server=%s name=%s error=%s", LOGQ(f->server), LOGQ(f->name),
             LOGQ(e->text));
}

/* ---- the source failed ---- */

static const char MARK_SQL[] = CHARACTER_ROW_MARK_FAILED(COLUMNS);

/* Gone meanwhile, or PostgreSQL is: the row that was there is still what can be told. */
static void on_marked(void *arg, const PGresult *r, const struct err *e)
{
    struct flight *f = arg;

    if (!r) {
        say_not_stored(f, e);
    } else if (PQntuples(r) == 1) {
        (void)take_changed_row(f, r);
    }
    land(f, SEARCH_FAILED);
}

/* Only where the source was asked: while it rests nothing is known that was not known before. */
static bool was_asked(enum source_outcome outcome)
{
    return outcome == SOURCE_NOT_FOUND || outcome == SOURCE_UNAVAILABLE;
}

static void fail(struct flight *f, enum source_outcome outcome, const char *reason)
{
    const char *values[CHARACTER_ROW_FAILED_PARAMS] = {f->row.server, f->row.name, f->reason};

    character_row_reason(reason, f->reason);
    log_info("search.failed", "server=%s name=%s outcome=%s reason=%s", LOGQ(f->server),
             LOGQ(f->name), source_outcome_name(outcome), LOGQ(f->reason));
    if (!f->has_row) {
        land(f, SEARCH_ABSENT);
    } else if (was_asked(outcome)) {
        query(f, MARK_SQL, CHARACTER_ROW_FAILED_PARAMS, values, on_marked);
    } else {
        land(f, SEARCH_FAILED);
    }
}

/* ---- the source told ---- */

static const char UPSERT_SQL[] = CHARACTER_ROW_UPSERT(COLUMNS);
static const char RENAME_SQL[] =
    "UPDATE characters SET server = $1 WHERE server = $2 AND name = $3 AND NOT EXISTS "
    "(SELECT FROM characters WHERE server = $1 AND name = $3) RETURNING id";

static void on_pushed(UNUSED void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    if (!r) {
        log_warn("search.sheet", "error=\"Redis is away: nobody is asked to read the equipment\"");
    }
}

/* A profile is on no board: the rest is read by a task. */
static void ask_for_sheet(const struct flight *f)
{
    char origin[HOST_ORIGIN_SIZE];
    const struct sheet_task t = {.server = f->row.server,
                                 .name = f->row.name,
                                 .queue = f->s->settings->task_queue,
                                 .origin = host_origin(origin),
                                 .priority = SHEET_TASK_PRIORITY_PERSON,
                                 .now_us = clock_wall_us()};
    struct command c;

    sheet_task_push(&c, &t);
    rdsa_script(f->s->redis, &c, on_pushed, NULL, 0);
    command_fini(&c);
}

static void on_stored(void *arg, const PGresult *r, const struct err *e)
{
    struct flight *f = arg;
    bool sheet_wanted = strcmp(f->fetched->mode, SOURCE_MODE_PROFILE) == 0;

    if (!r || PQntuples(r) != 1 || !take_changed_row(f, r)) {
        struct err odd;

        err_set(&odd, ERR_PERMANENT, "ValueError", "the stored row cannot be read");
        say_not_stored(f, r ? &odd : e);
        land(f, SEARCH_NO_DATABASE);
        return;
    }
    if (sheet_wanted && !f->s->stopping) {
        ask_for_sheet(f);
    }
    land(f, SEARCH_FETCHED);
}

static void store(struct flight *f)
{
    struct character_row row;
    struct err e;

    if (character_row_fill(&row, f->fetched, &e)) {
        query(f, UPSERT_SQL, CHARACTER_ROW_PARAMS, row.values, on_stored);
    } else {
        fail(f, SOURCE_UNAVAILABLE, e.text);
    }
}

static void on_renamed(void *arg, const PGresult *r, const struct err *e)
{
    struct flight *f = arg;

    if (r) {
        store(f);
    } else {
        say_not_stored(f, e);
        land(f, SEARCH_NO_DATABASE);
    }
}

/* Whoever stored it under another name of its server stored the same character. */
static void store_in_its_place(struct flight *f)
{
    const char *values[] = {f->fetched->server, f->row.server, f->fetched->name};

    if (f->has_row && strcmp(f->row.server, f->fetched->server) != 0) {
        query(f, RENAME_SQL, ARRAY_LEN(values), values, on_renamed);
    } else {
        store(f);
    }
}

static struct source_person *person_copy(const struct source_person *p)
{
    struct source_person *copy = mem_alloc(sizeof *copy);

    *copy = *p;
    copy->stats_payload = mem_strdup(p->stats_payload);
    copy->raw_payload = p->raw_payload ? mem_strdup(p->raw_payload) : NULL;
    return copy;
}

static void on_source(void *ctx, const struct source_reply *reply)
{
    struct flight *f = ctx;

    if (reply->outcome == SOURCE_FOUND) {
        f->fetched = person_copy(reply->person);
        store_in_its_place(f);
    } else {
        fail(f, reply->outcome, reply->reason);
    }
}

static void ask_source(struct flight *f)
{
    struct err e;

    if (!source_lookup(f->s->source, f->server, f->name, on_source, f, &e)) {
        fail(f, SOURCE_CROWDED, "too many searches wait already");
    }
}

/* ---- what is stored ---- */

/*
 * $1 server, $2 name, $3 to $5 other names of the server or NULL, $6 the cooldown. A time that is
 * still to come (a clock was set back) says nothing.
 */
static const char FIND_SQL[] =
    "SELECT " COLUMNS ", c.last_fetched_at > clock_timestamp() - make_interval(secs => $6) "
    "AND c.last_fetched_at <= clock_timestamp() "
    "FROM characters AS c WHERE c.name = $2 AND c.server = ANY (ARRAY[$1, $3, $4, $5]) "
    "ORDER BY c.server = $1 DESC LIMIT 1";
#define COL_FRESH   DETAIL_COLUMN_COUNT
#define FIND_PARAMS 6

static const char SERVER_SQL[] = "SELECT EXISTS (SELECT FROM characters WHERE server = $1)";

static void on_server(void *arg, const PGresult *r, UNUSED const struct err *e)
{
    struct flight *f = arg;

    if (!r) {
        land(f, SEARCH_NO_DATABASE);
    } else if (PQgetvalue(r, 0, 0)[0] == 't') {
        ask_source(f);
    } else {
        land(f, SEARCH_NO_SERVER);
    }
}

/* A made-up source knows every server; only those that are there are made up characters for. */
static void check_server(struct flight *f)
{
    const struct source_settings *source = &f->s->settings->source;
    const char *values[] = {f->server};

    if (realm_find(source->region, f->server) || board_is_default_server(f->server) ||
        (f->has_row && source_server_name(source, f->server))) {
        ask_source(f);
    } else if (f->has_row) {
        fail(f, SOURCE_CROWDED, "the source has no server of that name");
    } else if (source_server_name(source, f->server) && strcmp(f->server, "all") != 0) {
        query(f, SERVER_SQL, 1, values, on_server);
    } else {
        land(f, SEARCH_NO_SERVER);
    }
}

static void on_found(void *arg, const PGresult *r, UNUSED const struct err *e)
{
    struct flight *f = arg;

    if (!r || (PQntuples(r) == 1 && !take_row(f, r))) {
        land(f, SEARCH_NO_DATABASE);
        return;
    }
    f->looked = true;
    if (f->has_row && PQgetvalue(r, 0, COL_FRESH)[0] == 't') {
        land(f, SEARCH_FRESH);
    } else {
        check_server(f);
    }
}

static void find_row(struct flight *f)
{
    const char *names[REALM_SPELLINGS_MAX], *values[FIND_PARAMS] = {f->server, f->name};
    int n = realm_spellings(f->s->settings->source.region, f->server, names);
    char cooldown[24];

    _Static_assert(REALM_SPELLINGS_MAX == 4, "$3 to $5 are the names after the first");
    for (int i = 1; i < n; i++) {
        values[1 + i] = names[i];
    }
    snprintf(cooldown, sizeof cooldown, "%" PRId64, f->s->settings->fetch_cooldown_s);
    values[FIND_PARAMS - 1] = cooldown;
    query(f, FIND_SQL, FIND_PARAMS, values, on_found);
}

static struct flight *find_flight(const struct searcher *s, const char *server, const char *name)
{
    struct flight *f;

    TAILQ_FOREACH(f, &s->flights, next)
    {
        if (strcmp(f->server, server) == 0 && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

void flight_board(struct searcher *s, struct search_job *j)
{
    const struct realm *realm = realm_find(s->settings->source.region, j->server);
    const char *server = realm ? realm->name : j->server;
    struct flight *f = find_flight(s, server, j->name);
    bool is_new = !f;

    if (is_new) {
        f = mem_alloc(sizeof *f);
        f->s = s;
        TAILQ_INIT(&f->jobs);
        text_copy(f->server, sizeof f->server, server);
        text_copy(f->name, sizeof f->name, j->name);
        TAILQ_INSERT_TAIL(&s->flights, f, next);
    }
    j->flight = f;
    TAILQ_INSERT_TAIL(&f->jobs, j, next);
    if (is_new) {
        find_row(f);
    }
}
