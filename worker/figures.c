#include "worker/figures.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics_process.h"
#include "worker/job.h"
#include "worker/pool.h"

#define TASKS_MAX 40
#define SPARE_FD  16 /* above those that a child is given */

enum {
    W_TASKS,
    W_WAIT,
    W_RUN,
    W_TAKEN,
    W_RECOVERED,
    W_QUARANTINED,
    W_HELD,
    W_RUNNING,
    W_CHILDREN,
    W_DIED,
    W_REDIS_UP,
    W_REDIS_LOST,
    W_PUBLISHED,
    W_BATCHES,
    W_STEP,
    W_CHARACTERS,
    W_LAST,
    W_COUNT
};

/* In the order of enum job_news, from NEWS_SUCCEEDED on. */
static const char *const OUTCOMES[] = {"succeeded", "failed", "retried", "revoked", "put_back"};
static const char *const STEPS[] = {"connect", "claim", "lock",   "snapshot", "read", "keep",
                                    "score",   "write", "attach", "publish",  "other"};
static const char *const RESULTS[] = {"success", "no_data", "skipped", "cancelled", "failed"};
static const char *const PARTS[] = {"scored", "failed"};
static const char *const LAST[] = {"scored", "failed", "entries", "servers"};
static const char *const CHILDREN[] = {"alive", "wanted"};
static const char *task_names[TASKS_MAX];

/* Filled in by name_tasks(): the table, and "other" for what is not in it. */
static struct metric_label task_label = {"task", task_names, 1};
static const struct metric_label OUTCOME = {"outcome", OUTCOMES, ARRAY_LEN(OUTCOMES)};
static const struct metric_label STEP = {"phase", STEPS, ARRAY_LEN(STEPS)};
static const struct metric_label RESULT = {"result", RESULTS, ARRAY_LEN(RESULTS)};
static const struct metric_label PART = {"result", PARTS, ARRAY_LEN(PARTS)};
static const struct metric_label LAST_WHAT = {"what", LAST, ARRAY_LEN(LAST)};
static const struct metric_label CHILD_STATE = {"state", CHILDREN, ARRAY_LEN(CHILDREN)};

static const struct metric METRICS[W_COUNT] = {
    [W_TASKS] = {"aion2_tasks_total",
                 METRIC_COUNTER,
                 METRIC_ONE,
                 "Tasks that ended here",
                 {&task_label, &OUTCOME},
                 NULL},
    [W_WAIT] = {"aion2_task_wait_seconds",
                METRIC_HISTOGRAM,
                METRIC_US,
                "From when a task could run (it was sent, or its time had come) to its begin",
                {&task_label},
                &METRIC_BUCKETS_WAIT},
    [W_RUN] = {"aion2_task_run_seconds",
               METRIC_HISTOGRAM,
               METRIC_US,
               "From its begin in a child to its end",
               {&task_label},
               &METRIC_BUCKETS_WAIT},
    [W_TAKEN] = {"aion2_messages_taken_total",
                 METRIC_COUNTER,
                 METRIC_ONE,
                 "Messages that this worker took",
                 {NULL},
                 NULL},
    [W_RECOVERED] = {"aion2_messages_recovered_total",
                     METRIC_COUNTER,
                     METRIC_ONE,
                     "Messages of dead workers that this one put back",
                     {NULL},
                     NULL},
    [W_QUARANTINED] = {"aion2_messages_quarantined_total",
                       METRIC_COUNTER,
                       METRIC_ONE,
                       "Messages that nobody can read, put aside by this worker",
                       {NULL},
                       NULL},
    [W_HELD] = {"aion2_messages_held",
                METRIC_GAUGE,
                METRIC_ONE,
                "Messages that this worker holds, running ones included",
                {NULL},
                NULL},
    [W_RUNNING] =
        {"aion2_tasks_running", METRIC_GAUGE, METRIC_ONE, "Tasks that run now", {NULL}, NULL},
    [W_CHILDREN] = {"aion2_worker_children",
                    METRIC_GAUGE,
                    METRIC_ONE,
                    "Child processes",
                    {&CHILD_STATE},
                    NULL},
    [W_DIED] = {"aion2_worker_children_died_total",
                METRIC_COUNTER,
                METRIC_ONE,
                "Child processes that died of themselves",
                {NULL},
                NULL},
    [W_REDIS_UP] = {"aion2_redis_up",
                    METRIC_GAUGE,
                    METRIC_ONE,
                    "1 while this program works with Redis",
                    {NULL},
                    NULL},
    [W_REDIS_LOST] = {"aion2_redis_lost_steps_total",
                      METRIC_COUNTER,
                      METRIC_ONE,
                      "Steps of this worker that Redis had confirmed and forgot",
                      {NULL},
                      NULL},
    [W_PUBLISHED] = {"aion2_ranking_published_timestamp_seconds",
                     METRIC_GAUGE,
                     METRIC_US,
                     "When the last ranking was made, as far as Redis knows, unix time",
                     {NULL},
                     NULL},
    [W_BATCHES] = {"aion2_batch_attempts_total",
                   METRIC_COUNTER,
                   METRIC_ONE,
                   "Attempts of the batch that ended here",
                   {&RESULT},
                   NULL},
    [W_STEP] = {"aion2_batch_phase_seconds",
                METRIC_HISTOGRAM,
                METRIC_US,
                "Phases of the batch that were completed",
                {&STEP},
                &METRIC_BUCKETS_WAIT},
    [W_CHARACTERS] = {"aion2_batch_characters_total",
                      METRIC_COUNTER,
                      METRIC_ONE,
                      "Characters that published batches have scored, and those that failed",
                      {&PART},
                      NULL},
    [W_LAST] = {"aion2_batch_last_rows",
                METRIC_GAUGE,
                METRIC_ONE,
                "The batch that this worker published last",
                {&LAST_WHAT},
                NULL},
};
static struct metric_group figures = {METRICS, W_COUNT, NULL};
static int shared_fd = -1;

