#include "scheduler/tell.h"

#include "common/clock.h"
#include "common/event.h"
#include "scheduler/message.h"

#define TRY_EVERY_MS 5000

static void append_one(struct tell *t, redisContext *c, const struct schedule *s, int64_t slot_s,
                       int64_t now_us)
{
    char channel[EVENT_CHANNEL_SIZE];
    struct message_texts texts;
    struct msg_new n;
    struct buf out;

    message_describe(s, slot_s, now_us, &texts, &n);
    buf_init(&out, EVENT_BYTES_MAX);
    if (event_task_sent(&out, &n, now_us) &&
        redisAppendCommand(c, "PUBLISH %s %b", event_channel(channel, t->db, "task-sent"), out.data,
                           out.len) == REDIS_OK) {
        t->pending++;
    }
    buf_fini(&out);
}

void tell_append(struct tell *t, redisContext *c, const struct schedule *s, const struct plan *p,
                 int64_t now_us)
{
    for (int i = 0; i < p->n; i++) {
        if (!t->watched && clock_mono_ms() < t->try_ms) {
            return;
        }
        if (!t->watched) {
            t->try_ms = clock_mono_ms() + TRY_EVERY_MS;
        }
        append_one(t, c, s, p->slots[i], now_us);
    }
}

bool tell_finish(struct tell *t, redisContext *c, struct err *e)
{
    for (; t->pending > 0; t->pending--) {
        void *any = NULL;
        redisReply *r;

        if (redisGetReply(c, &any) != REDIS_OK) {
            t->pending = 0;
            return err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
        }
        r = any;
        t->watched = r->type == REDIS_REPLY_INTEGER && r->integer > 0;
        freeReplyObject(r);
    }
    return true;
}
