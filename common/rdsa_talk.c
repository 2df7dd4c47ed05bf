#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crash.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rdsa_parts.h"

/* ---- commands ---- */

static void unlink_op(struct rdsa *c, struct op *op)
{
    struct op **at = &c->ops;

    while (*at && *at != op) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = op->next;
        if (!*at) {
            c->ops_end = at;
        }
    }
}

static void setup_step_done(struct rdsa *c, const struct op *op, const redisReply *r)
{
    if (op->load && r->type == REDIS_REPLY_STRING && r->len == SCRIPT_SHA1_SIZE - 1) {
        script_sha1_set(op->load, r->str);
    }
    if (op->ask_role && !rds_read_is_master(r)) {
        rdsa_drop(c, "what the Sentinels call the master is none (yet)");
    } else if (--c->setup_left == 0) {
        rdsa_come_up(c);
    }
}

static void on_reply(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct op *op = privdata;
    struct rdsa *c = op->conn;
    const redisReply *r = reply;

    unlink_op(c, op);
    if (op->script && r) {
        CRASH_IN_STEP(op->script->name, "after");
    }
    if (r && r->type == REDIS_REPLY_ERROR && (op->setup || !c->cf.errors_are_answers)) {
        if (c->ac == ac) {
            rdsa_drop(c, r->str);
        }
        r = NULL;
    }
    if (op->fn) {
        if (r) {
            rdsa_tell_up(c);
        }
        op->fn(op->ctx, op->number, r);
    } else if (r && op->setup && c->ac == ac) {
        setup_step_done(c, op, r);
    }
    free(op);
}

static void send_op(struct rdsa *c, struct op *op, int argc, const char **argv, const size_t *lens)
{
    op->conn = c;
    *c->ops_end = op;
    c->ops_end = &op->next;
    if (!event_pending(c->deadline, EV_TIMEOUT, NULL) || c->ops == op) {
        loop_arm_ms(c->deadline, op->deadline_ms - clock_mono_ms());
    }
    if (redisAsyncCommandArgv(c->ac, on_reply, op, argc, argv, lens) != REDIS_OK) {
        /* Memory is out, or it is being closed: no callback will come for this one. */
        unlink_op(c, op);
        if (op->fn) {
            op->fn(op->ctx, op->number, NULL);
        }
        free(op);
    }
}

static struct op *op_new(int timeout_ms)
{
    struct op *op = mem_alloc(sizeof *op);

    op->deadline_ms = clock_mono_ms() + timeout_ms;
    return op;
}

void rdsa_command(struct rdsa *c, int timeout_ms, rdsa_fn fn, void *ctx, uint64_t number, int argc,
                  const char **argv)
{
    struct op *op;

    MUST(c->cf.channel_count == 0);
    if (!c->up) {
        fn(ctx, number, NULL);
        return;
    }
    op = op_new(timeout_ms);
    op->fn = fn;
    op->ctx = ctx;
    op->number = number;
    send_op(c, op, argc, argv, NULL);
}

void rdsa_script(struct rdsa *c, const struct command *cmd, rdsa_fn fn, void *ctx, uint64_t number)
{
    size_t n = (size_t)cmd->n + 3;
    const char **argv = mem_try_array(n, sizeof *argv);
    size_t *lens = mem_try_array(n, sizeof *lens);
    char keys[12], sha1[SCRIPT_SHA1_SIZE];
    struct op *op;

    if (!c->up || cmd->failed || !argv || !lens) {
        fn(ctx, number, NULL);
        goto out;
    }
    snprintf(keys, sizeof keys, "%d", cmd->keys);
    argv[0] = "EVALSHA";
    script_sha1_get(cmd->script, sha1);
    argv[1] = sha1;
    argv[2] = keys;
    for (int i = 0; i < 3; i++) {
        lens[i] = strlen(argv[i]);
    }
    for (int i = 0; i < cmd->n; i++) {
        argv[i + 3] = cmd->args[i];
        lens[i + 3] = cmd->lens[i];
    }
    op = op_new(RDSA_COMMAND_MS);
    op->fn = fn;
    op->ctx = ctx;
    op->number = number;
    op->script = cmd->script;
    CRASH_IN_STEP(cmd->script->name, "before");
    send_op(c, op, cmd->n + 3, argv, lens);
out:
    free(argv);
    free(lens);
}

/* ---- subscribing ---- */

