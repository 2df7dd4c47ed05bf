#include "worker/revoke.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/result.h"
#include "worker/revoked.h"

#define STR_(x)      #x
#define STR(x)       STR_(x)
#define BATCH_MAX    250   /* ids in one command */
#define SEEK_AT_ONCE "200" /* delayed messages looked at by one command */

/*
 * A message may be on its way into the delayed set while it is looked through, so that is done
 * again: soon, and when every step that was on its way then has been answered or given up.
 */
#define SEEK_SOON_MS 1000
#define SEEK_LAST_MS (RDSA_COMMAND_MS + 1000)

/* Nothing fails on a key of the wrong type: an error would end the connection, again and again. */
static const char LOAD[] =
    "local now = redis.call('TIME')[1]\n"
    "redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - " STR(
        REVOKED_KEEP_S) ")\n"
                        "local all = redis.pcall('ZRANGE', KEYS[1], -" STR(
                            REVOKED_MAX) ", -1, 'WITHSCORES')\n"
                                         "return {now, all.err and {} or all}\n";

/* ARGV: seconds ago, id, and so on. */
static const char STORE[] =
    "local now = redis.call('TIME')[1]\n"
    "for i = 1, #ARGV, 2 do redis.pcall('ZADD', KEYS[1], 'GT', now - ARGV[i], ARGV[i + 1]) end\n"
    "redis.pcall('ZREMRANGEBYRANK', KEYS[1], 0, -" STR(REVOKED_MAX) " - 1)\n"
                                                                    "return 1\n";

/* ARGV: cursor, how many, ids. Replies the next cursor and the members that are for one of them. */
static const char SEEK[] = "local wanted, found = {}, {}\n"
                           "for i = 3, #ARGV do wanted[ARGV[i]] = true end\n"
                           "local r = redis.pcall('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])\n"
                           "if r.err then return {'0'} end\n"
                           "for i = 1, #r[2], 2 do\n"
                           "  local id = string.match(r[2][i], '\"id\":\"([^\"\\\\]*)\"')\n"
                           "  if not id then\n" /* escaped characters in it, or not one of ours */
                           "    local ok, v = pcall(cjson.decode, r[2][i])\n"
                           "    id = ok and type(v) == 'table' and v.id\n"
                           "  end\n"
                           "  if wanted[id or ''] then found[#found + 1] = r[2][i] end\n"
                           "end\n"
                           "return {r[1], unpack(found)}\n";

/* One step: the message leaves the delayed set, is counted, and whoever waits is told. */
static const char DROP[] =
    "if redis.pcall('ZREM', KEYS[1], ARGV[1]) ~= 1 then return 0 end\n"
    "redis.pcall('HINCRBY', KEYS[2], 'delayed_dropped', 1)\n"
    "local old = redis.pcall('GET', KEYS[3])\n"
    "if type(old) == 'string' then\n"
    "  local ok, v = pcall(cjson.decode, old)\n"
    "  local s = ok and type(v) == 'table' and v.status\n"
    "  if s == 'SUCCESS' or s == 'FAILURE' or s == 'REVOKED' then return 1 end\n"
    "end\n"
    "if ARGV[2] ~= '' then\n"
    "  redis.pcall('SETEX', KEYS[3], ARGV[3], ARGV[2])\n"
    "  redis.pcall('PUBLISH', KEYS[3], ARGV[2])\n"
    "end\n"
    "return 1\n";

/* Some ids of the set, copied: it may change while Redis works on them. */
struct batch {
    char *ids[BATCH_MAX];
    int64_t at_ms[BATCH_MAX];
    int n;
    unsigned lacks; /* collects those without this mark */
};

struct revoke {
    struct revoke_config cf;
    struct rdsa *talk; /* NULL: not yet */
    struct revoked *set;
    struct batch storing, seeking; /* n 0: not under way */
    struct event *again;
    bool again_is_last;
};

/* ---- batches ---- */

static bool collect(void *ctx, const struct revoked_entry *e)
{
    struct batch *b = ctx;

    if (!(e->done & b->lacks)) {
        b->ids[b->n] = mem_strdup(e->id);
        b->at_ms[b->n] = e->at_ms;
        b->n++;
    }
    return b->n < BATCH_MAX;
}

/* False when there is nothing to do. */
static bool batch_fill(struct batch *b, const struct revoked *set, unsigned lacks)
{
    b->n = 0;
    b->lacks = lacks;
    revoked_each(set, collect, b);
    return b->n > 0;
}

static void batch_drop(struct batch *b)
{
    for (int i = 0; i < b->n; i++) {
        free(b->ids[i]);
    }
    b->n = 0;
}

