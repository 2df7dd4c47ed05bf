#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pidbox.h"
#include "common/uuid.h"
#include "worker/control_parts.h"

/*
 * What Celery's workers do when they start: they greet all the others and learn which tasks were
 * revoked while they were away. Our own know that from Redis; this is for what only workers of
 * Celery's have heard. Nothing waits for it.
 */
#define ANSWERS_MS  1000 /* as long as they wait */
#define ANSWERS_MAX "200"

/* KEYS bindings, list; ARGV member, how many. The answers; nothing of the question stays. */
static const char COLLECT[] = "local all = redis.pcall('LRANGE', KEYS[2], 0, ARGV[2] - 1)\n"
                              "redis.pcall('DEL', KEYS[2])\n"
                              "redis.pcall('SREM', KEYS[1], ARGV[1])\n"
                              "return all.err and {} or all\n";

static void learn(struct control *c, const cJSON *answer)
{
    const cJSON *id;
    int64_t clock;

    cJSON_ArrayForEach(id, json_get_obj(answer, "revoked"))
    {
        revoke_add(c->cf.revoke, id->string);
    }
    if (json_get_i64(answer, "clock", 0, LAMPORT_MAX, &clock)) {
        lamport_hear(c->cf.clock, clock);
    }
}

static void read_answer(struct control *c, const redisReply *r)
{
    struct envelope v;
    const cJSON *answer;
    struct err e;

    if (r->type != REDIS_REPLY_STRING) {
        return;
    }
    if (!envelope_open(&v, r->str, (size_t)r->len, &e)) {
        log_warn("control.ignored", "error=%s", LOGQ(e.text));
    } else if (cJSON_IsObject(v.body)) {
        cJSON_ArrayForEach(answer, v.body)
        {
            learn(c, answer);
        }
    }
    envelope_fini(&v);
}

static void on_collected(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct control *c = ctx;

    if (!r || r->type != REDIS_REPLY_ARRAY) {
        return;
    }
    for (size_t i = 0; i < r->elements; i++) {
        read_answer(c, r->element[i]);
    }
    log_debug("control.greeted", "answers=%zu", r->elements);
    revoke_commit(c->cf.revoke);
}

static void on_time(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct control *c = arg;
    char list[PIDBOX_LIST_SIZE], member[PIDBOX_MEMBER_SIZE];
    const char *argv[] = {"EVAL", COLLECT, "2", PIDBOX_BINDINGS, list, member, ANSWERS_MAX};

    if (pidbox_list(list, c->hello_key) && pidbox_member(member, c->hello_key)) {
        rdsa_command(c->cf.talk, RDSA_COMMAND_MS, on_collected, c, 0, ARRAY_LEN(argv), argv);
    }
}

static void on_sent(UNUSED void *ctx, UNUSED uint64_t number, UNUSED const redisReply *r)
{
}

/* {"from_node": us, "revoked": what we know}; the caller's (free()), NULL when memory is out. */
static char *arguments(const struct control *c)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "from_node", c->cf.node);
    cJSON_AddItemToObject(o, "revoked", view_revoked(c, true));
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

void control_hello(struct control *c)
{
    char channel[PIDBOX_CHANNEL_SIZE], member[PIDBOX_MEMBER_SIZE], ticket[UUID_SIZE];
    struct pidbox_ask ask = {.method = "hello",
                             .ticket = ticket,
                             .reply_to = c->hello_key,
                             .clock = lamport_tick(c->cf.clock)};
    char *args = arguments(c);
    struct buf envelope;

    uuid_random(c->hello_key);
    uuid_random(ticket);
    pidbox_channel(channel, c->cf.redis->db);
    ask.arguments = args ? args : "{}";
    buf_init(&envelope, ENVELOPE_BYTES_MAX);
    if (pidbox_member(member, c->hello_key) && pidbox_write_request(&envelope, &ask)) {
        const char *bind[] = {"SADD", PIDBOX_BINDINGS, member};
        const char *publish[] = {"PUBLISH", channel, envelope.data};

        rdsa_command(c->cf.talk, RDSA_COMMAND_MS, on_sent, c, 0, ARRAY_LEN(bind), bind);
        rdsa_command(c->cf.talk, RDSA_COMMAND_MS, on_sent, c, 0, ARRAY_LEN(publish), publish);
        loop_arm_ms(c->hello_timer, ANSWERS_MS);
    }
    buf_fini(&envelope);
    free(args);
}

void control_hello_init(struct control *c)
{
    c->hello_timer = evtimer_new(c->cf.base, on_time, c);
    MUST(c->hello_timer);
}
