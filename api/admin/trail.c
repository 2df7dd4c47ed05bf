#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin/parts.h"
#include "common/changes.h"
#include "common/log.h"

/*
 * A change is written down first. With an Idempotency-Key the same transaction claims the key, so
 * of equal requests one gets through, wherever the others are at that moment.
 */
#define KEYS_KEPT  "interval '1 day'"
#define STUCK_KEPT "interval '5 minutes'" /* who claimed it has died */

static const char *key_of(const struct ask *k)
{
    return *k->key ? k->key : NULL;
}

static struct change describe(const struct ask *k)
{
    const struct admin_call *c = &k->call;

    return (struct change){.principal = k->who.name,
                           .address = k->who.address,
                           .action = k->route->action,
                           .target = *c->target ? c->target : k->path,
                           .key = key_of(k),
                           .status = c->status,
                           .before = c->before,
                           .after = c->after};
}

/* ---- keys ---- */

enum claim {
    CLAIM_MINE,   /* go on */
    CLAIM_ANSWER, /* the call is answered */
    CLAIM_FAILED, /* *e */
};

static enum claim refuse(struct ask *k, int status, const char *detail)
{
    struct change ch;
    struct err e;

    admin_problem(&k->call, status, NULL, "%s", detail);
    ch = describe(k);
    ch.detail = detail;
    if (changes_add(k->call.pg, &ch, &e) < 0) {
        log_warn("admin.audit", "text=%s", LOGQ(e.text));
    }
    return CLAIM_ANSWER;
}

static enum claim repeat(struct ask *k, const PGresult *r, struct err *e)
{
    const char *answer = PQgetvalue(r, 0, 3);
    cJSON *doc = json_parse(answer, strlen(answer), e);

    if (!doc) {
        return CLAIM_FAILED;
    }
    k->replayed = true;
    admin_reply(&k->call, (int)strtol(PQgetvalue(r, 0, 1), NULL, 10), doc);
    admin_location(&k->call, "%s", PQgetvalue(r, 0, 2));
    return CLAIM_ANSWER;
}

/* From one that has died; the next one that asks finds it taken, and not long ago. */
static enum claim take_over(struct ask *k, struct err *e)
{
    const char *values[] = {k->who.name, k->key};
    PGresult *r = pg_exec_params(k->call.pg,
                                 "UPDATE admin_idempotency SET created_at = clock_timestamp()"
                                 " WHERE principal = $1 AND key = $2",
                                 ARRAY_LEN(values), values, e);

    PQclear(r);
    return r ? CLAIM_MINE : CLAIM_FAILED;
}

/* Somebody has used the key before. */
static enum claim look_at_earlier(struct ask *k, const char *hash, struct err *e)
{
    const char *values[] = {k->who.name, k->key, hash};
    enum claim claim = CLAIM_MINE;
    PGresult *r =
        pg_exec_params(k->call.pg,
                       "SELECT request_hash = $3::bytea, status, location, answer,"
                       " created_at < clock_timestamp() - " STUCK_KEPT
                       " FROM admin_idempotency WHERE principal = $1 AND key = $2 FOR UPDATE",
                       ARRAY_LEN(values), values, e);

    if (!r) {
        return CLAIM_FAILED;
    }
    if (PQntuples(r) != 1) {
        err_set(e, ERR_RETRYABLE, "DatabaseError", "the key has just been removed");
        claim = CLAIM_FAILED;
    } else if (*PQgetvalue(r, 0, 0) != 't') {
        claim = refuse(k, 422, "This Idempotency-Key was used for another request.");
    } else if (!PQgetisnull(r, 0, 1)) {
        claim = repeat(k, r, e);
    } else if (*PQgetvalue(r, 0, 4) != 't') {
        claim = refuse(k, 409, "The request with this Idempotency-Key is being worked on.");
    } else {
        claim = take_over(k, e);
    }
    PQclear(r);
    return claim;
}

static enum claim claim_key(struct ask *k, struct err *e)
{
    char hash[TOKEN_HEX_SIZE];
    const char *values[] = {k->who.name, k->key, token_hash_hex(k->hash, hash)};
    PGresult *r;
    bool mine;

