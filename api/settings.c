#include "api/settings.h"

#include "common/log.h"

#include <sched.h>

#include "api/quota.h"

#define THREADS_MAX 64

const struct conf_item API_SETTINGS_ITEMS[] = {
    {"DATABASE_URL", CONF_T_STR, offsetof(struct api_settings, database_url),
     "postgresql://localhost/aion2rank", 0, 4096, CONF_SECRET_URL, NULL,
     "PostgreSQL: URL or key=value list, several hosts allowed"},
    {"REDIS_URL", CONF_T_STR, offsetof(struct api_settings, redis_url), "redis://localhost:6379/0",
     0, 4096, CONF_SECRET_URL, NULL, "Redis: broker and results"},
    CONF_STR("TASK_QUEUE", struct api_settings, task_queue, "celery", CONF_PLAIN,
             "name of the queue's list in Redis"),
    CONF_STR("API_LISTEN", struct api_settings, listen, "127.0.0.1:8000", CONF_PLAIN,
             "address and port: 127.0.0.1:8000, [::1]:8000 or 0.0.0.0:8000"),
    CONF_STR("ADMIN_LISTEN", struct api_settings, admin_listen, "127.0.0.1:8001", CONF_PLAIN,
             "address and port of the admin side; open only while there is a token"),
    CONF_STR("ADMIN_SOCKET", struct api_settings, admin_socket, "", CONF_PLAIN,
             "Unix socket of the admin side (empty: admin.sock in STATE_DIR; off: none)"),
    CONF_STR("ADMIN_TOKEN", struct api_settings, admin_token, "", CONF_SECRET,
             "a token with the scope admin beside those of aion2ctl token (empty: none)"),
    CONF_INT("API_THREADS", struct api_settings, threads, "0", 0, THREADS_MAX,
             "threads that serve requests (0: one per processor)"),
    CONF_INT("API_CONNECTIONS_MAX", struct api_settings, connections_max, "4096", 1, 1000000,
             "clients connected at the same time; further ones wait to be accepted"),
    CONF_INT(
        "API_CONNECTIONS_PER_ADDRESS", struct api_settings, connections_per_address, "256", 0,
        1000000,
        "of them from one address; TRUSTED_PROXIES, 127.0.0.1 and ::1 may have any (0: all may)"),
    CONF_INT("API_REQUEST_TIMEOUT", struct api_settings, request_timeout_s, "20", 1, 3600,
             "seconds within which a request that has begun has to be here, headers and body"),
    CONF_INT("API_IDLE_TIMEOUT", struct api_settings, idle_timeout_s, "60", 1, 3600,
             "seconds after which a connection is closed on which no answer was begun"),
    CONF_STR("CORS_ORIGINS", struct api_settings, cors_origins, "", CONF_PLAIN,
             "origins whose pages may read answers, with commas between; *: all"),
    CONF_STR(
        "PUBLIC_URL", struct api_settings, public_url, "", CONF_PLAIN,
        "how readers reach the pages, as https://example.org: for links that other sites show"),
    CONF_STR("TRUSTED_PROXIES", struct api_settings, trusted_proxies, "", CONF_PLAIN,
             "addresses and networks of proxies whose X-Forwarded-For is believed"),
    CONF_INT("SEARCH_RATE_PER_MINUTE", struct api_settings, search_rate, "10", 0, QUOTA_LIMIT_MAX,
             "searches of one client in any minute (0: any number)"),
    CONF_INT("FETCH_COOLDOWN_SECONDS", struct api_settings, fetch_cooldown_s, "60", 0, 86400,
             "a character that was fetched so lately is not fetched again by a search"),
    CONF_CHOICE("ACCESS_LOG", struct api_settings, access_log, "slow", "off|slow|all",
                "requests to log: none, those that took 500 ms or failed here (5xx), or all"),
    CONF_STR("STATE_DIR", struct api_settings, state_dir, "/var/lib/aion2rank", CONF_PLAIN,
             "folder of the stored ranking that is served while PostgreSQL is down"),
    CONF_INT("BATCH_INTERVAL", struct api_settings, batch_interval_s, "600", 1, 86400,
             "seconds between batches; the time that answers may be cached comes from it"),
    CONF_INT("SOURCE_STALE_AFTER", struct api_settings, source_stale_after_s, "86400", 1, 31536000,
             "seconds after which a character that was not fetched again is shown as stale"),
    SOURCE_CONF_ITEMS(struct api_settings, source),
    PROBE_SETTINGS(struct api_settings),
    LOG_SETTINGS(struct api_settings),
};
const size_t API_SETTINGS_COUNT = ARRAY_LEN(API_SETTINGS_ITEMS);

int api_settings_threads(const struct api_settings *s)
{
    cpu_set_t set;
    int n;

    if (s->threads > 0) {
        return (int)s->threads;
    }
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
}
