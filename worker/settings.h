#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include "common/conf.h"
#include "common/probe.h"
#include "common/source.h"

/* What the task maintenance.prune looks after (prune.h). */
enum prune_kind {
    PRUNE_RUNS,
    PRUNE_HISTORY,
    PRUNE_DEAD,
    PRUNE_QUARANTINE,
    PRUNE_OVERSIZED,
    PRUNE_AUDIT,
    PRUNE_KIND_COUNT
};
/* What is older, or more, goes; 0: no such bound. */
struct prune_keep {
    int64_t days;
    int64_t count;
};

/* Whom the task source.refresh_stalest picks (sheet.h). */
#define SHEET_REFRESH_MAX 1000000
struct sheet_refresh {
    int64_t top;   /* places of each server's board */
    int64_t count; /* of them, at most */
    int64_t age_s; /* who was asked for within so long is left alone */
};

/* Settings of aion2-worker; the table with defaults and ranges is in settings.c. */
struct settings {
    const char *database_url;
    const char *redis_url;
    const char *task_queue;
    const char *log_level;
    const char *log_format;
    const char *worker_name; /* "" : aion2@<host> */
    int64_t concurrency;
    int64_t shutdown_grace_s;
    int64_t max_tasks_per_child;  /* 0: any number */
    int64_t max_memory_per_child; /* bytes, 0: any */
    int64_t stopped_child_s;
    int64_t batch_connections; /* readers of the batch */
    int64_t result_expires_s;
    int64_t retry_base_s;
    bool task_events; /* monitors are told of tasks */
    bool allow_unsafe_redis;
    bool track_started;
    const char *history_time_zone;
    struct prune_keep prune[PRUNE_KIND_COUNT];
    int64_t batch_interval_s; /* only for how old a ranking may be */
    struct probe_settings probe;
    struct source_settings source;
    struct sheet_refresh refresh;
    bool test_tasks;
};

extern const struct conf_item SETTINGS_ITEMS[];
extern const size_t SETTINGS_COUNT;

#endif
