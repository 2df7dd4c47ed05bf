#include "common/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker_lua.h"
#include "common/keys.h"
#include "common/mem.h"
#include "common/msg.h"

struct script *const BROKER_SCRIPTS[] = {
    &BROKER_LUA_REGISTER,   &BROKER_LUA_HEARTBEAT, &BROKER_LUA_UNREGISTER, &BROKER_LUA_TAKE,
    &BROKER_LUA_ADOPT,      &BROKER_LUA_STARTED,   &BROKER_LUA_SINGLE,     &BROKER_LUA_FINISH,
    &BROKER_LUA_POSTPONE,   &BROKER_LUA_REQUEUE,   &BROKER_LUA_LOST,       &BROKER_LUA_QUARANTINE,
    &BROKER_LUA_CHORD_PART, &BROKER_LUA_DUE,
};
const size_t BROKER_SCRIPT_COUNT = ARRAY_LEN(BROKER_SCRIPTS);

/* ---- what several steps begin or end with ---- */

/* held, counters, boot: how every step that ends a hold begins. */
static void keys_hold(struct command *c, const struct broker *b)
{
    command_key2(c, KEY_HELD_PREFIX, b->boot);
    command_key(c, KEY_COUNTERS);
    command_key2(c, KEY_BOOT_PREFIX, b->boot);
}

static void keys_worker(struct command *c, const struct broker *b)
{
    command_key(c, KEY_WORKERS);
    command_key2(c, KEY_WORKER_PREFIX, b->boot);
}

static void keys_kombu(struct command *c)
{
    command_key(c, KEY_UNACKED);
    command_key(c, KEY_UNACKED_INDEX);
}

static void args_quarantine(struct command *c)
{
    command_i64(c, BROKER_QUARANTINE_MAX);
    command_i64(c, BROKER_DEAD_BYTES_MAX);
}

/* ---- a worker's life ---- */

void broker_list(const char *queue, int step, char out[BROKER_LIST_SIZE])
{
    MUST(step >= 0 && step < KEY_PRIORITY_STEPS);
    MUST(msg_list_name(out, BROKER_LIST_SIZE, queue, step * 3));
}

void broker_register(struct command *c, const struct broker *b, const char *info_json)
{
    command_begin(c, &BROKER_LUA_REGISTER);
    keys_worker(c, b);
    command_key2(c, KEY_BOOT_PREFIX, b->boot);
    command_key(c, KEY_COUNTERS);
    command_key(c, KEY_DELAYED);
    command_key(c, KEY_DEAD);
    command_key(c, KEY_QUARANTINE);
    command_arg(c, b->boot);
    command_i64(c, BROKER_HEARTBEAT_MS);
    command_arg(c, info_json);
}

void broker_heartbeat(struct command *c, const struct broker *b, const struct broker_beat *beat)
{
    command_begin(c, &BROKER_LUA_HEARTBEAT);
    keys_worker(c, b);
    keys_hold(c, b);
    command_key(c, KEY_RECOVERIES);
    command_key(c, KEY_DELAYED);
    command_key(c, KEY_QUARANTINE);
    keys_kombu(c);
    command_arg(c, b->boot);
    command_i64(c, BROKER_HEARTBEAT_MS);
    command_arg(c, beat->info_json);
    command_arg(c, beat->known);
    command_i64(c, beat->taken);
    command_i64(c, beat->ended);
    command_arg(c, KEY_WORKER_PREFIX);
    command_arg(c, KEY_HELD_PREFIX);
    command_i64(c, BROKER_BATCH_MAX);
    command_i64(c, BROKER_HEARTBEAT_MS / 1000);
    args_quarantine(c);
}

void broker_unregister(struct command *c, const struct broker *b)
{
    command_begin(c, &BROKER_LUA_UNREGISTER);
    keys_worker(c, b);
    keys_hold(c, b);
    keys_kombu(c);
    command_arg(c, b->boot);
}

static bool is_int(const redisReply *r, size_t i)
{
    return i < r->elements && r->element[i]->type == REDIS_REPLY_INTEGER;
}

static bool is_str(const redisReply *r, size_t i)
{
    return i < r->elements && r->element[i]->type == REDIS_REPLY_STRING;
}

