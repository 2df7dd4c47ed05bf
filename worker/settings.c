#include "worker/settings.h"

#include "common/log.h"

/* PRUNE_X_DAYS and PRUNE_X_COUNT. */
#define PRUNE(what, days_default, count_default, thing)                                            \
    CONF_INT("PRUNE_" #what "_DAYS", struct settings, prune[PRUNE_##what].days, days_default, 0,   \
             36500, "maintenance.prune: days that " thing " are kept (0: forever)"),               \
        CONF_INT("PRUNE_" #what "_COUNT", struct settings, prune[PRUNE_##what].count,              \
                 count_default, 0, 1000000000, "and how many at most (0: any number)")

const struct conf_item SETTINGS_ITEMS[] = {
    {"DATABASE_URL", CONF_T_STR, offsetof(struct settings, database_url),
     "postgresql://localhost/aion2rank", 0, 4096, CONF_SECRET_URL, NULL,
     "PostgreSQL: URL or key=value list, several hosts allowed"},
    {"REDIS_URL", CONF_T_STR, offsetof(struct settings, redis_url), "redis://localhost:6379/0", 0,
     4096, CONF_SECRET_URL, NULL, "Redis: broker and results"},
    CONF_STR("TASK_QUEUE", struct settings, task_queue, "celery", CONF_PLAIN,
             "name of the queue's list in Redis"),
    LOG_SETTINGS(struct settings),
    CONF_STR("WORKER_NAME", struct settings, worker_name, "", CONF_PLAIN,
             "name of this worker (empty: aion2@<host>)"),
    CONF_INT("WORKER_CONCURRENCY", struct settings, concurrency, "2", 1, 256,
             "child processes, each runs one task at a time"),
    CONF_INT("WORKER_MAX_TASKS_PER_CHILD", struct settings, max_tasks_per_child, "0", 0,
             INT64_C(1000000000), "a child is replaced after so many tasks (0: never)"),
    CONF_INT("WORKER_MAX_MEMORY_PER_CHILD", struct settings, max_memory_per_child, "0", 0,
             INT64_C(1) << 50, "or when it holds so many bytes between two tasks (0: never)"),
    CONF_INT("STOPPED_CHILD_SECONDS", struct settings, stopped_child_s, "10", 1, 86400,
             "a child that is stopped (SIGSTOP) for so long is killed"),
    CONF_INT("SHUTDOWN_GRACE", struct settings, shutdown_grace_s, "30", 0, 86400,
             "seconds that running tasks get after SIGTERM"),
    CONF_INT("BATCH_CONNECTIONS", struct settings, batch_connections, "2", 1, 32,
             "connections that read characters in parallel"),
    CONF_INT("RESULT_EXPIRES", struct settings, result_expires_s, "86400", 1, 31536000,
             "seconds that a result stays in Redis"),
    CONF_INT("RETRY_BASE_SECONDS", struct settings, retry_base_s, "60", 0, 3600,
             "wait before the first retry; doubles with each further one"),
    CONF_BOOL("TASK_EVENTS", struct settings, task_events, "1",
              "tell Celery's monitors of tasks (of the worker itself they always are)"),
    CONF_BOOL("ALLOW_UNSAFE_REDIS", struct settings, allow_unsafe_redis, "0",
              "start although Redis may delete data by itself (maxmemory-policy)"),
    CONF_BOOL("TRACK_STARTED", struct settings, track_started, "0",
              "store a STARTED result when a task begins"),
    CONF_STR("HISTORY_TIME_ZONE", struct settings, history_time_zone, "Asia/Seoul", CONF_PLAIN,
             "where a day of the characters' history begins at midnight"),
    PRUNE(RUNS, "90", "2000", "runs of the batch"),
    PRUNE(HISTORY, "400", "0", "parts of the characters' history, one a day,"),
    PRUNE(DEAD, "30", "10000", "dead letters"),
    PRUNE(QUARANTINE, "30", "1000", "messages in quarantine"),
    PRUNE(OVERSIZED, "7", "100", "messages too long for it"),
    PROBE_SETTINGS(struct settings),
    CONF_INT("BATCH_INTERVAL", struct settings, batch_interval_s, "600", 1, 86400,
             "seconds between batches; only for FRESH_LIMIT"),
    PRUNE(AUDIT, "365", "100000", "entries of the log of changes"),
    SOURCE_CONF_ITEMS(struct settings, source),
    CONF_INT("SOURCE_REFRESH_TOP", struct settings, refresh.top, "100", 0, SHEET_REFRESH_MAX,
             "source.refresh_stalest: places of each server's board that are kept fresh"),
    CONF_INT("SOURCE_REFRESH_COUNT", struct settings, refresh.count, "8", 0, SHEET_REFRESH_MAX,
             "and how many characters one run of it has read again at most"),
    CONF_INT("SOURCE_REFRESH_AGE", struct settings, refresh.age_s, "86400", 0, SHEET_REFRESH_MAX,
             "and none that was asked for within so many seconds"),
    CONF_BOOL("TEST_TASKS", struct settings, test_tasks, "0",
              "also run the tasks test.*, which are there for tests"),
};
const size_t SETTINGS_COUNT = ARRAY_LEN(SETTINGS_ITEMS);
