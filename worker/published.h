#ifndef WORKER_PUBLISHED_H
#define WORKER_PUBLISHED_H

#include "common/rdsa.h"
#include "worker/news.h"

/*
 * When the last ranking was made: the worker whose batch has published it writes that to Redis,
 * and all workers and beats look there. It is for probes and metrics only.
 */
#define PUBLISHED_LOOK_MS 5000

struct published;

/* look: keep asking, because somebody wants to know. */
struct published *published_new(struct event_base *base, bool look);
void published_free(struct published *p);
/* The connection for it; its errors must be answers. NULL: there is none (any more). */
void published_set_talk(struct published *p, struct rdsa *talk);
/* Something has happened to a job. */
void published_on_news(struct published *p, const struct job_report *report);
/* Unix us; METRIC_UNKNOWN: nobody has said. */
int64_t published_at_us(const struct published *p);

#endif