/* It is done: its ids get the mark that they lacked. */
static void batch_done(struct batch *b, struct revoked *set)
{
    for (int i = 0; i < b->n; i++) {
        revoked_mark(set, b->ids[i], b->lacks);
    }
    batch_drop(b);
}

/* ---- storing ---- */

static void store_next(struct revoke *rv);

static void on_stored(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct revoke *rv = ctx;

    if (!r) {
        batch_drop(&rv->storing); /* again when the connection is back */
        return;
    }
    batch_done(&rv->storing, rv->set);
    store_next(rv);
}

static void store_next(struct revoke *rv)
{
    const char *argv[4 + 2 * BATCH_MAX] = {"EVAL", STORE, "1", KEY_REVOKED};
    char ages[BATCH_MAX][24];
    int64_t now = clock_mono_ms();
    struct batch *b = &rv->storing;

    if (b->n > 0 || !rdsa_is_up(rv->talk) || !batch_fill(b, rv->set, REVOKED_STORED)) {
        return;
    }
    for (int i = 0; i < b->n; i++) {
        snprintf(ages[i], sizeof ages[i], "%" PRId64, (now - b->at_ms[i]) / 1000);
        argv[4 + 2 * i] = ages[i];
        argv[5 + 2 * i] = b->ids[i];
    }
    rdsa_command(rv->talk, RDSA_COMMAND_MS, on_stored, rv, 0, 4 + 2 * b->n, argv);
}

/* ---- what is delayed ---- */

static void seek_on(struct revoke *rv, const char *cursor);
static void seek_next(struct revoke *rv);

static void on_dropped(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    if (!r) {
        log_warn("task.revoke_late", "reason=\"Redis is away: it ends when it is due\"");
    }
    (void)ctx;
}

/* The result document of a delayed message; the caller's (free()). */
static char *revoked_document(const struct msg *m, const char *id)
{
    static const struct result_exception REVOKED = {"TaskRevokedError", "revoked", 0};
    struct result_who who = {.id = id, .group = m->group, .parent = m->parent};

    return m->ignore_result ? mem_strdup("")
                            : result_failure(&who, "REVOKED", &REVOKED, NULL, clock_wall_us());
}

static void drop_message(struct revoke *rv, const char *member, const char *id, const struct msg *m)
{
    char key[sizeof KEY_RESULT_PREFIX + REVOKED_ID_MAX + 1], expires[24];
    char *doc = revoked_document(m, id);
    const char *argv[] = {"EVAL", DROP, "3", KEY_DELAYED, KEY_COUNTERS, key, member, doc, expires};

    if (!doc) {
        return;
    }
    log_info("task.revoked", "id=%s task=%s delayed=1", LOGQ(id), LOGQ(m->task));
    snprintf(key, sizeof key, KEY_RESULT_PREFIX "%s", id);
    snprintf(expires, sizeof expires, "%" PRId64, rv->cf.result_expires_s);
    rdsa_command(rv->talk, RDSA_COMMAND_MS, on_dropped, rv, 0, ARRAY_LEN(argv), argv);
    free(doc);
    rv->cf.on_dropped(rv->cf.ctx, id);
}

/* Others wait for its end: a worker is to take it, and to end it with all that follows. */
static void make_due(struct revoke *rv, const char *member)
{
    const char *argv[] = {"ZADD", KEY_DELAYED, "XX", "0", member};

    rdsa_command(rv->talk, RDSA_COMMAND_MS, on_dropped, rv, 0, ARRAY_LEN(argv), argv);
}

static void drop_member(struct revoke *rv, const char *member, size_t len)
{
    struct err e;
    struct msg m = {0};
    cJSON *o = json_parse(member, len, &e);
    const char *id = json_get_str(o, "id"), *text = json_get_str(o, "m");

    if (id && text && strlen(id) <= REVOKED_ID_MAX && revoked_has(rv->set, id)) {
        if (msg_parse(text, strlen(text), &m, &e) == MSG_UNREADABLE || m.chord || m.errbacks) {
            make_due(rv, member);
        } else {
            drop_message(rv, member, id, &m);
        }
        msg_fini(&m);
    }
    cJSON_Delete(o);
}

static void on_sought(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct revoke *rv = ctx;

    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements == 0 ||
        r->element[0]->type != REDIS_REPLY_STRING) {
        batch_drop(&rv->seeking);
        return;
    }
    for (size_t i = 1; i < r->elements; i++) {
        if (r->element[i]->type == REDIS_REPLY_STRING) {
            drop_member(rv, r->element[i]->str, (size_t)r->element[i]->len);
        }
    }
    if (strcmp(r->element[0]->str, "0") != 0) {
        seek_on(rv, r->element[0]->str);
        return;
    }
    batch_done(&rv->seeking, rv->set);
    seek_next(rv);
}