/* ---- set-up ---- */

static void name_tasks(const struct settings *s)
{
    const struct task *t;
    size_t n = 0;

    while ((t = task_at(n, s)) != NULL) {
        MUST(n < TASKS_MAX - 1);
        task_names[n++] = t->name;
    }
    task_names[n++] = "other";
    task_label.count = n;
}

void figures_open(const struct settings *s)
{
    int fd;

    if (figures.cells) {
        return; /* the loop began once more in this process */
    }
    name_tasks(s);
    process_metrics_register();
    fd = metrics_register_shared(&figures);
    shared_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, SPARE_FD);
    if (fd >= 0) {
        close(fd);
    }
    if (fd < 0) {
        metrics_register(&figures, 1);
    }
    if (shared_fd < 0) {
        log_warn("figures.private", "error=\"no shared memory: batches are not counted\"");
    }
}

int figures_fd(void)
{
    return shared_fd;
}

void figures_attach(const struct settings *s, int fd)
{
    name_tasks(s);
    if (!metrics_attach(&figures, fd)) {
        log_debug("figures.none", "fd=%d", fd);
    }
}

/* ---- jobs ---- */

static size_t task_series(const struct job *j)
{
    return j->task ? metrics_series(&task_label, j->task->name) : task_label.count - 1;
}

/* Since when it could run, by Redis' clock; the moment of the take when it does not say. */
static int64_t ready_us(const struct job *j)
{
    int64_t taken_us = j->taken_ms * 1000;
    int64_t sent_us = j->msg.sent_us != MSG_NO_TIME ? j->msg.sent_us
                      : j->msg.slot_unix_s >= 0     ? j->msg.slot_unix_s * 1000000
                                                    : taken_us;
    int64_t since_us = j->msg.eta_us > sent_us ? j->msg.eta_us : sent_us; /* MSG_NO_TIME is low */

    return since_us < taken_us ? since_us : taken_us; /* clocks that differ */
}

static void note_begin(const struct job *j)
{
    int64_t here_us = (j->started_ms - j->received_ms) * 1000;

    metrics_observe(&figures, W_WAIT, task_series(j), j->taken_ms * 1000 + here_us - ready_us(j));
}

static void note_end(const struct job_report *r)
{
    size_t task = task_series(r->job);
    bool answered = r->news == NEWS_SUCCEEDED;

    metrics_add(&figures, W_TASKS, task * OUTCOME.count + (size_t)(r->news - NEWS_SUCCEEDED), 1);
    if (job_has_begun(r->job)) {
        metrics_observe(&figures, W_RUN, task,
                        answered ? (int64_t)(r->runtime_s * 1e6) : job_ran_ms(r->job) * 1000);
    }
}

void figures_on_news(const struct job_report *report)
{
    if (report->news == NEWS_STARTED) {
        note_begin(report->job);
    } else if (report->news >= NEWS_SUCCEEDED) {
        note_end(report);
    }
}

void figures_recovered(int64_t messages)
{
    metrics_add(&figures, W_RECOVERED, 0, messages);
}

void figures_redis_lost(int64_t steps)
{
    metrics_add(&figures, W_REDIS_LOST, 0, steps);
}

void figures_quarantined(int64_t messages)
{
    metrics_add(&figures, W_QUARANTINED, 0, messages);
}

void figures_child_died(void)
{
    metrics_add(&figures, W_DIED, 0, 1);
}

void figures_set_published(int64_t at_us)
{
    metrics_set(&figures, W_PUBLISHED, 0, at_us);
}

struct job_counts {
    int64_t held, running;
};

static void count_job(void *ctx, const struct job *j)
{
    struct job_counts *n = ctx;

    n->held++;
    n->running += j->state == JOB_RUNNING && job_has_begun(j);
}

void figures_collect(struct consumer *c)
{
    struct job_counts jobs = {0};

    process_metrics_collect();
    metrics_set(&figures, W_REDIS_UP, 0, c != NULL && consumer_is_registered(c));
    if (!c) {
        return;
    }
    consumer_each_job(c, count_job, &jobs);
    metrics_set(&figures, W_HELD, 0, jobs.held);
    metrics_set(&figures, W_RUNNING, 0, jobs.running);
    metrics_set(&figures, W_TAKEN, 0, consumer_stats(c)->taken);
    metrics_set(&figures, W_CHILDREN, 0, pool_alive_count(consumer_pool(c)));
    metrics_set(&figures, W_CHILDREN, 1, pool_size(consumer_pool(c)));
}

/* ---- the batch ---- */

void figures_batch_step(const char *name, int64_t us)
{
    metrics_observe(&figures, W_STEP, metrics_series(&STEP, name), us);
}

void figures_batch_end(const char *status)
{
    metrics_add(&figures, W_BATCHES, metrics_series(&RESULT, status), 1);
}

void figures_batch_published(const struct figures_batch *b)
{
    const int64_t last[] = {b->scored, b->failed, b->entries, b->servers};

    metrics_add(&figures, W_CHARACTERS, 0, b->scored);
    metrics_add(&figures, W_CHARACTERS, 1, b->failed);
    for (size_t i = 0; i < ARRAY_LEN(last); i++) {
        metrics_set(&figures, W_LAST, i, last[i]);
    }
}
