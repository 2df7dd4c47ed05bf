#include "common/queues.h"

#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/script.h"
#include "common/text.h"

#define PEEK_BYTES_TEXT "65536"
#define KEYS_MAX        (QUEUES_MAX * KEY_PRIORITY_STEPS)

/* KEYS lists; replies {length (-1: no list), the message that is next if it is short}, ... */
static struct script LUA_LENGTHS = {
    .name = "queue_lengths",
    .lua = "local reply = {}\n"
           "for i, key in ipairs(KEYS) do\n"
           "  local n = redis.pcall('LLEN', key)\n"
           "  local m = type(n) == 'number' and redis.call('LINDEX', key, -1) or ''\n"
           "  reply[2 * i - 1] = type(n) == 'number' and n or -1\n"
           "  reply[2 * i] = m and #m <= " PEEK_BYTES_TEXT " and m or ''\n"
           "end\n"
           "return reply\n",
};

/* KEYS a list; ARGV how many of its right end; replies {bytes, the message if it is short}, ...
 * with the next one first */
static struct script LUA_PEEK = {
    .name = "queue_peek",
    .lua = "local reply = {}\n"
           "for i = -1, -tonumber(ARGV[1]), -1 do\n"
           "  local m = redis.call('LINDEX', KEYS[1], i)\n"
           "  if not m then break end\n"
           "  reply[#reply + 1] = #m\n"
           "  reply[#reply + 1] = #m <= " PEEK_BYTES_TEXT " and m or ''\n"
           "end\n"
           "return reply\n",
};

/* KEYS delayed; ARGV how many; replies {due in ms, bytes, the member if it is short}, ... */
static struct script LUA_DELAYED = {
    .name = "queue_delayed",
    .lua = "local reply = {}\n"
           "for i = 0, tonumber(ARGV[1]) - 1 do\n"
           "  local v = redis.call('ZRANGE', KEYS[1], i, i, 'WITHSCORES')\n"
           "  if not v[1] then break end\n"
           "  reply[#reply + 1] = v[2]\n"
           "  reply[#reply + 1] = #v[1]\n"
           "  reply[#reply + 1] = #v[1] <= " PEEK_BYTES_TEXT " and v[1] or ''\n"
           "end\n"
           "return reply\n",
};

/* KEYS counters, lists; replies how many messages are gone */
static struct script LUA_PURGE = {
    .name = "queue_purge",
    .lua = "local n = 0\n"
           "for i = 2, #KEYS do n = n + redis.call('LLEN', KEYS[i]) end\n"
           "for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end\n"
           "if n > 0 then redis.pcall('HINCRBY', KEYS[1], 'purged', n) end\n"
           "return n\n",
};

/* ------------------------------------------------------------------------------------ names */

bool queue_names_add(struct queue_names *q, const char *name)
{
    if (!name || !*name || strlen(name) > BROKER_QUEUE_MAX) {
        return false;
    }
    for (int i = 0; i < q->n; i++) {
        if (strcmp(q->names[i], name) == 0) {
            return true;
        }
    }
    if (q->n == QUEUES_MAX) {
        return false;
    }
    q->names[q->n++] = mem_strdup(name);
    return true;
}

void queue_names_fini(struct queue_names *q)
{
    for (int i = 0; i < q->n; i++) {
        free(q->names[i]);
    }
    q->n = 0;
}

static void add_i64(cJSON *obj, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(obj, name, (double)n);
}

/* -------------------------------------------------------------------------------- messages */

double queues_sent_at(const cJSON *message)
{
    static const char *const MEMBERS[] = {MSG_SENT_MEMBER, MSG_SLOT_MEMBER};
    const cJSON *headers = json_get_obj(message, "headers");

    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(headers ? headers : message, MEMBERS[i]);

        if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e11) {
            return v->valuedouble;
        }
    }
    return -1;
}

static void add_age(cJSON *obj, const char *name, const cJSON *message, int64_t now_us)
{
    double sent = queues_sent_at(message);

    if (sent >= 0) {
        double age = (double)now_us / 1e6 - sent;

        add_i64(obj, name, age > 0 ? (int64_t)age : 0);
    }
}