    if (!*k->key) {
        return CLAIM_MINE;
    }
    if (!pg_run(k->call.pg,
                "DELETE FROM admin_idempotency WHERE created_at < clock_timestamp() - " KEYS_KEPT,
                e)) {
        return CLAIM_FAILED;
    }
    r = pg_exec_params(k->call.pg,
                       "INSERT INTO admin_idempotency (principal, key, request_hash)"
                       " VALUES ($1, $2, $3::bytea) ON CONFLICT DO NOTHING",
                       ARRAY_LEN(values), values, e);
    mine = r && strcmp(PQcmdTuples(r), "1") == 0;
    PQclear(r);
    return !r ? CLAIM_FAILED : mine ? CLAIM_MINE : look_at_earlier(k, hash, e);
}

/* A failure may be tried again with the same key; anything else is the answer for a day. */
static bool keep_answer(const struct ask *k, struct err *e)
{
    char status[16];
    char *answer = k->call.bytes ? NULL : json_print(k->call.reply);
    const char *values[] = {k->who.name, k->key, status, k->call.location,
                            k->call.bytes ? k->call.bytes : answer};
    PGresult *r;

    snprintf(status, sizeof status, "%d", k->call.status);
    r = pg_exec_params(k->call.pg,
                       k->call.status >= 500
                           ? "DELETE FROM admin_idempotency WHERE principal = $1 AND key = $2"
                             " AND $3 || $4 || $5 IS NOT NULL"
                           : "UPDATE admin_idempotency SET status = $3, location = $4, answer = $5"
                             " WHERE principal = $1 AND key = $2",
                       ARRAY_LEN(values), values, e);
    PQclear(r);
    free(answer);
    return r != NULL;
}

/* ---- around a handler ---- */

/* The change's number in the log; -1: *claim says what else. */
static int64_t begin(struct ask *k, enum claim *claim, struct err *e)
{
    struct change ch = describe(k);
    int64_t id = -1;

    *claim = CLAIM_FAILED;
    if (!pg_run(k->call.pg, "BEGIN", e)) {
        return -1;
    }
    *claim = claim_key(k, e);
    if (*claim == CLAIM_MINE) {
        id = changes_add(k->call.pg, &ch, e);
        *claim = id < 0 ? CLAIM_FAILED : CLAIM_MINE;
    }
    if (*claim != CLAIM_FAILED && !pg_run(k->call.pg, "COMMIT", e)) {
        *claim = CLAIM_FAILED;
    }
    return *claim == CLAIM_MINE ? id : -1;
}

static bool is_problem(const struct admin_call *c)
{
    return c->status >= 400;
}

/* The problem's sentence, for the log. */
static cJSON *read_problem(const struct admin_call *c)
{
    struct err ignored;

    return is_problem(c) && c->bytes ? json_parse(c->bytes, c->bytes_len, &ignored) : NULL;
}

static void end(struct ask *k, int64_t id)
{
    struct change ch = describe(k);
    cJSON *problem = read_problem(&k->call);
    struct err e;

    ch.detail = json_get_str(problem, "detail");
    if (PQtransactionStatus(k->call.pg) != PQTRANS_IDLE && !pg_run(k->call.pg, "ROLLBACK", &e)) {
        log_warn("admin.rollback", "text=%s", LOGQ(e.text));
    }
    /* The change is made by now, and its beginning is in the log: the answer stays what it is. */
    if (!pg_run(k->call.pg, "BEGIN", &e) || !changes_finish(k->call.pg, id, &ch, &e) ||
        (*k->key && !keep_answer(k, &e)) || !pg_run(k->call.pg, "COMMIT", &e)) {
        log_error("admin.audit", "change=%" PRId64 " status=%d text=%s", id, ch.status,
                  LOGQ(e.text));
    }
    log_info("admin.change", "change=%" PRId64 " action=%s target=%s status=%d by=%s", id,
             ch.action, LOGQ(ch.target), ch.status, LOGQ(ch.principal));
    cJSON_Delete(problem);
}

void trail_run(struct ask *k)
{
    enum claim claim;
    struct err e = {0};
    int64_t id = begin(k, &claim, &e);

    if (claim == CLAIM_FAILED) {
        log_warn("admin.audit", "text=%s", LOGQ(e.text));
        admin_problem(&k->call, 503, NULL,
                      "The log of changes cannot be written, and without it nothing is changed.");
    } else if (claim == CLAIM_MINE) {
        k->route->fn(&k->call);
        MUST(k->call.status != 0);
        end(k, id);
    }
}
