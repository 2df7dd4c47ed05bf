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

/* ---- building commands ---- */

#define ARGS_FIRST 32 /* enough for every step without pushes */

static void begin(struct broker_cmd *c, struct script *s)
{
    *c = (struct broker_cmd){.script = s};
}

static bool make_room(struct broker_cmd *c)
{
    int cap = c->cap ? 2 * c->cap : ARGS_FIRST;
    char **args;
    size_t *lens;

    if (c->n < c->cap) {
        return true;
    }
    args = mem_try_resize(c->args, (size_t)cap, sizeof *args);
    if (!args) {
        return false;
    }
    c->args = args;
    lens = mem_try_resize(c->lens, (size_t)cap, sizeof *lens);
    if (!lens) {
        return false;
    }
    c->lens = lens;
    c->cap = cap;
    return true;
}

/* Takes the bytes as they are; they stay the caller's when it fails. */
static void put(struct broker_cmd *c, char *bytes, size_t len)
{
    if (!make_room(c)) {
        c->failed = true;
        return;
    }
    c->args[c->n] = bytes;
    c->lens[c->n] = len;
    c->n++;
}

static void add_bytes(struct broker_cmd *c, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy || !make_room(c)) {
        c->failed = true;
        free(copy);
        return;
    }
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    put(c, copy, len);
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

static void key3(struct broker_cmd *c, const char *prefix, const char *rest, const char *suffix)
{
    char name[KIB];

    snprintf(name, sizeof name, "%s%s%s", prefix, rest, suffix);
    key(c, name);
}

static void key2(struct broker_cmd *c, const char *prefix, const char *rest)
{
    key3(c, prefix, rest, "");
}

/* held, counters, boot: how every step that ends a hold begins. */
static void keys_hold(struct broker_cmd *c, const struct broker *b)
{
    key2(c, KEY_HELD_PREFIX, b->boot);
    key(c, KEY_COUNTERS);
    key2(c, KEY_BOOT_PREFIX, b->boot);
}

static void keys_worker(struct broker_cmd *c, const struct broker *b)
{
    key(c, KEY_WORKERS);
    key2(c, KEY_WORKER_PREFIX, b->boot);
}

static void keys_kombu(struct broker_cmd *c)
{
    key(c, KEY_UNACKED);
    key(c, KEY_UNACKED_INDEX);
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
    broker_merge_fini(c);
}

/* ---- a worker's life ---- */

void broker_list(const char *queue, int step, char out[BROKER_LIST_SIZE])
{
    MUST(step >= 0 && step < KEY_PRIORITY_STEPS);
    MUST(msg_list_name(out, BROKER_LIST_SIZE, queue, step * 3));
}

void broker_register(struct broker_cmd *c, const struct broker *b, const char *info_json)
{
    begin(c, &BROKER_LUA_REGISTER);
    keys_worker(c, b);
    key2(c, KEY_BOOT_PREFIX, b->boot);
    key(c, KEY_COUNTERS);
    key(c, KEY_DELAYED);
    key(c, KEY_DEAD);
    key(c, KEY_QUARANTINE);
    arg(c, b->boot);
    arg_i64(c, BROKER_HEARTBEAT_MS);
    arg(c, info_json);
}

void broker_heartbeat(struct broker_cmd *c, const struct broker *b, const struct broker_beat *beat)
{
    begin(c, &BROKER_LUA_HEARTBEAT);
    keys_worker(c, b);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_DELAYED);
    key(c, KEY_QUARANTINE);
    keys_kombu(c);
    arg(c, b->boot);
    arg_i64(c, BROKER_HEARTBEAT_MS);
    arg(c, beat->info_json);
    arg(c, beat->known);
    arg_i64(c, beat->taken);
    arg_i64(c, beat->ended);
    arg(c, KEY_WORKER_PREFIX);
    arg(c, KEY_HELD_PREFIX);
    arg_i64(c, BROKER_BATCH_MAX);
    arg_i64(c, BROKER_HEARTBEAT_MS / 1000);
    args_quarantine(c);
}