/* What a message tells of itself; nothing when there are no bytes. */
static void describe(cJSON *obj, const char *bytes, size_t len, const char *age_name,
                     int64_t now_us)
{
    struct msg m;
    struct err e;
    char iso[CLOCK_ISO_SIZE];

    if (len == 0) {
        return;
    }
    if (msg_parse(bytes, len, &m, &e) == MSG_UNREADABLE) {
        cJSON_AddStringToObject(obj, "fault", e.text);
    } else {
        cJSON_AddStringToObject(obj, "task", m.task);
        if (m.id[0]) {
            cJSON_AddStringToObject(obj, "id", m.id);
        }
        add_i64(obj, "retries", m.retries);
        if (m.eta_us != MSG_NO_TIME && m.eta_us > 0) {
            cJSON_AddStringToObject(obj, "eta", clock_iso(m.eta_us, "Z", iso));
        }
        add_age(obj, age_name, m.root, now_us);
    }
    msg_fini(&m);
}

/* ----------------------------------------------------------------------------------- lengths */

static redisReply *ask_lengths(redisContext *c, const struct queue_names *names, struct err *e)
{
    char(*lists)[BROKER_LIST_SIZE] = mem_alloc(KEYS_MAX * sizeof *lists);
    const char *args[KEYS_MAX];
    redisReply *r;
    int n = 0;

    for (int q = 0; q < names->n; q++) {
        for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
            MUST(msg_list_name(lists[n], sizeof lists[n], names->names[q], step * 3));
            args[n] = lists[n];
            n++;
        }
    }
    r = script_run(c, &LUA_LENGTHS, n, n, args, NULL, e);
    free(lists);
    if (r && (r->type != REDIS_REPLY_ARRAY || r->elements != 2 * (size_t)n)) {
        err_set(e, ERR_PERMANENT, "RedisError", "unexpected answer to a look at the queues");
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

/* The four lists of one queue; at: its first element in the reply. */
static cJSON *queue_entry(const char *name, redisReply *const *at, int64_t now_us)
{
    cJSON *queue = cJSON_CreateObject(), *lists = cJSON_CreateArray();
    int64_t ready = 0, oldest = -1, age;

    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        int64_t n = at[2 * step]->integer;
        cJSON *list = cJSON_CreateObject();

        add_i64(list, "priority", step * 3);
        if (n < 0) {
            cJSON_AddNullToObject(list, "length");
        } else {
            add_i64(list, "length", n);
            ready += n;
            describe(list, at[2 * step + 1]->str, (size_t)at[2 * step + 1]->len, "oldest_s",
                     now_us);
        }
        if (json_get_i64(list, "oldest_s", 0, INT64_MAX, &age) && age > oldest) {
            oldest = age;
        }
        cJSON_AddItemToArray(lists, list);
    }
    cJSON_AddStringToObject(queue, "name", name);
    add_i64(queue, "ready", ready);
    if (oldest >= 0) {
        add_i64(queue, "oldest_s", oldest);
    }
    cJSON_AddItemToObject(queue, "lists", lists);
    return queue;
}

static bool add_queues(cJSON *doc, redisContext *c, const struct queue_names *names, int64_t now_us,
                       struct err *e)
{
    redisReply *r = ask_lengths(c, names, e);
    cJSON *queues;

    if (!r) {
        return false;
    }
    queues = cJSON_AddArrayToObject(doc, "queues");
    for (int q = 0; q < names->n; q++) {
        const char *name = names->names[q];
        size_t at = 2 * KEY_PRIORITY_STEPS * (size_t)q;

        cJSON_AddItemToArray(queues, queue_entry(text_is_utf8(name, strlen(name)) ? name : "?",
                                                 r->element + at, now_us));
    }
    freeReplyObject(r);
    return true;
}

/* ---------------------------------------------------------------------------- delayed, aside */

/* The next answer of a pipeline; NULL and *e when the connection broke. */
static redisReply *next_reply(redisContext *c, struct err *e)
{
    void *any = NULL;

    if (redisGetReply(c, &any) != REDIS_OK) {
        err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
        return NULL;
    }
    return any;
}

