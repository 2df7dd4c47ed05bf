#include "worker/settings.h"

const struct conf_item SETTINGS_ITEMS[] = {
    {"DATABASE_URL", CONF_T_STR, offsetof(struct settings, database_url),
     "postgresql://localhost/aion2rank", 0, 4096, CONF_SECRET_URL, NULL,
     "PostgreSQL: URL or key=value list, several hosts allowed"},
    {"REDIS_URL", CONF_T_STR, offsetof(struct settings, redis_url), "redis://localhost:6379/0", 0,
     4096, CONF_SECRET_URL, NULL, "Redis: broker and results"},
    CONF_STR("TASK_QUEUE", struct settings, task_queue, "celery", CONF_PLAIN,
             "name of the queue's list in Redis"),
    CONF_CHOICE("LOG_LEVEL", struct settings, log_level, "info", "debug|info|warn|error",
                "least severe events to log"),
    CONF_STR("WORKER_NAME", struct settings, worker_name, "", CONF_PLAIN,
             "name of this worker (empty: aion2@<host>)"),
    CONF_INT("WORKER_CONCURRENCY", struct settings, concurrency, "2", 1, 256,
             "child processes, each runs one task at a time"),
    CONF_INT("SHUTDOWN_GRACE", struct settings, shutdown_grace_s, "30", 0, 86400,
             "seconds that running tasks get after SIGTERM"),
    CONF_INT("BATCH_CONNECTIONS", struct settings, batch_connections, "2", 1, 32,
             "connections that read characters in parallel"),
    CONF_INT("RESULT_EXPIRES", struct settings, result_expires_s, "86400", 1, 31536000,
             "seconds that a result stays in Redis"),
    CONF_INT("RETRY_BASE_SECONDS", struct settings, retry_base_s, "60", 0, 3600,
             "wait before the first retry; doubles with each further one"),
    CONF_BOOL("TEST_TASKS", struct settings, test_tasks, "0",
              "also run the tasks test.*, which are there for tests"),
};
const size_t SETTINGS_COUNT = ARRAY_LEN(SETTINGS_ITEMS);