void broker_unregister(struct broker_cmd *c, const struct broker *b)
{
    begin(c, &BROKER_LUA_UNREGISTER);
    keys_worker(c, b);
    keys_hold(c, b);
    keys_kombu(c);
    arg(c, b->boot);
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

void broker_take(struct broker_cmd *c, const struct broker *b, const struct broker_want *want)
{
    char list[BROKER_LIST_SIZE];
    const struct broker_queues *q = b->queues;

    MUST(q->count >= 1 && want->count >= 1 && want->count <= BROKER_TAKE_MAX);
    begin(c, &BROKER_LUA_TAKE);
    key(c, KEY_WORKERS);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_QUARANTINE);
    keys_kombu(c);
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        for (int i = 0; i < q->count; i++) {
            broker_list(q->name[(want->turn + (unsigned)i) % (unsigned)q->count], step, list);
            key(c, list);
        }
    }
    arg(c, b->boot);
    arg_i64(c, (int64_t)want->first);
    arg_i64(c, want->count);
    arg_i64(c, (int64_t)BROKER_TAKE_BYTES_MAX);
    arg_i64(c, (int64_t)MSG_BYTES_MAX);
    arg(c, KEY_OVERSIZED);
    arg(c, KEY_RESTORED_PREFIX);
    arg(c, KEY_WORKER_PREFIX);
    arg(c, KEY_HELD_PREFIX);
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

void broker_adopt(struct broker_cmd *c, const struct broker *b, const char *tag, const char *bytes,
                  size_t len)
{
    begin(c, &BROKER_LUA_ADOPT);
    key2(c, KEY_HELD_PREFIX, b->boot);
    key(c, KEY_RECOVERIES);
    arg(c, tag);
    add_bytes(c, bytes, len);
}

void broker_started(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                    const char *doc, int64_t expires_s)
{
    begin(c, &BROKER_LUA_STARTED);
    key2(c, KEY_HELD_PREFIX, b->boot);
    key2(c, KEY_RESULT_PREFIX, h->id);
    arg(c, h->tag);
    arg(c, doc);
    arg_i64(c, expires_s);
}