static bool is_word(const redisReply *r, const char *word)
{
    return r->type == REDIS_REPLY_STRING && strcmp(r->str, word) == 0;
}

/* Confirmations and messages come the same way. */
static void on_published(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct rdsa *c = privdata;
    const redisReply *r = reply;

    if (!r || c->ac != ac || r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        return;
    }
    if (is_word(r->element[0], "subscribe")) {
        c->confirm_until_ms = 0;
        if (!c->up && --c->setup_left == 0) {
            rdsa_come_up(c);
            rdsa_tell_up(c);
        }
        return;
    }
    if (c->confirm_until_ms) { /* it lives; the confirmation is behind this one */
        c->confirm_until_ms = clock_mono_ms() + RDSA_PONG_MS;
    }
    if (is_word(r->element[0], "message") && r->element[2]->type == REDIS_REPLY_STRING) {
        c->cf.on_message(c->cf.ctx, r->element[1]->str, r->element[2]->str,
                         (size_t)r->element[2]->len);
    }
}

static void subscribe(struct rdsa *c, int n, int timeout_ms)
{
    const char *argv[RDSA_CHANNELS_MAX + 1] = {"SUBSCRIBE"};

    for (int i = 0; i < n; i++) {
        argv[i + 1] = c->cf.channels[i];
    }
    c->confirm_until_ms = clock_mono_ms() + timeout_ms;
    loop_arm_ms(c->deadline, timeout_ms);
    if (redisAsyncCommandArgv(c->ac, on_published, c, n + 1, argv, NULL) != REDIS_OK) {
        rdsa_drop(c, "cannot subscribe");
    }
}

static void on_pong(UNUSED void *ctx, UNUSED uint64_t number, UNUSED const redisReply *r)
{
}

/*
 * Nothing is said on a quiet connection, so its loss would not show. A subscribing one subscribes
 * once more to what is subscribed, which changes nothing and is answered (hiredis 0.14 loses the
 * answer to PING there).
 */
void rdsa_on_ping(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;

    loop_arm_ms(c->ping, RDSA_PING_MS);
    if (!c->up) {
        return;
    }
    if (c->cf.channel_count == 0 && !c->ops) {
        rdsa_command(c, RDSA_PONG_MS, on_pong, NULL, 0, 1, (const char *[]){"PING"});
    } else if (c->cf.channel_count > 0 && c->confirm_until_ms == 0) {
        subscribe(c, 1, RDSA_PONG_MS);
    }
}

/* ---- setting up ---- */

static struct op *setup_op(struct rdsa *c)
{
    struct op *op = op_new(RDSA_CONNECT_MS);

    op->setup = true;
    c->setup_left++;
    return op;
}

static void setup(struct rdsa *c, int argc, const char **argv)
{
    send_op(c, setup_op(c), argc, argv, NULL);
}

static void load_script(struct rdsa *c, struct script *s)
{
    struct op *op = setup_op(c);

    op->load = s;
    send_op(c, op, 3, (const char *[]){"SCRIPT", "LOAD", s->lua}, NULL);
}

static void load_scripts(struct rdsa *c)
{
    for (size_t t = 0; t < ARRAY_LEN(c->cf.scripts); t++) {
        for (size_t i = 0; i < c->cf.scripts[t].count; i++) {
            load_script(c, c->cf.scripts[t].list[i]);
        }
    }
}

static void ask_role(struct rdsa *c)
{
    struct op *op = setup_op(c);

    op->ask_role = true;
    send_op(c, op, 1, (const char *[]){"ROLE"}, NULL);
}

void rdsa_start_setup(struct rdsa *c)
{
    const struct rds_addr *a = c->cf.addr;
    char db[16];

    c->setup_left = 1; /* held until everything is on its way */
    if (a->password[0] && a->user[0]) {
        setup(c, 3, (const char *[]){"AUTH", a->user, a->password});
    } else if (a->password[0]) {
        setup(c, 2, (const char *[]){"AUTH", a->password});
    }
    if (a->master[0]) {
        ask_role(c);
    }
    if (c->cf.channel_count == 0) { /* channels are the same in every database */
        snprintf(db, sizeof db, "%d", a->db);
        setup(c, 2, (const char *[]){"SELECT", db});
    }
    load_scripts(c);
    if (c->cf.channel_count > 0) {
        c->setup_left += c->cf.channel_count;
        subscribe(c, c->cf.channel_count, RDSA_CONNECT_MS);
    }
    c->setup_left--;
}