bool broker_read_heartbeat(const redisReply *r, struct broker_beat_reply *out)
{
    int64_t v[9];

    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != ARRAY_LEN(v)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        if (!is_int(r, i)) {
            return false;
        }
        v[i] = r->element[i]->integer;
    }
    *out = (struct broker_beat_reply){.registered = v[0] == 1,
                                      .put_back = v[1],
                                      .messages = v[2],
                                      .workers = v[3],
                                      .moved = v[4],
                                      .next_ms = v[5],
                                      .lost = v[6],
                                      .taken = v[7],
                                      .ended = v[8]};
    return true;
}

/* ---- taking ---- */

void broker_take(struct command *c, const struct broker *b, const struct broker_want *want)
{
    char list[BROKER_LIST_SIZE];
    const struct broker_queues *q = b->queues;

    MUST(q->count >= 1 && want->count >= 1 && want->count <= BROKER_TAKE_MAX);
    command_begin(c, &BROKER_LUA_TAKE);
    command_key(c, KEY_WORKERS);
    keys_hold(c, b);
    command_key(c, KEY_RECOVERIES);
    command_key(c, KEY_QUARANTINE);
    keys_kombu(c);
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        for (int i = 0; i < q->count; i++) {
            broker_list(q->name[(want->turn + (unsigned)i) % (unsigned)q->count], step, list);
            command_key(c, list);
        }
    }
    command_arg(c, b->boot);
    command_i64(c, (int64_t)want->first);
    command_i64(c, want->count);
    command_i64(c, (int64_t)BROKER_TAKE_BYTES_MAX);
    command_i64(c, (int64_t)MSG_BYTES_MAX);
    command_arg(c, KEY_OVERSIZED);
    command_arg(c, KEY_RESTORED_PREFIX);
    command_arg(c, KEY_WORKER_PREFIX);
    command_arg(c, KEY_HELD_PREFIX);
    args_quarantine(c);
}

/* A reply of take: code, now, oversized, copies; then tag, list, message, recoveries of each. */
#define TAKE_HEAD 4
#define TAKE_EACH 4

enum broker_take_result broker_read_take(const redisReply *r, struct broker_batch *out)
{
    *out = (struct broker_batch){.reply = r};
    if (!r || r->type != REDIS_REPLY_ARRAY || !is_int(r, 0)) {
        return BROKER_NONSENSE;
    }
    if (r->element[0]->integer != 1) {
        return r->element[0]->integer == 0 ? BROKER_EMPTY : BROKER_GONE;
    }
    if (!is_int(r, 1) || !is_int(r, 2) || !is_int(r, 3) || r->elements % TAKE_EACH != 0) {
        return BROKER_NONSENSE;
    }
    out->count = (int)((r->elements - TAKE_HEAD) / TAKE_EACH);
    out->now_ms = r->element[1]->integer;
    out->oversized = r->element[2]->integer;
    out->copies = r->element[3]->integer;
    return BROKER_TOOK;
}

bool broker_batch_get(const struct broker_batch *batch, int i, struct broker_taken *t)
{
    const redisReply *r = batch->reply;
    size_t at = TAKE_HEAD + TAKE_EACH * (size_t)i;

    if (!is_str(r, at) || !is_str(r, at + 1) || !is_str(r, at + 2) || !is_int(r, at + 3)) {
        return false;
    }
    *t = (struct broker_taken){.tag = r->element[at]->str,
                               .list = r->element[at + 1]->str,
                               .bytes = r->element[at + 2]->str,
                               .len = (size_t)r->element[at + 2]->len,
                               .now_ms = batch->now_ms,
                               .recoveries = r->element[at + 3]->integer};
    return true;
}

/* ---- while it is held ---- */

void broker_adopt(struct command *c, const struct broker *b, const char *tag, const char *bytes,
                  size_t len)
{
    command_begin(c, &BROKER_LUA_ADOPT);
    command_key2(c, KEY_HELD_PREFIX, b->boot);
    command_key(c, KEY_RECOVERIES);
    command_arg(c, tag);
    command_bytes(c, bytes, len);
}

void broker_started(struct command *c, const struct broker *b, const struct broker_hold *h,
                    const char *doc, int64_t expires_s)
{
    command_begin(c, &BROKER_LUA_STARTED);
    command_key2(c, KEY_HELD_PREFIX, b->boot);
    command_key2(c, KEY_RESULT_PREFIX, h->id);
    command_arg(c, h->tag);
    command_arg(c, doc);
    command_i64(c, expires_s);
}

