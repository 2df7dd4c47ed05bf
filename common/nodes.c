#include "common/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/uuid.h"

#define BINDING "_kombu.binding." PIDBOX_REPLY_EXCHANGE
#define SEP     KEY_PRIORITY_SEP
/* How long one BRPOP waits: an interruption is noticed as soon. */
#define SLICE_MS 250

struct asking {
    redisContext *c;
    const struct nodes_question *q;
    struct nodes_answers *answers;
    char ticket[UUID_SIZE];
    char reply_to[UUID_SIZE];
    char list[PIDBOX_LIST_SIZE];
};

static bool publish(redisContext *c, const struct nodes_question *q, const char *ticket,
                    const char *reply_to, int64_t *listeners, struct err *e)
{
    struct pidbox_ask ask = {.method = q->method,
                             .arguments = q->arguments,
                             .destination = q->node,
                             .ticket = ticket,
                             .reply_to = reply_to,
                             .clock = 1};
    char channel[PIDBOX_CHANNEL_SIZE];
    redisReply *r = NULL;
    struct buf b;

    pidbox_channel(channel, q->db);
    buf_init(&b, ENVELOPE_BYTES_MAX);
    if (pidbox_write_request(&b, &ask)) {
        r = rds_command(c, e, "PUBLISH %s %b", channel, b.data, b.len);
    } else {
        err_set(e, ERR_PERMANENT, "ValueError", "the request is too long");
    }
    buf_fini(&b);
    if (!r) {
        return false;
    }
    *listeners = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
    freeReplyObject(r);
    return true;
}

bool nodes_tell(redisContext *c, const struct nodes_question *q, struct err *e)
{
    int64_t listeners;

    return publish(c, q, NULL, NULL, &listeners, e);
}

/* SADD or SREM of what tells stock workers which list is ours. */
static bool bind(struct asking *k, const char *command, struct err *e)
{
    redisReply *r =
        rds_command(k->c, e, "%s " BINDING " %s" SEP SEP "%s", command, k->reply_to, k->list);

    freeReplyObject(r);
    return r != NULL;
}

/* After SREM nobody sends here any more. */
static void clean_up(struct asking *k)
{
    struct err ignored;

    if (bind(k, "SREM", &ignored)) {
        redisReply *r = rds_command(k->c, &ignored, "DEL %s", k->list);

        freeReplyObject(r);
    }
}

/* Detaches the only member of an answer's body; NULL when it has another shape. */
static cJSON *detach_answer(cJSON *body, char node[NODES_NAME_SIZE])
{
    cJSON *only = cJSON_IsObject(body) ? body->child : NULL;

    if (!only || only->next || !only->string || strlen(only->string) >= NODES_NAME_SIZE - 16) {
        return NULL;
    }
    snprintf(node, NODES_NAME_SIZE, "%s", only->string);
    return cJSON_DetachItemViaPointer(body, only);
}

/* Keeps an answer, numbered when the name has answered before: two nodes of one name. */
static void keep(struct nodes_answers *a, const char *node, cJSON *answer)
{
    char name[NODES_NAME_SIZE];

    snprintf(name, sizeof name, "%s", node);
    for (int n = 2; cJSON_GetObjectItemCaseSensitive(a->by_node, name); n++) {
        snprintf(name, sizeof name, "%.*s#%d", NODES_NAME_SIZE - 16, node, n);
    }
    if (!cJSON_AddItemToObject(a->by_node, name, answer)) {
        cJSON_Delete(answer);
    }
}

static void take_answer(struct asking *k, const redisReply *r)
{
    const redisReply *bytes = r->elements == 2 ? r->element[1] : NULL;
    char node[NODES_NAME_SIZE];
    struct envelope v;
    struct err ignored;
    const char *ticket;
    cJSON *answer;

    if (!bytes || bytes->type != REDIS_REPLY_STRING) {
        return;
    }
    if (envelope_open(&v, bytes->str, (size_t)bytes->len, &ignored)) {
        ticket = json_get_str(v.headers, "ticket");
        answer = ticket && strcmp(ticket, k->ticket) == 0 ? detach_answer(v.body, node) : NULL;
        if (answer) {
            keep(k->answers, node, answer);
        }
    }
    envelope_fini(&v);
}

static bool collect(struct asking *k, struct err *e)
{
    int64_t deadline = clock_mono_ms() + k->q->timeout_ms;
    int64_t wanted = k->q->node && k->answers->listeners > 0 ? 1 : k->answers->listeners;
    int64_t heard = 0;

    wanted = wanted < NODES_ANSWERS_MAX ? wanted : NODES_ANSWERS_MAX;
    for (int64_t left; heard < wanted && (left = deadline - clock_mono_ms()) > 0;) {
        char seconds[32];
        redisReply *r;

        if (k->q->stop && *k->q->stop) {
            k->answers->stopped = true;
            return true;
        }
        left = left < SLICE_MS ? left : SLICE_MS;
        snprintf(seconds, sizeof seconds, "%.3f", (double)left / 1000);
        r = rds_command(k->c, e, "BRPOP %s %s", k->list, seconds);
        if (!r) {
            return false;
        }
        if (r->type == REDIS_REPLY_ARRAY) {
            take_answer(k, r);
            heard++;
        }
        freeReplyObject(r);
    }
    return true;
}

bool nodes_ask(redisContext *c, const struct nodes_question *q, struct nodes_answers *a,
               struct err *e)
{
    struct asking k = {.c = c, .q = q, .answers = a};
    bool ok;

    *a = (struct nodes_answers){.by_node = cJSON_CreateObject()};
    uuid_random(k.ticket);
    uuid_random(k.reply_to);
    if (!pidbox_list(k.list, k.reply_to) || !bind(&k, "SADD", e)) {
        return false;
    }
    ok = publish(c, q, k.ticket, k.reply_to, &a->listeners, e) && collect(&k, e);
    clean_up(&k);
    return ok;
}

void nodes_answers_fini(struct nodes_answers *a)
{
    cJSON_Delete(a->by_node);
    a->by_node = NULL;
}