static void seek_on(struct revoke *rv, const char *cursor)
{
    const char *argv[6 + BATCH_MAX] = {"EVAL", SEEK, "1", KEY_DELAYED, cursor, SEEK_AT_ONCE};

    for (int i = 0; i < rv->seeking.n; i++) {
        argv[6 + i] = rv->seeking.ids[i];
    }
    rdsa_command(rv->talk, RDSA_COMMAND_MS, on_sought, rv, 0, 6 + rv->seeking.n, argv);
}

static void seek_next(struct revoke *rv)
{
    if (rv->seeking.n == 0 && rv->talk && rdsa_is_up(rv->talk) &&
        batch_fill(&rv->seeking, rv->set, REVOKED_SOUGHT)) {
        seek_on(rv, "0");
    }
}

static void seek_again(struct revoke *rv, bool is_last)
{
    rv->again_is_last = is_last;
    loop_arm_ms(rv->again, is_last ? SEEK_LAST_MS : SEEK_SOON_MS);
}

static void on_again(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct revoke *rv = arg;
    int64_t since = clock_mono_ms() - SEEK_SOON_MS - SEEK_LAST_MS - 1000;

    revoked_unmark_since(rv->set, since, REVOKED_SOUGHT);
    seek_next(rv);
    if (!rv->again_is_last) {
        seek_again(rv, true);
    }
}

/* ---- loading ---- */

static void read_pair(struct revoke *rv, const redisReply *id, const redisReply *score,
                      int64_t now_s)
{
    int64_t age_ms = (int64_t)((double)now_s - strtod(score->str, NULL)) * 1000;

    revoked_add(rv->set, id->str, clock_mono_ms() - (age_ms > 0 ? age_ms : 0));
    /* Whoever stored it has looked through the delayed set, too. */
    revoked_mark(rv->set, id->str, REVOKED_STORED | REVOKED_SOUGHT);
}

static bool are_strings(const redisReply *a, const redisReply *b)
{
    return a->type == REDIS_REPLY_STRING && b->type == REDIS_REPLY_STRING;
}

static void on_loaded(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct revoke *rv = ctx;
    const redisReply *all;

    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[1]->type != REDIS_REPLY_ARRAY) {
        return;
    }
    all = r->element[1];
    revoked_unmark_since(rv->set, INT64_MIN, REVOKED_STORED); /* it may have lost them */
    for (size_t i = 0; i + 1 < all->elements; i += 2) {
        if (are_strings(all->element[i], all->element[i + 1])) {
            read_pair(rv, all->element[i], all->element[i + 1],
                      strtoll(r->element[0]->str ? r->element[0]->str : "0", NULL, 10));
        }
    }
    if (revoked_count(rv->set) > 0) {
        log_debug("revoked.loaded", "ids=%d", revoked_count(rv->set));
    }
    revoke_commit(rv);
}

void revoke_load(struct revoke *rv, struct rdsa *conn)
{
    const char *argv[] = {"EVAL", LOAD, "1", KEY_REVOKED};

    rdsa_command(conn, RDSA_COMMAND_MS, on_loaded, rv, 0, ARRAY_LEN(argv), argv);
}

void revoke_set_talk(struct revoke *rv, struct rdsa *talk)
{
    rv->talk = talk;
}

/* ---- life ---- */

struct revoke *revoke_new(const struct revoke_config *config)
{
    struct revoke *rv = mem_alloc(sizeof *rv);

    rv->cf = *config;
    rv->set = revoked_new();
    rv->again = evtimer_new(config->base, on_again, rv);
    MUST(rv->again);
    return rv;
}

void revoke_free(struct revoke *rv)
{
    batch_drop(&rv->storing);
    batch_drop(&rv->seeking);
    event_free(rv->again);
    revoked_free(rv->set);
    free(rv);
}

bool revoke_has(void *ctx, const char *id)
{
    const struct revoke *rv = ctx;

    return revoked_has(rv->set, id);
}

void revoke_add(struct revoke *rv, const char *id)
{
    revoked_add(rv->set, id, clock_mono_ms());
}

void revoke_commit(struct revoke *rv)
{
    revoked_forget_before(rv->set, clock_mono_ms() - REVOKED_KEEP_S * INT64_C(1000));
    rv->cf.on_change(rv->cf.ctx);
    if (rv->talk) {
        store_next(rv);
        seek_next(rv);
    }
    if (revoked_count(rv->set) > 0) {
        seek_again(rv, false);
    }
}

struct revoked *revoke_set(struct revoke *rv)
{
    return rv->set;
}