void broker_single(struct command *c, const struct broker *b, const char *tag, const char *task)
{
    command_begin(c, &BROKER_LUA_SINGLE);
    command_key2(c, KEY_HELD_PREFIX, b->boot);
    command_key2(c, KEY_SINGLE_PREFIX, task);
    command_arg(c, b->boot);
    command_arg(c, tag);
    command_arg(c, KEY_HELD_PREFIX);
}

/* ---- endings ---- */

#define FINISH_KEYS  9 /* that all finishes of a boot id share; then the result's */
#define FINISH_ARGS  5 /* the same for arguments; then FINISH_EACH of each, and its follows */
#define FINISH_EACH  7
#define FINISH_AT(x) (FINISH_KEYS + 1 + FINISH_ARGS + (x)) /* in a finish of its own */
#define FINISH_DEAD  5

static size_t follow_bytes(const struct broker_end *end)
{
    size_t sum = 0;

    for (int i = 0; i < end->follow_count; i++) {
        sum += end->follows[i].len;
    }
    return sum;
}

static void args_follow(struct command *c, const struct broker_end *end)
{
    static const char *const KINDS[] = {
        [FOLLOW_PUSH] = "push", [FOLLOW_STORE] = "store", [FOLLOW_SET] = "set"};

    command_i64(c, end->follow_count);
    if (end->follow_count > BROKER_FOLLOWS_MAX || follow_bytes(end) > BROKER_FOLLOW_BYTES_MAX) {
        c->failed = true;
        return;
    }
    for (int i = 0; i < end->follow_count; i++) {
        const struct follow *f = &end->follows[i];

        command_arg(c, KINDS[f->kind]);
        command_arg(c, f->key);
        command_bytes(c, f->bytes, f->len);
        command_arg(c, f->guard);
    }
}

void broker_finish(struct command *c, const struct broker *b, const struct broker_hold *h,
                   const struct broker_end *end)
{
    command_begin(c, &BROKER_LUA_FINISH);
    keys_hold(c, b);
    command_key(c, KEY_RECOVERIES);
    command_key(c, KEY_LOSSES);
    command_key(c, KEY_DEAD);
    command_key(c, KEY_QUARANTINE);
    keys_kombu(c);
    command_key2(c, KEY_RESULT_PREFIX, h->id);
    command_i64(c, BROKER_DEAD_MAX);
    args_quarantine(c);
    command_arg(c, KEY_RESTORED_PREFIX);
    command_arg(c, KEY_GROUP_PREFIX);
    command_arg(c, h->tag);
    command_arg(c, h->id);
    command_arg(c, end->doc);
    command_i64(c, end->expires_s);
    command_arg(c, end->success ? "1" : "0");
    command_arg(c, end->dead);
    args_follow(c, end);
}

bool broker_is_plain(const struct command *c)
{
    return c->script == &BROKER_LUA_FINISH && !c->failed && c->n == FINISH_AT(FINISH_EACH) &&
           c->lens[FINISH_AT(FINISH_DEAD)] == 0;
}

void broker_merge(struct command *all, const struct command *const *cmds, int n)
{
    command_begin(all, &BROKER_LUA_FINISH);
    for (int i = 0; i < FINISH_KEYS; i++) {
        command_borrow(all, cmds[0]->args[i], cmds[0]->lens[i]);
    }
    for (int i = 0; i < n; i++) {
        MUST(broker_is_plain(cmds[i]));
        command_borrow(all, cmds[i]->args[FINISH_KEYS], cmds[i]->lens[FINISH_KEYS]);
    }
    all->keys = FINISH_KEYS + n;
    for (int i = FINISH_KEYS + 1; i < FINISH_AT(0); i++) {
        command_borrow(all, cmds[0]->args[i], cmds[0]->lens[i]);
    }
    for (int i = 0; i < n; i++) {
        for (int k = FINISH_AT(0); k < FINISH_AT(FINISH_EACH); k++) {
            command_borrow(all, cmds[i]->args[k], cmds[i]->lens[k]);
        }
    }
}

enum broker_ended broker_read_ended(const redisReply *r, int i)
{
    int64_t v = 1;

    if (r->type == REDIS_REPLY_INTEGER) {
        v = r->integer;
    } else if (r->type == REDIS_REPLY_ARRAY && is_int(r, (size_t)i)) {
        v = r->element[i]->integer;
    }
    return v == 0 ? BROKER_ENDED_GONE : v == 2 ? BROKER_ENDED_RESTORED : BROKER_ENDED;
}