/* "name": n, or null when the key is of another type. */
static bool add_length(cJSON *obj, const char *name, redisContext *c, struct err *e)
{
    redisReply *r = next_reply(c, e);

    if (!r) {
        return false;
    }
    if (r->type == REDIS_REPLY_INTEGER) {
        add_i64(obj, name, r->integer);
    } else {
        cJSON_AddNullToObject(obj, name);
    }
    freeReplyObject(r);
    return true;
}

static bool add_next_due(cJSON *delayed, redisContext *c, int64_t now_us, struct err *e)
{
    redisReply *r = next_reply(c, e);

    if (!r) {
        return false;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 1 &&
        r->element[0]->type == REDIS_REPLY_STRING && r->element[0]->len > 0) {
        double due_ms = strtod(r->element[0]->str, NULL);

        if (due_ms >= 0 && due_ms < 1e15) {
            add_i64(delayed, "next_in_s", (int64_t)(due_ms / 1000) - now_us / 1000000);
        }
    }
    freeReplyObject(r);
    return true;
}

/* The score of the first member of the delayed set, without the member, which may be long. */
#define NEXT_DUE_LUA                                                                               \
    "local v = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES') return {v[2] or ''}"

static bool add_shelves(cJSON *doc, redisContext *c, int64_t now_us, struct err *e)
{
    cJSON *delayed = cJSON_AddObjectToObject(doc, "delayed");

    redisAppendCommand(c, "ZCARD " KEY_DELAYED);
    redisAppendCommand(c, "EVAL %s 1 " KEY_DELAYED, NEXT_DUE_LUA);
    redisAppendCommand(c, "LLEN " KEY_QUARANTINE);
    redisAppendCommand(c, "LLEN " KEY_DEAD);
    return add_length(delayed, "count", c, e) && add_next_due(delayed, c, now_us, e) &&
           add_length(doc, "quarantine", c, e) && add_length(doc, "dead", c, e);
}

/* ---------------------------------------------------------------------------------- workers */

/* How long the longest of its tasks has been running. */
static void add_oldest_running(cJSON *worker, const cJSON *heartbeat, int64_t now_s)
{
    const cJSON *task;
    int64_t since_s, oldest = -1;

    cJSON_ArrayForEach(task, json_get_arr(heartbeat, "running"))
    {
        if (json_get_i64(task, "since", 0, INT64_MAX, &since_s) && now_s - since_s > oldest) {
            oldest = now_s - since_s;
        }
    }
    if (oldest >= 0) {
        add_i64(worker, "oldest_s", oldest);
    }
}

static void add_queue_names(struct queue_names *names, const cJSON *heartbeat)
{
    const cJSON *one;

    if (json_get_str(heartbeat, "queue")) {
        queue_names_add(names, json_get_str(heartbeat, "queue"));
    }
    cJSON_ArrayForEach(one, json_get_arr(heartbeat, "queues"))
    {
        queue_names_add(names, cJSON_GetStringValue(one));
    }
}

/* A worker's entry from its heartbeat and the number that it holds. */
static cJSON *worker_entry(const redisReply *boot, const redisReply *beat, int64_t held,
                           struct queue_names *names, int64_t now_s)
{
    cJSON *worker = cJSON_CreateObject(), *heartbeat = NULL;
    struct err ignored;

    if (beat->type == REDIS_REPLY_STRING) {
        heartbeat = json_parse(beat->str, (size_t)beat->len, &ignored);
    }
    cJSON_AddStringToObject(worker, "boot",
                            text_is_utf8(boot->str, (size_t)boot->len) ? boot->str : "?");
    if (json_get_str(heartbeat, "name")) {
        cJSON_AddStringToObject(worker, "name", json_get_str(heartbeat, "name"));
    }
    cJSON_AddBoolToObject(worker, "alive", beat->type == REDIS_REPLY_STRING);
    add_i64(worker, "held", held);
    add_oldest_running(worker, heartbeat, now_s);
    add_queue_names(names, heartbeat);
    cJSON_Delete(heartbeat);
    return worker;
}

