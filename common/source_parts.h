#ifndef COMMON_SOURCE_PARTS_H
#define COMMON_SOURCE_PARTS_H

#include "common/source.h"
#include "common/stats.h"

/* The inside of the source: jobs, which adapters carry out, and whoever waits for one. */

struct source_job;
typedef void (*source_job_fn)(struct source_job *j);

/*
 * An adapter ends a job with source_job_end, once, from the loop; not from within begin. stop: the
 * job is given up or has ended; frees what the adapter made for it.
 */
struct source_adapter {
    const char *name;
    bool any_server; /* beside those of the region */
    source_job_fn lookup;
    source_job_fn sheet;
    source_job_fn stop;
};
extern const struct source_adapter SOURCE_DUMMY;

/* Somebody who waits for a job. */
struct source_call {
    struct source_call *next, **link;
    struct source_job *job;
    source_fn fn;
    void *ctx;
};

struct source_job {
    struct source *src;
    struct source_job *next, **link;
    struct source_call *calls;
    bool sheet;
    bool ended;                    /* those who wait are being told */
    char server[SOURCE_TEXT_SIZE]; /* canonical */
    char name[SOURCE_TEXT_SIZE];
    char source_id[SOURCE_ID_SIZE];
    char *raw_before; /* NULL: none */
    struct event *timer;
    source_job_fn on_timer;
    struct event *deadline;
    void *state; /* the adapter's */
};

struct source {
    struct event_base *base;
    const struct source_settings *settings;
    const struct source_adapter *adapter;
    struct rdsa *rdsa;
    struct source_job *jobs;
    int call_count;
};

/* Calls fn from the loop in ms; replaces what was planned before. */
void source_job_after(struct source_job *j, int64_t ms, source_job_fn fn);
/* Tells everybody who waits, and frees the job. */
void source_job_end(struct source_job *j, const struct source_reply *reply);

/* {"attack":...,"mode":"sheet"}; owned by the caller (free()). */
char *source_stats_json(const int64_t stats[STAT_COUNT], const char *mode);

#endif
