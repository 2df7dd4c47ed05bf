#ifndef WORKER_FIGURES_H
#define WORKER_FIGURES_H

#include "common/metrics.h"
#include "worker/consumer.h"

/*
 * What a worker counts for /metrics; docs/metrics.md has the names. The numbers are in memory that
 * supervisor and children share, so a batch counts in its child and the supervisor shows it.
 */

/* In the supervisor, before it starts children. */
void figures_open(const struct settings *s);
/* Descriptor of the shared numbers for children, -1: there are none. */
int figures_fd(void);
/* In a child; without a descriptor nothing is counted. */
void figures_attach(const struct settings *s, int fd);

/* Something has happened to a job. */
void figures_on_news(const struct job_report *report);
/* Messages of dead workers that were put back; steps that Redis had forgotten. */
void figures_recovered(int64_t messages);
void figures_redis_lost(int64_t steps);
void figures_quarantined(int64_t messages);
void figures_child_died(void);
/* Sets what is only looked up when somebody asks. */
void figures_collect(struct consumer *c);
/* When a ranking was published last, unix us, by whatever worker; METRIC_UNKNOWN: not known. */
void figures_set_published(int64_t at_us);

/* ---- of a batch ---- */

/* A step is done; its name as in batch.c. */
void figures_batch_step(const char *name, int64_t us);
/* How an attempt has ended: success, no_data, skipped, cancelled or failed. */
void figures_batch_end(const char *status);
struct figures_batch {
    int64_t scored, failed, entries, servers;
};
/* A ranking is published. */
void figures_batch_published(const struct figures_batch *b);

#endif
