#include "worker/rdsa.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/loop.h"

/* hiredis' adapter for libevent is a header of static functions. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#pragma GCC diagnostic ignored "-Wcast-qual"
#ifndef hi_calloc
#define hi_calloc calloc
#endif
#include <hiredis/adapters/libevent.h>
#pragma GCC diagnostic pop

#define RDSA_CHANNELS_MAX 8
#define STEADY_MS         10000 /* a connection that lasted so long ends the back-off */

/* A command on its way; answers come in the order of the commands. */
struct op {
    struct rdsa *conn;
    struct op *next;
    rdsa_fn fn;
    void *ctx;
    uint64_t number;
    int64_t deadline_ms;
    struct script *load; /* part of setting up: the script that is being loaded */
    bool setup;
};

struct rdsa {
    struct rdsa_config cf;
    redisAsyncContext *ac; /* NULL: waiting for the next try */
    struct op *ops;        /* oldest first */
    struct op **ops_end;
    struct event *deadline;
    struct event *again;
    struct event *ping;       /* subscribing ones only */
    int64_t confirm_until_ms; /* a SUBSCRIBE is to be confirmed by then, 0: none */
    int64_t connecting_until_ms;
    int64_t up_since_ms;
    int backoff_ms;
    int setup_left;
    char peer[INET6_ADDRSTRLEN]; /* numeric address, "" when it is not known (a Unix socket) */
    bool connected;
    bool up;
    bool told_down;
};

static void try_connect(struct rdsa *c);

/* Full jitter on the upper half, so that a fleet does not come back in one instant. */
static void schedule_retry(struct rdsa *c)
{
    int64_t half = c->backoff_ms / 2;

    loop_arm_ms(c->again, half + random() % (half + 1));
    c->backoff_ms *= 2;
    if (c->backoff_ms > RDSA_BACKOFF_MAX_MS) {
        c->backoff_ms = RDSA_BACKOFF_MAX_MS;
    }
}

/* The connection is gone already; tells and plans the next try. */
static void went_down(struct rdsa *c, const char *why)
{
    bool was_up = c->up;

    if (!c->told_down) {
        log_event(c->cf.quiet ? LOG_DEBUG : LOG_WARN, "redis.down", "role=%s error=%s", c->cf.role,
                  LOGQ(why));
        c->told_down = true;
    }
    if (was_up && clock_mono_ms() - c->up_since_ms > STEADY_MS) {
        c->backoff_ms = RDSA_BACKOFF_MIN_MS;
    }
    c->up = c->connected = false;
    c->confirm_until_ms = 0;
    event_del(c->deadline);
    if (c->ping) {
        event_del(c->ping);
    }
    schedule_retry(c);
    if (was_up && c->cf.on_down) {
        c->cf.on_down(c->cf.ctx);
    }
}

static void drop(struct rdsa *c, const char *why)
{
    redisAsyncContext *ac = c->ac;

    if (ac) {
        c->ac = NULL;
        went_down(c, why);
        redisAsyncFree(ac); /* gives every outstanding command its NULL */
    }
}

/* When the next answer must be there; 0: nothing is awaited. */
static int64_t awaited_until(const struct rdsa *c)
{
    if (!c->ac) {
        return 0;
    }
    if (!c->connected) {
        return c->connecting_until_ms;
    }
    return c->ops ? c->ops->deadline_ms : c->confirm_until_ms;
}

static void on_deadline(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;
    int64_t now = clock_mono_ms(), until = awaited_until(c);

    if (until == 0) {
        return;
    }
    if (until > now) {
        loop_arm_ms(c->deadline, until - now);
        return;
    }
    drop(c, c->connected ? "no answer in time" : "no connection in time");
}

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

static void come_up(struct rdsa *c)
{
    c->up = true;
    c->up_since_ms = clock_mono_ms();
    c->cf.on_up(c->cf.ctx);
}

static void setup_step_done(struct rdsa *c, const struct op *op, const redisReply *r)
{
    if (op->load && r->type == REDIS_REPLY_STRING && r->len == sizeof op->load->sha1 - 1) {
        memcpy(op->load->sha1, r->str, sizeof op->load->sha1);
    }
    if (--c->setup_left == 0) {
        come_up(c);
    }
}

/* A server that is loading or read-only lets us in and refuses the first real command; so only a
 * good answer to one is news. */
static void tell_up(struct rdsa *c)
{
    if (c->told_down) {
        log_event(c->cf.quiet ? LOG_DEBUG : LOG_INFO, "redis.up", "role=%s", c->cf.role);
        c->told_down = false;
    }
}

