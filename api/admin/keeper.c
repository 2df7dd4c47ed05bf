#include "api/admin/keeper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/changes.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"
#include "common/tokens.h"

#define PG_TIMEOUT_MS 4000 /* longer than a statement may take there: it says nothing */

struct known {
    int64_t id; /* 0: ADMIN_TOKEN */
    char name[4 * TOKEN_NAME_MAX + 1];
    enum token_scope scope;
    unsigned char hash[TOKEN_HASH_SIZE];
    int64_t expires_us; /* 0: never */
    bool used;          /* since this was last written down */
};

struct list {
    struct known *at; /* owned */
    int count;
};

struct refusal {
    struct refusal *next;
    struct admin_who who;
    char action[64];
    char target[300];
    char key[129];
    char detail[300];
    int status;
};

struct keeper {
    const struct api_settings *settings;
    pthread_t thread;
    PGconn *pg; /* of the thread */
    bool said;  /* that PostgreSQL cannot be asked */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock: */
    bool stopping;
    struct list tokens;
    struct refusal *first, **end;
    int waiting;
    int64_t unnoted; /* refusals that were not written */
    double allowance;
    int64_t allowed_ms;
};

/* ---- tokens ---- */

static bool is_alive(const struct known *t)
{
    return t->expires_us == 0 || clock_wall_us() < t->expires_us;
}

bool keeper_has_tokens(struct keeper *k)
{
    bool any = false;

    pthread_mutex_lock(&k->lock);
    for (int i = 0; i < k->tokens.count && !any; i++) {
        any = is_alive(&k->tokens.at[i]);
    }
    pthread_mutex_unlock(&k->lock);
    return any;
}

static void describe(const struct known *t, struct admin_who *who)
{
    if (t->id == 0) {
        text_copy(who->name, sizeof who->name, "env");
    } else {
        snprintf(who->name, sizeof who->name, "token:%.90s#%" PRId64, t->name, t->id);
        text_make_utf8(who->name);
    }
    who->scope = t->scope;
}

enum keeper_answer keeper_find(struct keeper *k, const char *token, struct admin_who *who)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    struct known *found = NULL;
    enum keeper_answer answer = KEEPER_UNKNOWN;

    token_hash(token, strlen(token), hash);
    pthread_mutex_lock(&k->lock);
    /* All of them, always: the time tells nothing. */
    for (int i = 0; i < k->tokens.count; i++) {
        if (token_hash_equal(hash, k->tokens.at[i].hash)) {
            found = &k->tokens.at[i];
        }
    }
    if (found) {
        describe(found, who);
        answer = is_alive(found) ? KEEPER_KNOWN : KEEPER_EXPIRED;
        found->used = found->used || answer == KEEPER_KNOWN;
    }
    pthread_mutex_unlock(&k->lock);
    return answer;
}

static void add_own(struct keeper *k, struct list *list)
{
    const char *token = k->settings->admin_token;

    if (*token) {
        struct known *t = &list->at[list->count++];

        t->scope = TOKEN_ADMIN;
        token_hash(token, strlen(token), t->hash);
    }
}

static bool add_row(struct list *list, const PGresult *r, int row)
{
    struct known *t = &list->at[list->count];

    t->id = strtoll(PQgetvalue(r, row, 0), NULL, 10);
    text_copy(t->name, sizeof t->name, PQgetvalue(r, row, 1));
    t->expires_us = strtoll(PQgetvalue(r, row, 4), NULL, 10);
    if (!token_scope_parse(PQgetvalue(r, row, 2), &t->scope) ||
        !token_hash_parse(PQgetvalue(r, row, 3), t->hash)) {
        return false;
    }
    list->count++;
    return true;
}

/* Expired ones are read too, for a day: their users are told so. */
static const char TOKENS_SQL[] =
    "SELECT id, name, scope, token_hash, (extract(epoch FROM expires_at) * 1000000)::bigint"
    " FROM admin_tokens WHERE revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > now() - interval '1 day')"
    " ORDER BY expires_at <= now(), id LIMIT $1::int";