void broker_single(struct broker_cmd *c, const struct broker *b, const char *tag, const char *task)
{
    begin(c, &BROKER_LUA_SINGLE);
    key2(c, KEY_HELD_PREFIX, b->boot);
    key2(c, KEY_SINGLE_PREFIX, task);
    arg(c, b->boot);
    arg(c, tag);
    arg(c, KEY_HELD_PREFIX);
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

static void args_follow(struct broker_cmd *c, const struct broker_end *end)
{
    static const char *const KINDS[] = {
        [FOLLOW_PUSH] = "push", [FOLLOW_STORE] = "store", [FOLLOW_SET] = "set"};

    arg_i64(c, end->follow_count);
    if (end->follow_count > BROKER_FOLLOWS_MAX || follow_bytes(end) > BROKER_FOLLOW_BYTES_MAX) {
        c->failed = true;
        return;
    }
    for (int i = 0; i < end->follow_count; i++) {
        const struct follow *f = &end->follows[i];

        arg(c, KINDS[f->kind]);
        arg(c, f->key);
        add_bytes(c, f->bytes, f->len);
        arg(c, f->guard);
    }
}

void broker_finish(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                   const struct broker_end *end)
{
    begin(c, &BROKER_LUA_FINISH);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    key(c, KEY_LOSSES);
    key(c, KEY_DEAD);
    key(c, KEY_QUARANTINE);
    keys_kombu(c);
    key2(c, KEY_RESULT_PREFIX, h->id);
    arg_i64(c, BROKER_DEAD_MAX);
    args_quarantine(c);
    arg(c, KEY_RESTORED_PREFIX);
    arg(c, KEY_GROUP_PREFIX);
    arg(c, h->tag);
    arg(c, h->id);
    arg(c, end->doc);
    arg_i64(c, end->expires_s);
    arg(c, end->success ? "1" : "0");
    arg(c, end->dead);
    args_follow(c, end);
}

bool broker_is_plain(const struct broker_cmd *c)
{
    return c->script == &BROKER_LUA_FINISH && !c->failed && c->n == FINISH_AT(FINISH_EACH) &&
           c->lens[FINISH_AT(FINISH_DEAD)] == 0;
}

void broker_merge(struct broker_cmd *all, const struct broker_cmd *const *cmds, int n)
{
    begin(all, &BROKER_LUA_FINISH);
    for (int i = 0; i < FINISH_KEYS; i++) {
        put(all, cmds[0]->args[i], cmds[0]->lens[i]);
    }
    for (int i = 0; i < n; i++) {
        MUST(broker_is_plain(cmds[i]));
        put(all, cmds[i]->args[FINISH_KEYS], cmds[i]->lens[FINISH_KEYS]);
    }
    all->keys = FINISH_KEYS + n;
    for (int i = FINISH_KEYS + 1; i < FINISH_AT(0); i++) {
        put(all, cmds[0]->args[i], cmds[0]->lens[i]);
    }
    for (int i = 0; i < n; i++) {
        for (int k = FINISH_AT(0); k < FINISH_AT(FINISH_EACH); k++) {
            put(all, cmds[i]->args[k], cmds[i]->lens[k]);
        }
    }
}

void broker_merge_fini(struct broker_cmd *all)
{
    free(all->args);
    free(all->lens);
    *all = (struct broker_cmd){0};
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

static void postpone(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                     const struct broker_later *later, const char *counter)
{
    char nonce[UUID_SIZE + BROKER_TAG_SIZE];

    begin(c, &BROKER_LUA_POSTPONE);
    keys_hold(c, b);
    key(c, KEY_RECOVERIES);
    keys_kombu(c);
    key(c, KEY_DELAYED);
    key2(c, KEY_RESULT_PREFIX, h->id);
    arg(c, h->tag);
    snprintf(nonce, sizeof nonce, "%s:%.*s", b->boot, (int)strcspn(h->tag, ":"), h->tag);
    arg(c, nonce);
    arg(c, h->id);
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
    keys_kombu(c);
    arg(c, tag);
}

void broker_lost(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h)
{
    begin(c, &BROKER_LUA_LOST);
    keys_hold(c, b);
    keys_kombu(c);
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
    keys_kombu(c);
    key(c, KEY_QUARANTINE);
    arg(c, tag);
    arg(c, reason);
    arg(c, b64);
    args_quarantine(c);
}

/* ---- beside the holds ---- */

void broker_chord_part(struct broker_cmd *c, const struct broker_part *part)
{
    struct buf begins;

    begin(c, &BROKER_LUA_CHORD_PART);
    key3(c, KEY_GROUP_PREFIX, part->group, ".j");
    key3(c, KEY_GROUP_PREFIX, part->group, ".s");
    key3(c, KEY_GROUP_PREFIX, part->group, ".t");
    key2(c, KEY_GROUP_PREFIX, part->group);
    key2(c, KEY_CHORD_PREFIX, part->group);
    buf_init(&begins, 16 * KIB);
    buf_addstr(&begins, "[1, ");
    buf_add_json(&begins, part->id, strlen(part->id));
    buf_addch(&begins, ',');
    arg(c, part->score);
    add_bytes(c, part->member, part->len);
    add_bytes(c, begins.data ? begins.data : "", begins.len);
    c->failed |= begins.failed;
    buf_fini(&begins);
    arg_i64(c, part->expires_s);
    arg_i64(c, BROKER_PARTS_MAX);
    arg_i64(c, BROKER_PART_BYTES_MAX);
    arg(c, part->again ? "1" : "0");
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

void broker_due(struct broker_cmd *c)
{
    begin(c, &BROKER_LUA_DUE);
    key(c, KEY_DELAYED);
    key(c, KEY_QUARANTINE);
    key(c, KEY_COUNTERS);
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
