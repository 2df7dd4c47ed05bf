#ifndef WORKER_NEWS_H
#define WORKER_NEWS_H

#include "common/base.h"

/*
 * What happens to a job, told by the consumer to whoever listens: events for Celery's monitors,
 * statistics. A listener only looks; it never changes the job.
 */
struct job; /* worker/job.h */

enum job_news {
    NEWS_RECEIVED, /* understood, not yet begun */
    NEWS_STARTED,
    NEWS_SUCCEEDED,
    NEWS_FAILED,
    NEWS_RETRIED,
    NEWS_REVOKED,
    NEWS_REJECTED, /* put back, or put aside unread */
};

struct job_report {
    enum job_news news;
    const struct job *job;
    const char *text;      /* SUCCEEDED: the result's JSON; FAILED, RETRIED: "Type('text')" */
    const char *traceback; /* FAILED, RETRIED; may be NULL */
    double runtime_s;      /* SUCCEEDED */
    bool expired;          /* REVOKED: its time was over */
    bool terminated;       /* REVOKED: while it ran */
    int signum;            /* REVOKED and terminated: with which signal */
    bool requeue;          /* REJECTED: it runs again */
};

typedef void (*job_news_fn)(void *ctx, const struct job_report *report);

#endif