static bool read_tokens(struct keeper *k, struct list *list, struct err *e)
{
    char most[16];
    const char *values[] = {most};
    PGresult *r;

    snprintf(most, sizeof most, "%d", TOKENS_MAX);
    r = pg_exec_params(k->pg, TOKENS_SQL, 1, values, e);
    for (int i = 0; r && i < PQntuples(r); i++) {
        if (!add_row(list, r, i)) {
            log_warn("admin.token_unreadable", "id=%s", PQgetvalue(r, i, 0));
        }
    }
    PQclear(r);
    return r != NULL;
}

static struct list new_list(struct keeper *k)
{
    struct list list = {mem_alloc((TOKENS_MAX + 1) * sizeof(struct known)), 0};

    add_own(k, &list);
    return list;
}

/* The ids of what was used, '{1,2}', and forgets that it was. Under the lock. */
static void take_used(struct keeper *k, struct buf *ids)
{
    buf_addch(ids, '{');
    for (int i = 0; i < k->tokens.count; i++) {
        struct known *t = &k->tokens.at[i];

        if (t->used && t->id > 0) {
            buf_addf(ids, "%s%" PRId64, ids->len > 1 ? "," : "", t->id);
        }
        t->used = false;
    }
    buf_addch(ids, '}');
}

static bool write_used(struct keeper *k, struct err *e)
{
    struct buf ids;
    const char *values[1];
    PGresult *r;
    bool ok = true;

    buf_init(&ids, 64 * KIB);
    pthread_mutex_lock(&k->lock);
    take_used(k, &ids);
    pthread_mutex_unlock(&k->lock);
    if (!ids.failed && ids.len > 2) {
        values[0] = ids.data;
        r = pg_exec_params(k->pg,
                           "UPDATE admin_tokens SET last_used_at = clock_timestamp()"
                           " WHERE id = ANY ($1::bigint[])",
                           1, values, e);
        ok = r != NULL;
        PQclear(r);
    }
    buf_fini(&ids);
    return ok;
}

/* Needs nothing that is written: one that was revoked ends even where nothing can be. */
static bool refresh_tokens(struct keeper *k, struct err *e)
{
    struct list fresh = new_list(k), old;

    if (!read_tokens(k, &fresh, e)) {
        free(fresh.at);
        return false;
    }
    pthread_mutex_lock(&k->lock);
    old = k->tokens;
    k->tokens = fresh;
    pthread_mutex_unlock(&k->lock);
    free(old.at);
    return true;
}

/* ---- refusals ---- */

/* Under the lock. */
static bool may_note(struct keeper *k)
{
    int64_t now_ms = clock_mono_ms();

    k->allowance += (double)(now_ms - k->allowed_ms) * KEEPER_REFUSALS_S / 1000.0;
    k->allowance = k->allowance < KEEPER_REFUSALS_MAX ? k->allowance : KEEPER_REFUSALS_MAX;
    k->allowed_ms = now_ms;
    if (k->allowance < 1 || k->waiting >= KEEPER_REFUSALS_MAX) {
        k->unnoted++;
        return false;
    }
    k->allowance -= 1;
    return true;
}

static struct refusal *new_refusal(const struct keeper_refusal *r)
{
    struct refusal *n = mem_alloc(sizeof *n);

    n->who = *r->who;
    n->status = r->status;
    text_copy(n->action, sizeof n->action, r->action);
    snprintf(n->target, sizeof n->target, "%s %s", r->method, r->path);
    text_copy(n->detail, sizeof n->detail, r->detail);
    text_copy(n->key, sizeof n->key, r->key ? r->key : "");
    /* Cut, perhaps within a character. */
    text_make_utf8(n->target);
    text_make_utf8(n->detail);
    text_make_utf8(n->key);
    return n;
}

bool keeper_note_refusal(struct keeper *k, const struct keeper_refusal *r)
{
    bool noted;

    pthread_mutex_lock(&k->lock);
    noted = may_note(k);
    if (noted) {
        struct refusal *n = new_refusal(r);

        *k->end = n;
        k->end = &n->next;
        k->waiting++;
        pthread_cond_signal(&k->wake);
    }
    pthread_mutex_unlock(&k->lock);
    return noted;
}

