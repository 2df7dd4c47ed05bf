#ifndef WORKER_EVENT_NEWS_H
#define WORKER_EVENT_NEWS_H

#include "common/buf.h"
#include "worker/events.h"

/* The worker's events as JSON objects, member by member as Celery's own. Pure. */

struct event_head {
    const char *node;
    int64_t clock;   /* lamport_tick() */
    int64_t wall_us; /* when */
};

/* Appends the event for a job's news. */
void event_news(struct buf *out, const struct event_head *h, const struct job_report *r);
/* Appends task-revoked for a task that waited in the delayed set. */
void event_revoked(struct buf *out, const struct event_head *h, const char *id);

#define EVENT_FREQ_S 2
/* Appends worker-online, -heartbeat or -offline. */
void event_worker(struct buf *out, const struct event_head *h, const char *type,
                  const struct events_load *load);

#endif
