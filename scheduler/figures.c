#include "scheduler/figures.h"

#include <stdatomic.h>

#include "common/clock.h"
#include "common/metrics_process.h"

/* Sent so soon after it began, a slot is on time. */
#define ON_TIME_MS 2000
/* Redis was of use so lately that it counts as there. */
#define USED_LATELY_MS 5000

enum { B_SLOTS, B_SKIPPED, B_LATE, B_SCHEDULES, B_REDIS_UP, B_COUNT };
enum { ON_TIME, LATE, CAUGHT_UP, SKIPPED };
enum { BY_OVERLAP, BY_PAUSE, BY_LATENESS };

static const char *const RESULTS[] = {"on_time", "late", "caught_up", "skipped"};
static const char *const REASONS[] = {"overlap", "paused", "missed"};
static const struct metric_label RESULT = {"result", RESULTS, ARRAY_LEN(RESULTS)};
static const struct metric_label REASON = {"reason", REASONS, ARRAY_LEN(REASONS)};

static const struct metric METRICS[B_COUNT] = {
    [B_SLOTS] = {"aion2_slots_total",
                 METRIC_COUNTER,
                 METRIC_ONE,
                 "Slots of all schedules that this beat dealt with",
                 {&RESULT},
                 NULL},
    [B_SKIPPED] = {"aion2_slots_skipped_total",
                   METRIC_COUNTER,
                   METRIC_ONE,
                   "Why slots were skipped",
                   {&REASON},
                   NULL},
    [B_LATE] = {"aion2_slot_delay_seconds",
                METRIC_HISTOGRAM,
                METRIC_US,
                "From the begin of a slot until its message was sent",
                {NULL},
                &METRIC_BUCKETS_WAIT},
    [B_SCHEDULES] = {"aion2_schedules",
                     METRIC_GAUGE,
                     METRIC_ONE,
                     "Schedules that this beat works on",
                     {NULL},
                     NULL},
    [B_REDIS_UP] = {"aion2_redis_up",
                    METRIC_GAUGE,
                    METRIC_ONE,
                    "1 while this program works with Redis",
                    {NULL},
                    NULL},
};
static struct metric_group figures = {METRICS, B_COUNT, NULL};
static _Atomic int64_t turned_ms, used_redis_ms;

void figures_open(void)
{
    process_metrics_register();
    metrics_register(&figures, 1);
    atomic_store(&turned_ms, clock_mono_ms());
    atomic_store(&used_redis_ms, INT64_MIN / 2);
}

static void count_skipped(int64_t slots, size_t reason)
{
    metrics_add(&figures, B_SLOTS, SKIPPED, slots);
    metrics_add(&figures, B_SKIPPED, reason, slots);
}

static void count_sent(const struct plan *p, int64_t late_ms)
{
    metrics_add(&figures, B_SLOTS, late_ms <= ON_TIME_MS ? ON_TIME : LATE, 1);
    metrics_add(&figures, B_SLOTS, CAUGHT_UP, p->n - 1);
    metrics_observe(&figures, B_LATE, 0, late_ms * 1000);
    if (p->missed > 0) { /* those before the first that was sent: nobody will send them */
        count_skipped(p->missed, BY_LATENESS);
    }
}

void figures_settled(const struct plan *p, enum claim_verdict verdict, int64_t late_ms)
{
    if (verdict == CLAIM_SENT) {
        count_sent(p, late_ms);
    } else if (verdict == CLAIM_OVERLAP) {
        count_skipped(p->missed + p->n, BY_OVERLAP);
    } else if (verdict == CLAIM_SKIPPED) {
        count_skipped(p->missed + 1, p->kind == PLAN_PAUSED ? BY_PAUSE : BY_LATENESS);
    }
}

void figures_schedules(int64_t count)
{
    metrics_set(&figures, B_SCHEDULES, 0, count);
}

void figures_turned(bool with_redis)
{
    atomic_store(&turned_ms, clock_mono_ms());
    if (with_redis) {
        atomic_store(&used_redis_ms, clock_mono_ms());
    }
}

int64_t figures_turned_ms(void)
{
    return atomic_load(&turned_ms);
}

int64_t figures_used_redis_ms(void)
{
    return atomic_load(&used_redis_ms);
}

void figures_collect(void)
{
    process_metrics_collect();
    metrics_set(&figures, B_REDIS_UP, 0,
                clock_mono_ms() - figures_used_redis_ms() <= USED_LATELY_MS);
}
