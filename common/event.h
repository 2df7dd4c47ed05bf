#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include "common/msg.h"
#include "common/rds.h"

/*
 * Celery's events, as monitors read them from "/<db>.celeryev/<routing key>". What every sender of
 * tasks needs is here; the worker's own events are built on top of event_wrap.
 */
#define EVENT_EXCHANGE     "celeryev"
#define EVENT_MULTI        "task.multi" /* the key under which an array of task events goes */
#define EVENT_CHANNEL_SIZE 128
#define EVENT_BYTES_MAX    (4 * MIB)

/*
 * "/0.celeryev/task.sent" for the event type "task-sent" (dashes become dots); EVENT_MULTI stays as
 * it is. Text in out.
 */
const char *event_channel(char out[EVENT_CHANNEL_SIZE], int db, const char *type);

/* Appends the envelope around body (an event, or an array of them for EVENT_MULTI), sent by host.
 */
bool event_wrap(struct buf *out, const char *type, const char *host, const char *body,
                size_t body_len) MUST_CHECK;

/* Appends the envelope of a task-sent event for a message that was built from n. */
bool event_task_sent(struct buf *out, const struct msg_new *n, int64_t now_us) MUST_CHECK;

/*
 * Tells monitors that the message was sent. Nobody depends on an event, so failures are not
 * reported; a connection that broke shows at its next use.
 */
void event_publish_sent(redisContext *c, int db, const struct msg_new *n);

#endif
