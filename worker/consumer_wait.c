#include "worker/consumer_parts.h"

#define WAIT_S  "20"
#define WAIT_MS 25000 /* for the answer to a wait of WAIT_S */

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

/*
 * The last element of the list goes to where it was: nothing moves, but the command blocks while
 * the list is empty, and returns in the moment in which it is not.
 */
void consumer_wait(struct consumer *c)
{
    if (!c->empty || c->stopping || !c->registered) {
        return;
    }
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        struct waiter *w = &c->waiters[i];

        if (!w->waiting && rdsa_is_up(w->conn)) {
            w->waiting = true;
            rdsa_command(w->conn, WAIT_MS, on_woken, w, 0, 6,
                         (const char *[]){"BLMOVE", w->list, w->list, "RIGHT", "RIGHT", WAIT_S});
        }
    }
}

bool consumer_waits_everywhere(const struct consumer *c)
{
    for (int i = 0; i < KEY_PRIORITY_STEPS; i++) {
        if (!c->waiters[i].waiting) {
            return false;
        }
    }
    return true;
}

void consumer_on_waiter_up(void *ctx)
{
    struct waiter *w = ctx;

    consumer_wait(w->consumer);
}
