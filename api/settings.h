#ifndef API_SETTINGS_H
#define API_SETTINGS_H

#include "common/conf.h"
#include "common/probe.h"
#include "common/source.h"

/* Settings of aion2-api; the table with defaults and ranges is in settings.c. */
struct api_settings {
    const char *database_url;
    const char *redis_url;
    const char *task_queue;
    const char *listen;
    const char *admin_listen;
    const char *admin_socket;    /* "": in state_dir */
    const char *admin_token;     /* "": none but those in PostgreSQL */
    const char *trusted_proxies; /* a net_list */
    const char *state_dir;       /* "": keep nothing on disk */
    const char *log_level;
    const char *log_format;
    const char *cors_origins;
    const char *public_url; /* "": what the client calls us */
    const char *access_log; /* enum access_log in text: reply.c */
    int64_t threads;        /* 0: one per processor */
    int64_t batch_interval_s;
    int64_t connections_max;
    int64_t connections_per_address; /* 0: any number */
    int64_t request_timeout_s;
    int64_t idle_timeout_s;
    int64_t source_stale_after_s;
    int64_t fetch_cooldown_s;
    int64_t search_rate; /* of one client in a minute, 0: any */
    struct source_settings source;
    struct probe_settings probe;
};

extern const struct conf_item API_SETTINGS_ITEMS[];
extern const size_t API_SETTINGS_COUNT;

/* Threads to start: the setting or, when it is 0, the processors this process may use. */
int api_settings_threads(const struct api_settings *s);

#endif