static bool write_refusal(struct keeper *k, const struct refusal *r, int64_t unnoted, struct err *e)
{
    char detail[sizeof r->detail + 80];
    const struct change ch = {.principal = r->who.name,
                              .address = r->who.address,
                              .action = r->action,
                              .target = r->target,
                              .key = *r->key ? r->key : NULL,
                              .status = r->status,
                              .detail = detail};

    if (unnoted > 0) {
        snprintf(detail, sizeof detail, "%s (%" PRId64 " refused before it were not noted)",
                 r->detail, unnoted);
    } else {
        snprintf(detail, sizeof detail, "%s", r->detail);
    }
    return changes_add(k->pg, &ch, e) >= 0;
}

static struct refusal *pop_refusal(struct keeper *k, int64_t *unnoted)
{
    struct refusal *r;

    pthread_mutex_lock(&k->lock);
    r = k->first;
    if (r) {
        k->first = r->next;
        k->end = k->first ? k->end : &k->first;
        k->waiting--;
        *unnoted = k->unnoted;
        k->unnoted = 0;
    }
    pthread_mutex_unlock(&k->lock);
    return r;
}

/* What cannot be written because PostgreSQL is away goes into our own log only. */
static bool write_refusals(struct keeper *k, struct err *e)
{
    struct refusal *r;
    int64_t unnoted = 0;
    bool ok = true;

    while ((r = pop_refusal(k, &unnoted)) != NULL) {
        ok = ok && write_refusal(k, r, unnoted, e);
        free(r);
    }
    return ok;
}

/* ---- the thread ---- */

static bool ensure_pg(struct keeper *k, struct err *e)
{
    if (k->pg && PQstatus(k->pg) == CONNECTION_OK) {
        return true;
    }
    PQfinish(k->pg);
    k->pg = pg_connect(k->settings->database_url, "aion2-api admin", e);
    return k->pg && pg_run(k->pg, "SET statement_timeout = '3s'; SET lock_timeout = '2s'", e);
}

static void work(struct keeper *k)
{
    struct err e = {0};
    bool ok = ensure_pg(k, &e) && write_used(k, &e);

    /* Each by itself: whatever cannot be written, tokens are read. */
    ok = (PQstatus(k->pg) == CONNECTION_OK && refresh_tokens(k, &e)) && ok;
    ok = (PQstatus(k->pg) == CONNECTION_OK && write_refusals(k, &e)) && ok;

    if (!ok && !k->said) {
        log_warn("admin.tokens", "text=%s", LOGQ(e.text));
    }
    k->said = !ok;
}

/* After a failure whatever waits has to wait for the next round. */
static void wait_for_work(struct keeper *k)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += KEEPER_EVERY_MS / 1000;
    pthread_mutex_lock(&k->lock);
    while (!k->stopping && (k->said || !k->first) &&
           pthread_cond_timedwait(&k->wake, &k->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&k->lock);
}

static bool is_stopping(struct keeper *k)
{
    bool stopping;

    pthread_mutex_lock(&k->lock);
    stopping = k->stopping;
    pthread_mutex_unlock(&k->lock);
    return stopping;
}

static void *run(void *arg)
{
    struct keeper *k = arg;

    pg_patience(PG_TIMEOUT_MS, NULL);
    do {
        work(k);
        wait_for_work(k);
    } while (!is_stopping(k));
    if (!k->said) {
        work(k); /* what was refused last */
    }
    return NULL;
}

struct keeper *keeper_start(const struct api_settings *s)
{
    struct keeper *k = mem_alloc(sizeof *k);
    pthread_condattr_t monotonic;

    k->settings = s;
    k->end = &k->first;
    k->allowance = KEEPER_REFUSALS_MAX;
    k->allowed_ms = clock_mono_ms();
    k->tokens = new_list(k);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    MUST(pthread_create(&k->thread, NULL, run, k) == 0);
    return k;
}

void keeper_stop(struct keeper *k)
{
    struct refusal *r;
    int64_t unnoted;

    pthread_mutex_lock(&k->lock);
    k->stopping = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    while ((r = pop_refusal(k, &unnoted)) != NULL) {
        free(r);
    }
    PQfinish(k->pg);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->wake);
    free(k->tokens.at);
    free(k);
}
