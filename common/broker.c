#include "common/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker_lua.h"
#include "common/keys.h"
#include "common/msg.h"

struct script *const BROKER_SCRIPTS[] = {
    &BROKER_LUA_REGISTER, &BROKER_LUA_HEARTBEAT,  &BROKER_LUA_UNREGISTER, &BROKER_LUA_TAKE,
    &BROKER_LUA_ADOPT,    &BROKER_LUA_FINISH,     &BROKER_LUA_POSTPONE,   &BROKER_LUA_REQUEUE,
    &BROKER_LUA_LOST,     &BROKER_LUA_QUARANTINE, &BROKER_LUA_DUE,
};
const size_t BROKER_SCRIPT_COUNT = ARRAY_LEN(BROKER_SCRIPTS);

static void begin(struct broker_cmd *c, struct script *s)
{
    *c = (struct broker_cmd){.script = s};
}

static void add_bytes(struct broker_cmd *c, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    MUST(c->n < BROKER_ARGS_MAX);
    if (!copy) {
        c->failed = true;
        return;
    }
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    c->args[c->n] = copy;
    c->lens[c->n] = len;
    c->n++;
}

static void arg(struct broker_cmd *c, const char *s)
{
    add_bytes(c, s ? s : "", s ? strlen(s) : 0);
}

static void arg_i64(struct broker_cmd *c, int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    arg(c, text);
}

static void key(struct broker_cmd *c, const char *name)
{
    arg(c, name);
    c->keys++;
}

static void key2(struct broker_cmd *c, const char *prefix, const char *rest)
{
    char name[KIB];

    snprintf(name, sizeof name, "%s%s", prefix, rest);
    key(c, name);
}

/* held, heldq, counters: how every step that ends a hold begins. */
static void keys_hold(struct broker_cmd *c, const struct broker *b)
{
    key2(c, KEY_HELD_PREFIX, b->boot);
    key2(c, KEY_HELDQ_PREFIX, b->boot);
    key(c, KEY_COUNTERS);
}

static void keys_worker(struct broker_cmd *c, const struct broker *b)
{
    key(c, KEY_WORKERS);
    key2(c, KEY_WORKER_PREFIX, b->boot);
}

static void args_quarantine(struct broker_cmd *c)
{
    arg_i64(c, BROKER_QUARANTINE_MAX);
    arg_i64(c, BROKER_DEAD_BYTES_MAX);
}

void broker_cmd_fini(struct broker_cmd *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->args[i]);
    }
    *c = (struct broker_cmd){0};
}

void broker_list(const struct broker *b, int step, char out[BROKER_LIST_SIZE])
{
    MUST(step >= 0 && step < KEY_PRIORITY_STEPS);
    MUST(msg_list_name(out, BROKER_LIST_SIZE, b->queue, step * 3));
}

void broker_register(struct broker_cmd *c, const struct broker *b, const char *info_json)
{
    begin(c, &BROKER_LUA_REGISTER);
    keys_worker(c, b);
    arg(c, b->boot);
    arg_i64(c, BROKER_HEARTBEAT_MS);
    arg(c, info_json);
}

void broker_heartbeat(struct broker_cmd *c, const struct broker *b, const char *info_json,
                      const char *known_tags)
{
    begin(c, &BROKER_LUA_HEARTBEAT);
    keys_worker(c, b);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_DELAYED);
    key(c, KEY_QUARANTINE);
    arg(c, b->boot);
    arg_i64(c, BROKER_HEARTBEAT_MS);
    arg(c, info_json);
    arg(c, known_tags);
    arg(c, KEY_WORKER_PREFIX);
    arg(c, KEY_HELD_PREFIX);
    arg(c, KEY_HELDQ_PREFIX);
    arg_i64(c, BROKER_BATCH_MAX);
    arg_i64(c, BROKER_HEARTBEAT_MS / 1000);
    args_quarantine(c);
}

void broker_unregister(struct broker_cmd *c, const struct broker *b)
{
    begin(c, &BROKER_LUA_UNREGISTER);
    keys_worker(c, b);
    keys_hold(c, b);
    arg(c, b->boot);
}

void broker_take(struct broker_cmd *c, const struct broker *b, const char *tag)
{
    char list[BROKER_LIST_SIZE];

    begin(c, &BROKER_LUA_TAKE);
    key(c, KEY_WORKERS);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_QUARANTINE);
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        broker_list(b, step, list);
        key(c, list);
    }
    arg(c, b->boot);
    arg(c, tag);
    arg_i64(c, (int64_t)MSG_BYTES_MAX);
    arg(c, KEY_OVERSIZED);
    args_quarantine(c);
}

static bool is_int(const redisReply *r, size_t i)
{
    return i < r->elements && r->element[i]->type == REDIS_REPLY_INTEGER;
}

