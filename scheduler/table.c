#include "scheduler/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"

/*
 * One look at everything, in this order: a table that is newer than its number makes the first
 * claim say that it has changed. (No transaction: when memory is out, Redis refuses even those that
 * only read.)
 */
enum { GOT_TIME, GOT_REV, GOT_TABLE, GOT_LAST, GOT_GAP, GOT_SENT, GOT_COUNT };
#define GOT_TABLE_ONLY GOT_LAST /* the first of them, without anybody's state */
static const char *const LOOKS[GOT_COUNT] = {"TIME",
                                             "GET " KEY_SCHEDULES_REV,
                                             "HGETALL " KEY_SCHEDULES,
                                             "HGETALL " KEY_BEAT_LAST,
                                             "HGETALL " KEY_BEAT_GAP,
                                             "HGETALL " KEY_BEAT_SENT};

static void free_looks(redisReply *got[GOT_COUNT])
{
    for (size_t i = 0; i < GOT_COUNT; i++) {
        freeReplyObject(got[i]);
    }
}

/* Asks the first n. False when the connection is of no use; a key of the wrong type stays an error
 * in its place. */
static bool look(redisContext *c, redisReply *got[GOT_COUNT], size_t n, struct err *e)
{
    memset(got, 0, GOT_COUNT * sizeof *got);
    for (size_t i = 0; i < n; i++) {
        redisAppendCommand(c, LOOKS[i]);
    }
    for (size_t i = 0; i < n; i++) {
        void *any = NULL;

        if (redisGetReply(c, &any) != REDIS_OK) {
            err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
            free_looks(got);
            return false;
        }
        got[i] = any;
    }
    if (got[GOT_TIME]->type == REDIS_REPLY_ERROR) { /* NOAUTH, LOADING */
        rds_error_reply(got[GOT_TIME]->str, e);
        free_looks(got);
        return false;
    }
    return true;
}

/* ---- hashes ---- */

struct pair {
    const redisReply *name, *value;
};

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name->str, ((const struct pair *)b)->name->str);
}

/* The fields of a hash sorted by name; *n 0 and NULL when there is none. The caller frees. */
static struct pair *sorted(const redisReply *hash, size_t *n)
{
    size_t count = hash->type == REDIS_REPLY_ARRAY ? hash->elements / 2 : 0;
    struct pair *pairs = count > 0 ? mem_try_array(count, sizeof *pairs) : NULL;

    *n = pairs ? count : 0;
    for (size_t i = 0; i < *n; i++) {
        pairs[i] = (struct pair){hash->element[2 * i], hash->element[2 * i + 1]};
    }
    if (pairs) {
        qsort(pairs, *n, sizeof *pairs, compare_pairs);
    }
    return pairs;
}

static const redisReply *find(const struct pair *pairs, size_t n, const char *name)
{
    const redisReply wanted = {.str = (char *)(uintptr_t)name};
    const struct pair key = {.name = &wanted};
    const struct pair *found = n > 0 ? bsearch(&key, pairs, n, sizeof *pairs, compare_pairs) : NULL;

    return found ? found->value : NULL;
}

static uint64_t hash_pairs(const struct pair *pairs, size_t n)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < n; i++) {
        hash = hash * 31 + text_hash(pairs[i].name->str, pairs[i].name->len);
        hash = hash * 31 + text_hash(pairs[i].value->str, pairs[i].value->len);
    }
    return hash;
}

/* ---- entries ---- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct table_entry *)a)->schedule.name,
                  ((const struct table_entry *)b)->schedule.name);
}

static struct table_entry *find_entry(const struct table *t, const char *name)
{
    struct table_entry key;

    if (!text_copy(key.schedule.name, sizeof key.schedule.name, name)) {
        return NULL;
    }
    return t->count > 0 ? bsearch(&key, t->entries, t->count, sizeof *t->entries, compare_entries)
                        : NULL;
}

static void say_unreadable(const struct pair *p, const struct err *e)
{
    log_warn("beat.schedule_refused", "schedule=%s error=%s", LOGQ(p->name->str), LOGQ(e->text));
}

/* Appends what the table in Redis says. */
static void add_stored(struct table *t, const struct pair *pairs, size_t n,
                       const struct schedule_defaults *d)
{
    struct err e;

    for (size_t i = 0; i < n; i++) {
        struct table_entry *entry = &t->entries[t->count];

        if (t->count >= SCHEDULE_TABLE_MAX) {
            log_warn("beat.too_many_schedules", "most=%d left_out=%zu", SCHEDULE_TABLE_MAX, n - i);
            return;
        }
        *entry = (struct table_entry){.known_s = PLAN_NONE};
        if (schedule_parse(pairs[i].name->str, pairs[i].value->str, pairs[i].value->len, d,
                           &entry->schedule, &e)) {
            entry->hash = text_hash(pairs[i].value->str, pairs[i].value->len) | 1;
            t->count++;
        } else {
            say_unreadable(&pairs[i], &e);
        }
    }
}