/* Reads one worker's two answers. */
static bool add_worker(cJSON *held, redisContext *c, const redisReply *boot,
                       struct queue_names *names, int64_t now_s, int64_t *total, struct err *e)
{
    redisReply *beat = next_reply(c, e);
    redisReply *count = beat ? next_reply(c, e) : NULL;

    if (count) {
        int64_t n = count->type == REDIS_REPLY_INTEGER ? count->integer : 0;

        *total += n;
        cJSON_AddItemToArray(json_get_arr(held, "workers"),
                             worker_entry(boot, beat, n, names, now_s));
    }
    freeReplyObject(beat);
    freeReplyObject(count);
    return count != NULL;
}

static bool add_held(cJSON *doc, redisContext *c, struct queue_names *names, int64_t now_us,
                     struct err *e)
{
    cJSON *held = cJSON_AddObjectToObject(doc, "held");
    redisReply *boots = rds_command(c, e, "SMEMBERS " KEY_WORKERS);
    size_t n = boots ? boots->elements : 0;
    int64_t total = 0;
    bool ok = boots != NULL;

    cJSON_AddArrayToObject(held, "workers");
    n = n < QUEUES_WORKERS_MAX ? n : QUEUES_WORKERS_MAX;
    for (size_t i = 0; i < n; i++) {
        const redisReply *boot = boots->element[i];

        redisAppendCommand(c, "GET " KEY_WORKER_PREFIX "%b", boot->str, (size_t)boot->len);
        redisAppendCommand(c, "HLEN " KEY_HELD_PREFIX "%b", boot->str, (size_t)boot->len);
    }
    for (size_t i = 0; ok && i < n; i++) {
        ok = add_worker(held, c, boots->element[i], names, now_us / 1000000, &total, e);
    }
    add_i64(held, "count", total);
    freeReplyObject(boots);
    return ok;
}

cJSON *queues_list(redisContext *c, const struct queue_names *names, struct err *e)
{
    cJSON *doc = cJSON_CreateObject();
    struct queue_names all = {0};
    int64_t now_us;
    bool ok;

    for (int i = 0; i < names->n; i++) {
        queue_names_add(&all, names->names[i]);
    }
    ok = rds_time_us(c, &now_us, e);
    if (ok) {
        add_i64(doc, "at", now_us / 1000000);
        ok = add_held(doc, c, &all, now_us, e) && add_queues(doc, c, &all, now_us, e) &&
             add_shelves(doc, c, now_us, e);
    }
    queue_names_fini(&all);
    if (!ok) {
        cJSON_Delete(doc);
        return NULL;
    }
    return doc;
}

/* --------------------------------------------------------------------------- one queue's inside */

static bool peek_list(cJSON *messages, redisContext *c, const char *name, int priority,
                      int64_t limit, int64_t now_us, struct err *e)
{
    char list[BROKER_LIST_SIZE], count[24];
    const char *args[] = {list, count};
    redisReply *r;

    if (!msg_list_name(list, sizeof list, name, priority)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "the queue's name is too long");
    }
    snprintf(count, sizeof count, "%" PRId64, limit);
    r = script_run(c, &LUA_PEEK, 1, 2, args, NULL, e);
    if (!r) {
        return false;
    }
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        cJSON *message = cJSON_CreateObject();

        add_i64(message, "priority", priority);
        add_i64(message, "bytes", r->element[i]->integer);
        describe(message, r->element[i + 1]->str, (size_t)r->element[i + 1]->len, "age_s", now_us);
        cJSON_AddItemToArray(messages, message);
    }
    freeReplyObject(r);
    return true;
}

cJSON *queues_peek(redisContext *c, const char *name, int64_t limit, struct err *e)
{
    cJSON *doc = cJSON_CreateObject(), *messages = cJSON_AddArrayToObject(doc, "messages");
    int64_t now_us = 0, ready = queues_length(c, name, e);
    bool ok = ready >= 0 && rds_time_us(c, &now_us, e);

    limit = limit < QUEUES_PEEK_MAX ? limit : QUEUES_PEEK_MAX;
    for (int step = 0; ok && step < KEY_PRIORITY_STEPS; step++) {
        int64_t left = limit - cJSON_GetArraySize(messages);

        ok = left <= 0 || peek_list(messages, c, name, step * 3, left, now_us, e);
    }
    if (!ok) {
        cJSON_Delete(doc);
        return NULL;
    }
    add_i64(doc, "at", now_us / 1000000);
    add_i64(doc, "ready", ready);
    cJSON_AddStringToObject(doc, "name", text_is_utf8(name, strlen(name)) ? name : "?");
    return doc;
}