static void postpone(struct command *c, const struct broker *b, const struct broker_hold *h,
                     const struct broker_later *later, const char *counter)
{
    char nonce[UUID_SIZE + BROKER_TAG_SIZE];

    command_begin(c, &BROKER_LUA_POSTPONE);
    keys_hold(c, b);
    command_key(c, KEY_RECOVERIES);
    keys_kombu(c);
    command_key(c, KEY_DELAYED);
    command_key2(c, KEY_RESULT_PREFIX, h->id);
    command_arg(c, h->tag);
    snprintf(nonce, sizeof nonce, "%s:%.*s", b->boot, (int)strcspn(h->tag, ":"), h->tag);
    command_arg(c, nonce);
    command_arg(c, h->id);
    command_bytes(c, later->bytes, later->len);
    command_i64(c, later->due_ms);
    command_arg(c, later->relative ? "1" : "0");
    command_arg(c, counter);
    command_arg(c, later->doc);
    command_i64(c, later->expires_s);
}

void broker_retry(struct command *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later)
{
    postpone(c, b, h, later, "retried");
}

void broker_delay(struct command *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later)
{
    struct broker_later quiet = *later;

    quiet.doc = NULL;
    postpone(c, b, h, &quiet, "delayed");
}

void broker_requeue(struct command *c, const struct broker *b, const char *tag)
{
    command_begin(c, &BROKER_LUA_REQUEUE);
    keys_hold(c, b);
    keys_kombu(c);
    command_arg(c, tag);
}

void broker_lost(struct command *c, const struct broker *b, const struct broker_hold *h)
{
    command_begin(c, &BROKER_LUA_LOST);
    keys_hold(c, b);
    keys_kombu(c);
    command_key(c, KEY_LOSSES);
    command_arg(c, h->tag);
    command_arg(c, h->id);
    command_i64(c, BROKER_LOSSES_MAX);
}

void broker_quarantine(struct command *c, const struct broker *b, const char *tag,
                       const char *reason, const char *b64)
{
    command_begin(c, &BROKER_LUA_QUARANTINE);
    keys_hold(c, b);
    command_key(c, KEY_RECOVERIES);
    keys_kombu(c);
    command_key(c, KEY_QUARANTINE);
    command_arg(c, tag);
    command_arg(c, reason);
    command_arg(c, b64);
    args_quarantine(c);
}

/* ---- beside the holds ---- */

void broker_chord_part(struct command *c, const struct broker_part *part)
{
    struct buf begins;

    command_begin(c, &BROKER_LUA_CHORD_PART);
    command_key3(c, KEY_GROUP_PREFIX, part->group, ".j");
    command_key3(c, KEY_GROUP_PREFIX, part->group, ".s");
    command_key3(c, KEY_GROUP_PREFIX, part->group, ".t");
    command_key2(c, KEY_GROUP_PREFIX, part->group);
    command_key2(c, KEY_CHORD_PREFIX, part->group);
    buf_init(&begins, 16 * KIB);
    buf_addstr(&begins, "[1, ");
    buf_add_json(&begins, part->id, strlen(part->id));
    buf_addch(&begins, ',');
    command_arg(c, part->score);
    command_bytes(c, part->member, part->len);
    command_bytes(c, begins.data ? begins.data : "", begins.len);
    c->failed |= begins.failed;
    buf_fini(&begins);
    command_i64(c, part->expires_s);
    command_i64(c, BROKER_PARTS_MAX);
    command_i64(c, BROKER_PART_BYTES_MAX);
    command_arg(c, part->again ? "1" : "0");
}

bool broker_read_chord(const redisReply *r, struct broker_chord *out)
{
    *out = (struct broker_chord){0};
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements < 4 || !is_int(r, 0)) {
        return false;
    }
    out->parts = r->element[0]->integer;
    out->ended = out->parts == -2;
    out->size = is_str(r, 1) ? r->element[1]->str : NULL;
    out->more = is_str(r, 2) ? r->element[2]->str : NULL;
    out->saved = is_str(r, 3) ? r->element[3]->str : NULL;
    out->too_large = is_int(r, 4);
    if (r->elements > 4 && r->element[4]->type == REDIS_REPLY_ARRAY) {
        out->members = r->element[4];
    }
    return true;
}

void broker_due(struct command *c)
{
    command_begin(c, &BROKER_LUA_DUE);
    command_key(c, KEY_DELAYED);
    command_key(c, KEY_QUARANTINE);
    command_key(c, KEY_COUNTERS);
    command_i64(c, BROKER_BATCH_MAX);
    args_quarantine(c);
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
