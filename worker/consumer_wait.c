#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "worker/consumer_parts.h"

#define WAIT_S  "4"  /* short, so that a connection that is dead shows within 10 s */
#define WAIT_MS 8000 /* for the answer to a wait of WAIT_S */

static void on_woken(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct waiter *w = ctx;

    w->waiting = false;
    if (r && r->type == REDIS_REPLY_NIL) {
        consumer_wait(w->consumer);
    } else if (r) {
        consumer_take_again(w->consumer);
    }
}

static int waiter_count(const struct consumer *c)
{
    return c->queues.count * KEY_PRIORITY_STEPS;
}

/*
 * The last element of the list goes to where it was: nothing moves, but the command blocks while
 * the list is empty, and returns in the moment in which it is not.
 */
void consumer_wait(struct consumer *c)
{
    if (!c->empty || c->stopping || !c->registered) {
        return;
    }
    for (int i = 0; i < waiter_count(c); i++) {
        struct waiter *w = c->waiters[i];

        if (!w->waiting && rdsa_is_up(w->conn)) {
            w->waiting = true;
            rdsa_command(w->conn, WAIT_MS, on_woken, w, 0, 6,
                         (const char *[]){"BLMOVE", w->list, w->list, "RIGHT", "RIGHT", WAIT_S});
        }
    }
}

bool consumer_waits_everywhere(const struct consumer *c)
{
    for (int i = 0; i < waiter_count(c); i++) {
        if (!c->waiters[i]->waiting) {
            return false;
        }
    }
    return true;
}

static void on_waiter_up(void *ctx)
{
    struct waiter *w = ctx;

    consumer_wait(w->consumer);
}

void consumer_add_waiters(struct consumer *c, int queue)
{
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        struct waiter *w = mem_alloc(sizeof *w);
        struct rdsa_config cf = {.base = c->cf.base,
                                 .addr = c->cf.redis,
                                 .role = "wait",
                                 .quiet = true,
                                 .like = c->redis,
                                 .on_up = on_waiter_up,
                                 .ctx = w};

        w->consumer = c;
        broker_list(c->queues.name[queue], step, w->list);
        w->conn = rdsa_new(&cf);
        c->waiters[queue * KEY_PRIORITY_STEPS + step] = w;
    }
}

void consumer_free_waiters(struct consumer *c, int queue)
{
    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        struct waiter *w = c->waiters[queue * KEY_PRIORITY_STEPS + step];

        rdsa_free(w->conn); /* on_woken gets its NULL */
        free(w);
    }
}
