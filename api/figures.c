#include "api/figures.h"

#include <stdatomic.h>

#include "api/route.h"
#include "common/clock.h"
#include "common/metrics_process.h"

#define ROUTES_MAX 64

enum {
    A_REQUESTS,
    A_LATENCY,
    A_CONNECTIONS,
    A_POOL_WAIT,
    A_POOL_QUERIES,
    A_POOL_WAITING,
    A_LOADS,
    A_LOAD_TIME,
    A_ENTRIES,
    A_BYTES,
    A_STATE,
    A_AGE,
    A_NEXT,
    A_COUNT
};

static const char *const CLASSES[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
/* In the order of enum figures_query. */
static const char *const QUERIES[] = {"answered", "failed", "timed_out", "refused"};
static const char *const LOADS[] = {"loaded", "failed"};
/* In the order of enum loader_state. */
static const char *const STATES[] = {"unknown", "empty", "live", "detached"};
static const char *routes[ROUTES_MAX];

/* Filled in by figures_open(): the addresses, and "other". */
static struct metric_label route_label = {"route", routes, 1};
static const struct metric_label CLASS = {"status", CLASSES, ARRAY_LEN(CLASSES)};
static const struct metric_label QUERY = {"result", QUERIES, ARRAY_LEN(QUERIES)};
static const struct metric_label LOAD = {"result", LOADS, ARRAY_LEN(LOADS)};
static const struct metric_label STATE = {"state", STATES, ARRAY_LEN(STATES)};

static const struct metric METRICS[A_COUNT] = {
    [A_REQUESTS] = {"aion2_http_requests_total",
                    METRIC_COUNTER,
                    METRIC_ONE,
                    "Requests answered, by address and class of status",
                    {&route_label, &CLASS},
                    NULL},
    [A_LATENCY] = {"aion2_http_request_seconds",
                   METRIC_HISTOGRAM,
                   METRIC_US,
                   "From a request's headers to its answer",
                   {&route_label},
                   &METRIC_BUCKETS_REQUEST},
    [A_CONNECTIONS] =
        {"aion2_http_connections", METRIC_GAUGE, METRIC_ONE, "Clients connected", {NULL}, NULL},
    [A_POOL_WAIT] = {"aion2_pool_wait_seconds",
                     METRIC_HISTOGRAM,
                     METRIC_US,
                     "How long queries waited for a connection to PostgreSQL",
                     {NULL},
                     &METRIC_BUCKETS_REQUEST},
    [A_POOL_QUERIES] = {"aion2_pool_queries_total",
                        METRIC_COUNTER,
                        METRIC_ONE,
                        "Queries to PostgreSQL, by how they ended",
                        {&QUERY},
                        NULL},
    [A_POOL_WAITING] = {"aion2_pool_waiting",
                        METRIC_GAUGE,
                        METRIC_ONE,
                        "Queries that wait for a connection now",
                        {NULL},
                        NULL},
    [A_LOADS] = {"aion2_image_loads_total",
                 METRIC_COUNTER,
                 METRIC_ONE,
                 "Rankings read into memory, and looks that failed",
                 {&LOAD},
                 NULL},
    [A_LOAD_TIME] = {"aion2_image_load_seconds",
                     METRIC_HISTOGRAM,
                     METRIC_US,
                     "How long reading a ranking took",
                     {NULL},
                     &METRIC_BUCKETS_WAIT},
    [A_ENTRIES] = {"aion2_image_entries",
                   METRIC_GAUGE,
                   METRIC_ONE,
                   "Characters on the ranking that is served",
                   {NULL},
                   NULL},
    [A_BYTES] = {"aion2_image_bytes", METRIC_GAUGE, METRIC_ONE, "Its size in memory", {NULL}, NULL},
    [A_STATE] = {"aion2_ranking_state",
                 METRIC_GAUGE,
                 METRIC_ONE,
                 "1 for what is known of the ranking served: live, or detached from PostgreSQL",
                 {&STATE},
                 NULL},
    [A_AGE] = {"ranking_snapshot_age_seconds",
               METRIC_GAUGE,
               METRIC_US,
               "Age of the ranking that players see",
               {NULL},
               NULL},
    [A_NEXT] = {"ranking_next_expected_timestamp_seconds",
                METRIC_GAUGE,
                METRIC_US,
                "When the next ranking is expected, unix time",
                {NULL},
                NULL},
};
static struct metric_group figures = {METRICS, A_COUNT, NULL};

void figures_open(int threads)
{
    MUST(ROUTE_COUNT < ROUTES_MAX);
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        routes[i] = ROUTES[i].path;
    }
    routes[ROUTE_COUNT] = "other";
    route_label.count = ROUTE_COUNT + 1;
    process_metrics_register();
    metrics_register(&figures, (unsigned)threads + 1); /* the first is for all other threads */
    metrics_set(&figures, A_CONNECTIONS, 0, 0);
    metrics_set(&figures, A_POOL_WAITING, 0, 0);
}

void figures_thread(void)
{
    static atomic_uint count;

    metrics_use_shard(atomic_fetch_add(&count, 1) + 1);
}

void figures_request(size_t route, int status, int64_t us)
{
    size_t cls = status >= 100 && status < 600 ? (size_t)status / 100 - 1 : CLASS.count - 1;

    metrics_add(&figures, A_REQUESTS, route * CLASS.count + cls, 1);
    if (us >= 0) {
        metrics_observe(&figures, A_LATENCY, route, us);
    }
}

void figures_connections(int more)
{
    metrics_add(&figures, A_CONNECTIONS, 0, more);
}

void figures_pool_wait(int64_t us)
{
    metrics_observe(&figures, A_POOL_WAIT, 0, us);
}

void figures_pool_end(enum figures_query how)
{
    metrics_add(&figures, A_POOL_QUERIES, (size_t)how, 1);
}

void figures_pool_waiting(int more)
{
    metrics_add(&figures, A_POOL_WAITING, 0, more);
}

void figures_image_loaded(int64_t us)
{
    metrics_add(&figures, A_LOADS, 0, 1);
    metrics_observe(&figures, A_LOAD_TIME, 0, us);
}

void figures_image_failed(void)
{
    metrics_add(&figures, A_LOADS, 1, 1);
}

static void show_image(const struct image *img, int64_t interval_s)
{
    int64_t made_us = img ? img->head->generated_us : 0, interval_us = interval_s * 1000000;

    metrics_set(&figures, A_ENTRIES, 0, img ? (int64_t)img->head->entries : METRIC_UNKNOWN);
    metrics_set(&figures, A_BYTES, 0, img ? (int64_t)img->block_bytes : METRIC_UNKNOWN);
    metrics_set(&figures, A_AGE, 0, img ? clock_wall_us() - made_us : METRIC_UNKNOWN);
    metrics_set(&figures, A_NEXT, 0,
                img ? (made_us / interval_us + 1) * interval_us : METRIC_UNKNOWN);
}

void figures_collect(struct loader *l, int64_t interval_s)
{
    enum loader_state state = loader_state(l);
    struct image *img = loader_image(l);

    process_metrics_collect();
    for (size_t i = 0; i < STATE.count; i++) {
        metrics_set(&figures, A_STATE, i, i == (size_t)state);
    }
    show_image(img, interval_s);
    image_unref(img);
}
