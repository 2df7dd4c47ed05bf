#include "api/quota.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/keys.h"
#include "common/mem.h"
#include "common/text.h"

/* ---- in Redis ---- */

/*
 * A list of the times of what counts, oldest first. What is older than the window goes, and so does
 * what lies in the future: Redis' clock went back.
 */
static struct script QUOTA = {
    .name = "quota",
    .lua = "local t = redis.call('TIME')\n"
           "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
           "local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
           "local first = tonumber(redis.call('LINDEX', KEYS[1], 0))\n"
           "while first and (first <= now - window or first > now) do\n"
           "  redis.call('LPOP', KEYS[1])\n"
           "  first = tonumber(redis.call('LINDEX', KEYS[1], 0))\n"
           "end\n"
           "local n = redis.call('LLEN', KEYS[1])\n"
           "if n >= limit then return {0, n, first + window - now} end\n"
           "redis.call('RPUSH', KEYS[1], string.format('%.0f', now))\n"
           "redis.call('PEXPIRE', KEYS[1], window)\n"
           "return {1, n + 1, (first or now) + window - now}\n",
};
struct script *const QUOTA_SCRIPTS[] = {&QUOTA};
const size_t QUOTA_SCRIPT_COUNT = ARRAY_LEN(QUOTA_SCRIPTS);

void quota_ask(struct command *c, const char *client, int64_t limit)
{
    command_begin(c, &QUOTA);
    command_key2(c, KEY_SEARCHES_PREFIX, client);
    command_i64(c, limit);
    command_i64(c, QUOTA_WINDOW_MS);
}

static struct quota_answer answer_of(bool allowed, int64_t limit, int64_t count, int64_t reset_ms)
{
    int64_t left = limit > count ? limit - count : 0;

    return (struct quota_answer){allowed, limit, left, reset_ms > 0 ? reset_ms : 0};
}

bool quota_read(const redisReply *r, int64_t limit, struct quota_answer *out)
{
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return false;
    }
    for (size_t i = 0; i < r->elements; i++) {
        if (r->element[i]->type != REDIS_REPLY_INTEGER) {
            return false;
        }
    }
    *out = answer_of(r->element[0]->integer == 1, limit, r->element[1]->integer,
                     r->element[2]->integer);
    return true;
}

/* ---- of this process ---- */

#define BUCKETS 1024u /* a power of two */

struct client {
    TAILQ_ENTRY(client) by_use; /* least recently first */
    LIST_ENTRY(client) in_bucket;
    char name[NET_TEXT_SIZE];
    uint32_t first, count; /* a ring of the times that count */
    int64_t times[];
};
LIST_HEAD(bucket, client);

struct quota_table {
    int64_t limit;
    int clients, clients_max;
    TAILQ_HEAD(, client) by_use;
    struct bucket buckets[BUCKETS];
};

struct quota_table *quota_table_new(int64_t limit)
{
    struct quota_table *t = mem_alloc(sizeof *t);

    MUST(limit > 0 && limit <= QUOTA_LIMIT_MAX);
    t->limit = limit;
    t->clients_max = (int)((int64_t)QUOTA_TIMES_MAX / limit);
    t->clients_max = t->clients_max < QUOTA_CLIENTS ? t->clients_max : QUOTA_CLIENTS;
    TAILQ_INIT(&t->by_use);
    return t;
}

static void forget(struct quota_table *t, struct client *c)
{
    TAILQ_REMOVE(&t->by_use, c, by_use);
    LIST_REMOVE(c, in_bucket);
    free(c);
    t->clients--;
}

void quota_table_free(struct quota_table *t)
{
    struct client *c;

    while (t && (c = TAILQ_FIRST(&t->by_use))) {
        forget(t, c);
    }
    free(t);
}

/* Clients choose their addresses, but a long bucket is no more than the table. */
static struct bucket *bucket_of(struct quota_table *t, const char *name)
{
    return &t->buckets[text_hash(name, strlen(name)) & (BUCKETS - 1)];
}

/* The client as the most recently used one; a new one when it is not there. */
static struct client *use(struct quota_table *t, const char *name)
{
    struct bucket *b = bucket_of(t, name);
    struct client *c;

    LIST_FOREACH(c, b, in_bucket)
    {
        if (strcmp(c->name, name) == 0) {
            TAILQ_REMOVE(&t->by_use, c, by_use);
            TAILQ_INSERT_TAIL(&t->by_use, c, by_use);
            return c;
        }
    }
    if (t->clients == t->clients_max) {
        forget(t, TAILQ_FIRST(&t->by_use));
    }
    c = mem_alloc(sizeof *c + (size_t)t->limit * sizeof c->times[0]);
    text_copy(c->name, sizeof c->name, name);
    TAILQ_INSERT_TAIL(&t->by_use, c, by_use);
    LIST_INSERT_HEAD(b, c, in_bucket);
    t->clients++;
    return c;
}

struct quota_answer quota_take(struct quota_table *t, const char *client, int64_t now_ms)
{
    struct client *c = use(t, client);
    uint32_t limit = (uint32_t)t->limit;
    bool allowed;

    while (c->count > 0 && c->times[c->first] <= now_ms - QUOTA_WINDOW_MS) {
        c->first = (c->first + 1) % limit;
        c->count--;
    }
    allowed = c->count < limit;
    if (allowed) {
        c->times[(c->first + c->count++) % limit] = now_ms;
    }
    return answer_of(allowed, t->limit, c->count, c->times[c->first] + QUOTA_WINDOW_MS - now_ms);
}

int quota_table_clients(const struct quota_table *t)
{
    return t->clients;
}