static void add_builtins(struct table *t, const struct schedule_defaults *d)
{
    size_t stored = t->count;
    struct schedule s;

    for (size_t i = 0; schedule_builtin(i, d, &s); i++) {
        struct table those = {.entries = t->entries, .count = stored};

        if (!find_entry(&those, s.name)) {
            t->entries[t->count++] = (struct table_entry){.schedule = s, .known_s = PLAN_NONE};
        }
    }
    qsort(t->entries, t->count, sizeof *t->entries, compare_entries);
}

/* What we know ourselves stays; a timetable that stays need not be looked at before its time. */
static void keep_known(struct table *t, const struct table *old)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct table_entry *was = find_entry(old, t->entries[i].schedule.name);

        if (was) {
            t->entries[i].known_s = was->known_s;
            t->entries[i].state = was->state;
            memcpy(t->entries[i].refused, was->refused, sizeof was->refused);
        }
    }
}

static void read_text(char out[CLAIM_RAW_SIZE], const redisReply *v)
{
    if (!v || v->type != REDIS_REPLY_STRING || !text_copy(out, CLAIM_RAW_SIZE, v->str)) {
        out[0] = '\0'; /* too long: every claim will say that it is damaged */
    }
}

static void read_states(struct table *t, redisReply *const got[GOT_COUNT])
{
    size_t lasts, gaps, sents;
    struct pair *last = sorted(got[GOT_LAST], &lasts);
    struct pair *gap = sorted(got[GOT_GAP], &gaps);
    struct pair *sent = sorted(got[GOT_SENT], &sents);

    for (size_t i = 0; i < t->count; i++) {
        const char *name = t->entries[i].schedule.name;

        read_text(t->entries[i].state.last, find(last, lasts, name));
        read_text(t->entries[i].state.gap, find(gap, gaps, name));
        read_text(t->entries[i].state.sent, find(sent, sents, name));
        t->entries[i].due_s = 0;
    }
    free(last);
    free(gap);
    free(sent);
}

static bool build(struct table *t, const struct pair *pairs, size_t n,
                  const struct schedule_defaults *d, struct err *e)
{
    size_t most = (n < SCHEDULE_TABLE_MAX ? n : SCHEDULE_TABLE_MAX) + SCHEDULE_BUILTINS + 1;
    struct table fresh = {.entries = mem_try_array(most, sizeof *fresh.entries)};

    if (!fresh.entries) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for the schedules");
    }
    add_stored(&fresh, pairs, n, d);
    add_builtins(&fresh, d);
    keep_known(&fresh, t);
    table_fini(t);
    *t = fresh;
    return true;
}

/* Whatever stands there: it is only compared, and by its first bytes. */
static void read_rev(struct table *t, const redisReply *r)
{
    (void)text_copy(t->rev, sizeof t->rev, r->type == REDIS_REPLY_STRING ? r->str : "");
}

/* What a look has brought. *other: the table is another one and the look had no states: again. */
static bool take(struct table *t, redisReply *const got[GOT_COUNT],
                 const struct schedule_defaults *d, bool *other, struct err *e)
{
    size_t n;
    struct pair *pairs = sorted(got[GOT_TABLE], &n);
    uint64_t hash = hash_pairs(pairs, n);
    bool same = t->entries && hash == t->hash, with_states = got[GOT_SENT] != NULL;
    bool ok = same || !with_states || build(t, pairs, n, d, e);

    free(pairs);
    *other = !same && !with_states;
    if (!ok || *other) {
        return ok;
    }
    t->hash = hash;
    read_rev(t, got[GOT_REV]);
    if (with_states) {
        read_states(t, got);
    }
    return true;
}

bool table_load(struct table *t, redisContext *c, const struct schedule_defaults *d, bool fully,
                int64_t *now_us, struct err *e)
{
    redisReply *got[GOT_COUNT];
    bool ok, other = false;

    if (!look(c, got, fully ? GOT_COUNT : GOT_TABLE_ONLY, e)) {
        return false;
    }
    ok = rds_read_time(got[GOT_TIME], now_us)
             ? take(t, got, d, &other, e)
             : err_set(e, ERR_RETRYABLE, "RedisError", "TIME: unexpected kind of answer");
    free_looks(got);
    return ok && other ? table_load(t, c, d, true, now_us, e) : ok;
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        schedule_fini(&t->entries[i].schedule);
    }
    free(t->entries);
    *t = (struct table){0};
}