static bool is_str(const redisReply *r, size_t i)
{
    return i < r->elements && r->element[i]->type == REDIS_REPLY_STRING;
}

enum broker_take_result broker_read_take(const redisReply *r, struct broker_taken *t)
{
    if (!r || r->type != REDIS_REPLY_ARRAY || !is_int(r, 0)) {
        return BROKER_NONSENSE;
    }
    switch (r->element[0]->integer) {
    case 0:
        return BROKER_EMPTY;
    case -1:
        return BROKER_GONE;
    case 2:
        return BROKER_OVERSIZED;
    default:
        break;
    }
    if (!is_str(r, 1) || !is_str(r, 2) || !is_int(r, 3) || !is_int(r, 4)) {
        return BROKER_NONSENSE;
    }
    *t = (struct broker_taken){.list = r->element[1]->str,
                               .bytes = r->element[2]->str,
                               .len = (size_t)r->element[2]->len,
                               .now_ms = r->element[3]->integer,
                               .recoveries = r->element[4]->integer};
    return BROKER_TOOK;
}

void broker_adopt(struct broker_cmd *c, const struct broker *b, const char *tag, const char *bytes,
                  size_t len)
{
    begin(c, &BROKER_LUA_ADOPT);
    key2(c, KEY_HELD_PREFIX, b->boot);
    key(c, KEY_RECOVERIES);
    arg(c, tag);
    add_bytes(c, bytes, len);
}

void broker_finish(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                   const struct broker_end *end)
{
    begin(c, &BROKER_LUA_FINISH);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_LOSSES);
    key(c, KEY_DEAD);
    key2(c, KEY_RESULT_PREFIX, h->id);
    arg(c, h->tag);
    arg(c, h->id);
    arg(c, end->doc);
    arg(c, end->success ? "1" : "0");
    arg_i64(c, end->expires_s);
    arg(c, end->dead);
    arg_i64(c, BROKER_DEAD_MAX);
    arg_i64(c, BROKER_DEAD_BYTES_MAX);
}

static void postpone(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                     const struct broker_later *later, const char *counter)
{
    char nonce[UUID_SIZE + BROKER_TAG_SIZE];

    begin(c, &BROKER_LUA_POSTPONE);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_DELAYED);
    key2(c, KEY_RESULT_PREFIX, h->id);
    arg(c, h->tag);
    snprintf(nonce, sizeof nonce, "%s:%s", b->boot, h->tag);
    arg(c, nonce);
    add_bytes(c, later->bytes, later->len);
    arg_i64(c, later->due_ms);
    arg(c, later->relative ? "1" : "0");
    arg(c, counter);
    arg(c, later->doc);
    arg_i64(c, later->expires_s);
}

void broker_retry(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later)
{
    postpone(c, b, h, later, "retried");
}

void broker_delay(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later)
{
    struct broker_later quiet = *later;

    quiet.doc = NULL;
    postpone(c, b, h, &quiet, "delayed");
}

void broker_requeue(struct broker_cmd *c, const struct broker *b, const char *tag)
{
    begin(c, &BROKER_LUA_REQUEUE);
    keys_hold(c, b);
    arg(c, tag);
}

void broker_lost(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h)
{
    begin(c, &BROKER_LUA_LOST);
    keys_hold(c, b);
    key(c, KEY_LOSSES);
    arg(c, h->tag);
    arg(c, h->id);
    arg_i64(c, BROKER_LOSSES_MAX);
}

void broker_quarantine(struct broker_cmd *c, const struct broker *b, const char *tag,
                       const char *reason, const char *b64)
{
    begin(c, &BROKER_LUA_QUARANTINE);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_QUARANTINE);
    arg(c, tag);
    arg(c, reason);
    arg(c, b64);
    args_quarantine(c);
}

void broker_due(struct broker_cmd *c)
{
    begin(c, &BROKER_LUA_DUE);
    key(c, KEY_DELAYED);
    key(c, KEY_QUARANTINE);
    arg_i64(c, BROKER_BATCH_MAX);
    args_quarantine(c);
}

redisReply *broker_run(redisContext *c, const struct broker_cmd *cmd, struct err *e)
{
    if (cmd->failed) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a Redis command");
        return NULL;
    }
    return script_run(c, cmd->script, cmd->keys, cmd->n, (const char *const *)cmd->args, cmd->lens,
                      e);
}

bool broker_push(redisContext *c, const char *queue, int priority, const char *bytes, size_t len,
                 struct err *e)
{
    char list[BROKER_LIST_SIZE];
    redisReply *r;

    if (!msg_list_name(list, sizeof list, queue, priority)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "the queue's name is longer than %d bytes",
                       BROKER_QUEUE_MAX);
    }
    r = rds_command(c, e, "LPUSH %s %b", list, bytes, len);
    if (!r) {
        return false;
    }
    freeReplyObject(r);
    return true;
}