/* One member of the delayed set: {"q": list, "m": message, ...}. */
static cJSON *delayed_entry(redisReply *const *at, int64_t now_us)
{
    cJSON *entry = cJSON_CreateObject(), *v;
    double due_ms = strtod(at[0]->str, NULL);
    const char *text;
    struct err ignored;

    if (due_ms > -1e15 && due_ms < 1e15) {
        add_i64(entry, "due_in_s", (int64_t)((due_ms - (double)now_us / 1000) / 1000));
    }
    add_i64(entry, "bytes", at[1]->integer);
    if (at[2]->len == 0) {
        return entry;
    }
    v = json_parse(at[2]->str, (size_t)at[2]->len, &ignored);
    text = json_get_str(v, "m");
    if (text && json_get_str(v, "q")) {
        cJSON_AddStringToObject(entry, "queue", json_get_str(v, "q"));
        describe(entry, text, strlen(text), "age_s", now_us);
    } else {
        cJSON_AddStringToObject(entry, "fault", "not a member of ours");
    }
    cJSON_Delete(v);
    return entry;
}

cJSON *queues_delayed(redisContext *c, int64_t limit, struct err *e)
{
    redisReply *card = rds_command(c, e, "ZCARD " KEY_DELAYED), *r = NULL;
    char count[24];
    const char *args[] = {KEY_DELAYED, count};
    cJSON *doc, *messages;
    int64_t now_us;

    limit = limit < QUEUES_PEEK_MAX ? limit : QUEUES_PEEK_MAX;
    snprintf(count, sizeof count, "%" PRId64, limit);
    if (card && rds_time_us(c, &now_us, e)) {
        r = script_run(c, &LUA_DELAYED, 1, 2, args, NULL, e);
    }
    if (!r) {
        freeReplyObject(card);
        return NULL;
    }
    doc = cJSON_CreateObject();
    add_i64(doc, "at", now_us / 1000000);
    add_i64(doc, "count", card->integer);
    messages = cJSON_AddArrayToObject(doc, "messages");
    for (size_t i = 0; i + 2 < r->elements; i += 3) {
        cJSON_AddItemToArray(messages, delayed_entry(r->element + i, now_us));
    }
    freeReplyObject(card);
    freeReplyObject(r);
    return doc;
}

/* -------------------------------------------------------------------------------- whole queues */

/* Runs a script on the counters (when it wants them) and the queue's lists; -1 and *e. */
static int64_t run_on_lists(redisContext *c, struct script *s, bool counters, const char *name,
                            struct err *e)
{
    char lists[KEY_PRIORITY_STEPS][BROKER_LIST_SIZE];
    const char *args[KEY_PRIORITY_STEPS + 1] = {KEY_COUNTERS};
    int n = counters ? 1 : 0;
    int64_t result = -1;
    redisReply *r;

    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        if (!msg_list_name(lists[step], sizeof lists[step], name, step * 3)) {
            err_set(e, ERR_PERMANENT, "ValueError", "the queue's name is too long");
            return -1;
        }
        args[n++] = lists[step];
    }
    r = script_run(c, s, n, n, args, NULL, e);
    if (r) {
        result = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
        freeReplyObject(r);
    }
    return result;
}

int64_t queues_purge(redisContext *c, const char *name, struct err *e)
{
    return run_on_lists(c, &LUA_PURGE, true, name, e);
}

int64_t queues_length(redisContext *c, const char *name, struct err *e)
{
    static struct script LUA_LENGTH = {
        .name = "queue_length",
        .lua = "local n = 0\n"
               "for _, key in ipairs(KEYS) do n = n + redis.call('LLEN', key) end\n"
               "return n\n",
    };

    return run_on_lists(c, &LUA_LENGTH, false, name, e);
}
