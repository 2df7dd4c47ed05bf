#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/buf.h"

/*
 * What a program counts of itself, for Prometheus. Metrics stand in static tables, each with fixed
 * values for its labels, so the number of series is known when the program is built:
 *
 *   enum { M_TASKS, M_RUN, M_COUNT };
 *   static const struct metric TABLE[M_COUNT] = {
 *       [M_TASKS] = {"aion2_tasks_total", METRIC_COUNTER, METRIC_ONE, "Tasks ...", {&OUTCOME}},
 *       [M_RUN] = {"aion2_task_run_seconds", METRIC_HISTOGRAM, METRIC_US, "...", .buckets = &B},
 *   };
 *   struct metric_group MINE = {TABLE, M_COUNT, NULL};
 *
 * Until a program registers a group, counting in it does nothing. Values are whole numbers in the
 * metric's unit, added up without locks; each may be read while others are written.
 */
#define METRIC_LABELS_MAX 2
#define METRIC_SHARDS_MAX 72
#define METRIC_GROUPS_MAX 8
/* A gauge that nobody has set, or set to this, is not shown. */
#define METRIC_UNKNOWN INT64_MIN

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum metric_unit { METRIC_ONE, METRIC_US }; /* METRIC_US: microseconds, shown as seconds */

struct metric_label {
    const char *name;
    const char *const *values;
    size_t count;
};

/* Upper bounds, rising, in the metric's unit; +Inf comes by itself. */
struct metric_buckets {
    const int64_t *bounds;
    size_t count;
};
extern const struct metric_buckets METRIC_BUCKETS_REQUEST; /* 50 us to 10 s */
extern const struct metric_buckets METRIC_BUCKETS_WAIT;    /* 1 ms to 1 h */

struct metric {
    const char *name; /* a counter's ends with _total */
    enum metric_kind kind;
    enum metric_unit unit;
    const char *help;
    const struct metric_label *labels[METRIC_LABELS_MAX]; /* NULL: none */
    const struct metric_buckets *buckets;                 /* METRIC_HISTOGRAM */
};

struct metric_cells; /* where the numbers are */
struct metric_group {
    const struct metric *metrics;
    size_t count;
    struct metric_cells *cells; /* NULL until it is registered */
};

/* ---- set-up: once, before there are threads ---- */

/* Shows the group and counts in it from now on. shards: threads with a place of their own. */
void metrics_register(struct metric_group *g, unsigned shards);
/*
 * The same with the numbers in memory that several processes share: a descriptor for
 * metrics_attach() in another process of the same program; the caller's. -1: not possible.
 */
int metrics_register_shared(struct metric_group *g) MUST_CHECK;
/* Counts in the numbers of another process. The descriptor may be closed. */
bool metrics_attach(struct metric_group *g, int fd) MUST_CHECK;
/* This thread counts in a place of its own from now on, which no other may be given (0: the one for
 * all others). */
void metrics_use_shard(unsigned shard);

/* ---- counting; series: of the first label, of two labels first * count of the second + second */

/* Also a gauge that was set before. */
void metrics_add(struct metric_group *g, size_t metric, size_t series, int64_t n);
/* A gauge, or a counter whose number comes from elsewhere. */
void metrics_set(struct metric_group *g, size_t metric, size_t series, int64_t value);
void metrics_observe(struct metric_group *g, size_t metric, size_t series, int64_t value);
/* The place of a value among a label's; of one that is not there the last one's. */
size_t metrics_series(const struct metric_label *label, const char *value);

/* ---- showing ---- */

enum metrics_format { METRICS_TEXT, METRICS_OPEN }; /* text format 0.0.4; OpenMetrics 1.0.0 */
/* Every registered group; out->failed when it is too long. */
void metrics_print(struct buf *out, enum metrics_format format);
/* The content type of a format. */
const char *metrics_content_type(enum metrics_format format);
/* The format that an Accept header (NULL: none) asks for. */
enum metrics_format metrics_negotiate(const char *accept);

#endif