static void on_reply(UNUSED redisAsyncContext *ac, void *reply, void *privdata)
{
    struct op *op = privdata;
    struct rdsa *c = op->conn;
    const redisReply *r = reply;

    unlink_op(c, op);
    if (r && r->type == REDIS_REPLY_ERROR) {
        if (c->ac == ac) {
            drop(c, r->str);
        }
        r = NULL;
    }
    if (op->fn) {
        if (r) {
            tell_up(c);
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

static void setup(struct rdsa *c, struct script *load, int argc, const char **argv)
{
    struct op *op = op_new(RDSA_CONNECT_MS);

    op->setup = true;
    op->load = load;
    c->setup_left++;
    send_op(c, op, argc, argv, NULL);
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
            come_up(c);
            tell_up(c);
            loop_arm_ms(c->ping, RDSA_PING_MS);
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
        drop(c, "cannot subscribe");
    }
}

/*
 * Nothing is said on a quiet connection, so its loss would not show. Subscribing once more to what
 * is subscribed changes nothing and is answered. (hiredis 0.14 loses the answer to PING here.)
 */
static void on_ping(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;

    loop_arm_ms(c->ping, RDSA_PING_MS);
    if (c->up && c->confirm_until_ms == 0) {
        subscribe(c, 1, RDSA_PONG_MS);
    }
}

static void start_setup(struct rdsa *c)
{
    const struct rds_addr *a = c->cf.addr;
    char db[16];

    c->setup_left = 1; /* held until everything is on its way */
    if (a->password[0] && a->user[0]) {
        setup(c, NULL, 3, (const char *[]){"AUTH", a->user, a->password});
    } else if (a->password[0]) {
        setup(c, NULL, 2, (const char *[]){"AUTH", a->password});
    }
    snprintf(db, sizeof db, "%d", a->db);
    setup(c, NULL, 2, (const char *[]){"SELECT", db});
    for (size_t i = 0; c->cf.load_scripts && i < BROKER_SCRIPT_COUNT; i++) {
        setup(c, BROKER_SCRIPTS[i], 3, (const char *[]){"SCRIPT", "LOAD", BROKER_SCRIPTS[i]->lua});
    }
    if (c->cf.channel_count > 0) {
        c->setup_left += c->cf.channel_count;
        subscribe(c, c->cf.channel_count, RDSA_CONNECT_MS);
    }
    c->setup_left--;
}

/* An address with a scope (link-local) stays unknown: the number alone would not lead there. */
static void note_peer(struct rdsa *c, int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;

    c->peer[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&a, &len) != 0) {
        return;
    }
    if (a.ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, c->peer, sizeof c->peer);
    } else if (a.ss_family == AF_INET6 && v6->sin6_scope_id == 0) {
        inet_ntop(AF_INET6, &v6->sin6_addr, c->peer, sizeof c->peer);
    }
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct rdsa *c = ac->data;

    if (!c || c->ac != ac) {
        return;
    }
    if (status != REDIS_OK) {
        c->ac = NULL; /* hiredis frees it */
        went_down(c, ac->errstr && ac->errstr[0] ? ac->errstr : "connection refused");
        return;
    }
    c->connected = true;
    note_peer(c, ac->c.fd);
    start_setup(c);
}

static void on_disconnect(const redisAsyncContext *ac, UNUSED int status)
{
    struct rdsa *c = ac->data;

    if (c && c->ac == ac) {
        c->ac = NULL;
        went_down(c, ac->errstr && ac->errstr[0] ? ac->errstr : "closed");
    }
}

static void try_connect(struct rdsa *c)
{
    const struct rds_addr *a = c->cf.addr;
    const char *host = c->cf.like && c->cf.like->peer[0] ? c->cf.like->peer : a->host;
    redisAsyncContext *ac =
        a->path[0] ? redisAsyncConnectUnix(a->path) : redisAsyncConnect(host, a->port);

    if (!ac || ac->err) {
        went_down(c, ac ? ac->errstr : "out of memory");
        if (ac) {
            redisAsyncFree(ac);
        }
        return;
    }
    fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC); /* not for children: hiredis leaves it open */
    ac->data = c;
    c->ac = ac;
    c->connecting_until_ms = clock_mono_ms() + RDSA_CONNECT_MS;
    redisLibeventAttach(ac, c->cf.base);
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    loop_arm_ms(c->deadline, RDSA_CONNECT_MS);
}

static void on_again(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct rdsa *c = arg;

    if (c->cf.like && !c->cf.like->up) {
        loop_arm_ms(c->again, RDSA_BACKOFF_MIN_MS);
    } else if (!c->ac) {
        try_connect(c);
    }
}

struct rdsa *rdsa_new(const struct rdsa_config *config)
{
    struct rdsa *c = mem_alloc(sizeof *c);

    c->cf = *config;
    c->ops_end = &c->ops;
    c->backoff_ms = RDSA_BACKOFF_MIN_MS;
    c->deadline = evtimer_new(config->base, on_deadline, c);
    c->again = evtimer_new(config->base, on_again, c);
    MUST(c->deadline && c->again && c->cf.channel_count <= RDSA_CHANNELS_MAX);
    if (c->cf.channel_count > 0) {
        c->ping = evtimer_new(config->base, on_ping, c);
        MUST(c->ping && c->cf.on_message);
    }
    loop_arm_ms(c->again, 0);
    return c;
}

void rdsa_free(struct rdsa *c)
{
    redisAsyncContext *ac = c->ac;

    c->ac = NULL;
    c->up = false;
    if (ac) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }
    event_free(c->deadline);
    event_free(c->again);
    if (c->ping) {
        event_free(c->ping);
    }
    free(c);
}

bool rdsa_is_up(const struct rdsa *c)
{
    return c->up;
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

void rdsa_script(struct rdsa *c, const struct broker_cmd *cmd, rdsa_fn fn, void *ctx,
                 uint64_t number)
{
    const char *argv[BROKER_ARGS_MAX + 3];
    size_t lens[BROKER_ARGS_MAX + 3];
    char keys[12];
    struct op *op;

    if (!c->up || cmd->failed) {
        fn(ctx, number, NULL);
        return;
    }
    snprintf(keys, sizeof keys, "%d", cmd->keys);
    argv[0] = "EVALSHA";
    argv[1] = cmd->script->sha1;
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
    send_op(c, op, cmd->n + 3, argv, lens);
}
