#include "worker/pool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/pool_parts.h"

#define SHORT_US       2000  /* a task that takes less is short */
#define RUN_SAMPLE_MAX 50000 /* one long task does not outweigh the short ones for long */
#define RUN_WEIGHT     8
#define PATIENCE_US    20000 /* so long others wait for a task that should have been short */
#define PATIENCE_MS    10    /* how often we look */

/* ---- queues ---- */

void pool_jobs_init(struct pool_jobs *q)
{
    q->first = NULL;
    q->end = &q->first;
    q->count = 0;
}

void pool_jobs_push(struct pool_jobs *q, struct pool_job *j)
{
    j->next = NULL;
    *q->end = j;
    q->end = &j->next;
    q->count++;
}

struct pool_job *pool_jobs_pop(struct pool_jobs *q)
{
    struct pool_job *j = q->first;

    if (j) {
        q->first = j->next;
        q->end = q->first ? q->end : &q->first;
        q->count--;
    }
    return j;
}

static struct pool_job *jobs_find(const struct pool_jobs *q, uint64_t number)
{
    struct pool_job *j = q->first;

    while (j && j->number != number) {
        j = j->next;
    }
    return j;
}

static void jobs_remove(struct pool_jobs *q, struct pool_job *gone)
{
    struct pool_jobs left;
    struct pool_job *j;

    pool_jobs_init(&left);
    while ((j = pool_jobs_pop(q)) != NULL) {
        if (j != gone) {
            pool_jobs_push(&left, j);
        }
    }
    while ((j = pool_jobs_pop(&left)) != NULL) {
        pool_jobs_push(q, j);
    }
}

static void jobs_drop(struct pool_jobs *q)
{
    struct pool_job *j;

    while ((j = pool_jobs_pop(q)) != NULL) {
        free(j);
    }
}

/* ---- who gets what ---- */

void pool_note_run_us(struct pool *p, int64_t run_us)
{
    int64_t sample = run_us < RUN_SAMPLE_MAX ? run_us : RUN_SAMPLE_MAX;

    p->run_us += (sample - p->run_us) / RUN_WEIGHT;
}

/* Jobs that the child could take now. */
static int room_in(const struct child *c, int64_t now_us)
{
    const struct pool *p = c->pool;
    bool is_short = p->run_us < SHORT_US;
    int most = is_short ? POOL_QUEUE_MAX : 1;
    int64_t left = p->cf.max_tasks - c->tasks;

    if (c->state != STATE_WORKING || c->stopped || c->retiring ||
        (c->jobs.count > 0 && (c->term_signal || now_us - c->begun_us > PATIENCE_US))) {
        return 0;
    }
    if (p->cf.max_tasks > 0 && left < most) {
        most = (int)left;
    }
    return most > c->jobs.count ? most - c->jobs.count : 0;
}

static struct child *least_busy(struct pool *p)
{
    int64_t now_us = clock_mono_us();
    struct child *best = NULL;

    for (int i = 0; i < p->used; i++) {
        struct child *c = &p->children[i];

        if (c->state == STATE_WORKING && (!best || c->jobs.count < best->jobs.count) &&
            room_in(c, now_us) > 0) {
            best = c;
        }
    }
    return best;
}

int pool_capacity(const struct pool *p)
{
    int64_t now_us = clock_mono_us();
    int room = -p->waiting.count;

    for (int i = 0; i < p->used; i++) {
        room += p->children[i].state == STATE_WORKING ? room_in(&p->children[i], now_us) : 0;
    }
    return room > 0 ? room : 0;
}

int64_t pool_run_us(const struct pool *p)
{
    int64_t now_us = clock_mono_us();
    int64_t least = INT64_MAX;

    for (int i = 0; i < p->used; i++) {
        const struct child *c = &p->children[i];

        if (c->state == STATE_WORKING) {
            int64_t us = c->jobs.count > 0 ? now_us - c->begun_us : 0;

            least = us < least ? us : least;
        }
    }
    return least != INT64_MAX && least > p->run_us ? least : p->run_us;
}

static void give(struct child *c, struct pool_job *j)
{
    struct event *patience = c->pool->patience;

    child_give(c, j);
    if (c->jobs.count > 1 && !event_pending(patience, EV_TIMEOUT, NULL)) {
        loop_arm_ms(patience, PATIENCE_MS);
    }
}

bool pool_run(struct pool *p, const struct pool_work *work)
{
    struct child *c = p->waiting.first ? NULL : least_busy(p);
    struct pool_job *j;

    MUST(work->len <= CHILD_FRAME_MAX && work->job != 0);
    j = c ? mem_try_array(sizeof *j + work->len, 1) : NULL;
    if (!j) {
        return false;
    }
    j->number = work->job;
    j->soft_ms = work->soft_ms;
    j->hard_ms = work->hard_ms;
    j->len = work->len;
    memcpy(j->frame, work->frame, work->len);
    give(c, j);
    return true;
}

void pool_pump(struct pool *p)
{
    struct child *c;

    while (p->waiting.first && (c = least_busy(p)) != NULL) {
        give(c, pool_jobs_pop(&p->waiting));
    }
    if (pool_capacity(p) > 0) {
        p->cf.on_free(p->cf.ctx);
    }
}

void pool_take_back(struct child *c)
{
    uint32_t begun = turn_take_back(&c->share->turn, c->seq);
    struct pool_jobs all = c->pool->waiting; /* they come after what was taken back now */
    struct pool_jobs kept;
    struct pool_job *j;

    if (!all.first) {
        all.end = &all.first;
    }
    pool_jobs_init(&kept);
    pool_jobs_init(&c->pool->waiting);
    while ((j = pool_jobs_pop(&c->jobs)) != NULL) {
        pool_jobs_push(j->seq <= begun ? &kept : &c->pool->waiting, j);
    }
    while ((j = pool_jobs_pop(&kept)) != NULL) {
        pool_jobs_push(&c->jobs, j);
    }
    while ((j = pool_jobs_pop(&all)) != NULL) {
        pool_jobs_push(&c->pool->waiting, j);
    }
    if (!c->jobs.first && c->state == STATE_WORKING) {
        event_del(c->limit);
    }
    if (c->pool->waiting.first) {
        loop_arm_ms(c->pool->patience, 0); /* pumps, when whoever called us is done */
    }
}

static void on_patience(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pool *p = arg;
    int64_t now_us = clock_mono_us();
    bool again = false;

    for (int i = 0; i < p->used; i++) {
        struct child *c = &p->children[i];

        if (c->jobs.count > 1 && now_us - c->begun_us > PATIENCE_US) {
            pool_take_back(c);
        }
        again |= c->jobs.count > 1;
    }
    if (again) {
        loop_arm_ms(p->patience, PATIENCE_MS);
    }
    pool_pump(p);
}

/* ---- jobs by number ---- */

static struct child *find(const struct pool *p, uint64_t job, struct pool_job **found)
{
    for (int i = 0; i < p->used; i++) {
        *found = job != 0 ? jobs_find(&p->children[i].jobs, job) : NULL;
        if (*found) {
            return (struct child *)(uintptr_t)&p->children[i];
        }
    }
    return NULL;
}

/* Takes the job out when no child has begun it; it is the caller's then. */
static struct pool_job *take_unbegun(struct pool *p, uint64_t job)
{
    struct pool_job *j;
    struct child *c = find(p, job, &j);

    if (c) {
        pool_take_back(c);
    }
    j = jobs_find(&p->waiting, job);
    if (j) {
        jobs_remove(&p->waiting, j);
    }
    return j;
}

bool pool_withdraw(struct pool *p, uint64_t job)
{
    struct pool_job *j = take_unbegun(p, job);

    free(j);
    return j != NULL;
}

void pool_abandon(struct pool *p, uint64_t job)
{
    struct pool_job *j = take_unbegun(p, job);
    struct child *c = j ? NULL : find(p, job, &j);

    if (c) {
        jobs_remove(&c->jobs, j);
        c->proven = true;
        child_kill(c);
    }
    free(j);
}

void pool_terminate(struct pool *p, uint64_t job, int signum)
{
    struct pool_outcome outcome = {.end = POOL_TERMINATED, .signal = signum};
    struct pool_job *j = take_unbegun(p, job);
    struct child *c;

    if (j) {
        free(j);
        p->cf.on_done(p->cf.ctx, job, &outcome);
        return;
    }
    c = find(p, job, &j);
    if (c) {
        child_terminate(c, signum);
    }
}

int pool_job_pid(const struct pool *p, uint64_t job)
{
    struct pool_job *j;
    const struct child *c = find(p, job, &j);

    return c && c->jobs.first == j ? (int)c->pid : 0;
}

bool pool_job_progress(const struct pool *p, uint64_t job, struct progress *progress)
{
    struct pool_job *j;
    const struct child *c = find(p, job, &j);

    return c && c->jobs.first == j && c->share && progress_read(&c->share->progress, job, progress);
}

/* ---- size ---- */

int pool_size(const struct pool *p)
{
    int n = 0;

    for (int i = 0; i < p->used; i++) {
        n += p->children[i].wanted;
    }
    return n;
}

int pool_alive_count(const struct pool *p)
{
    int n = 0;

    for (int i = 0; i < p->used; i++) {
        n += p->children[i].pid > 0;
    }
    return n;
}

void pool_each_child(const struct pool *p, void (*fn)(void *ctx, const struct pool_child *child),
                     void *ctx)
{
    for (int i = 0; i < p->used; i++) {
        const struct child *c = &p->children[i];
        const struct pool_job *j = c->jobs.first;
        struct pool_child child = {.pid = (int)c->pid,
                                   .job = j ? j->number : 0,
                                   .queued = j ? c->jobs.count - 1 : 0,
                                   .tasks = c->tasks,
                                   .rss_bytes = c->pid ? child_rss_bytes(c) : 0,
                                   .started_wall_us = c->started_wall_us};

        if (c->pid > 0) {
            fn(ctx, &child);
        }
    }
}

/* One more: a child that is about to go will be followed by another, or an empty slot is used. */
static void grow(struct pool *p)
{
    struct child *empty = NULL;

    for (int i = p->used - 1; i >= 0; i--) {
        struct child *c = &p->children[i];

        if (!c->wanted && c->pid > 0) {
            c->wanted = true;
            return;
        }
        empty = c->wanted ? empty : c;
    }
    if (!empty) {
        MUST(p->used < POOL_SIZE_MAX);
        empty = &p->children[p->used++];
        child_init(empty, p);
    }
    empty->wanted = true;
    loop_arm_ms(empty->respawn, 0);
}

/* One less: who does nothing goes first. */
static void shrink(struct pool *p)
{
    struct child *least = NULL;

    for (int i = p->used - 1; i >= 0; i--) {
        struct child *c = &p->children[i];

        if (c->wanted && (!least || c->jobs.count < least->jobs.count)) {
            least = c;
        }
    }
    least->wanted = false;
    event_del(least->respawn);
    if (least->pid > 0) {
        child_retire(least);
    }
}

bool pool_resize(struct pool *p, int size, struct err *e)
{
    int now = pool_size(p);

    if (size < 1 || size > POOL_SIZE_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "a pool has 1 to %d children",
                       POOL_SIZE_MAX);
    }
    log_info("pool.resized", "from=%d to=%d", now, size);
    for (; now < size; now++) {
        grow(p);
    }
    for (; now > size; now--) {
        shrink(p);
    }
    pool_pump(p);
    return true;
}

/* ---- life ---- */

static void on_sigchld(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pool *p = arg;

    for (int i = 0; i < p->used; i++) {
        struct child *c = &p->children[i];
        int status;

        while (c->pid > 0 && waitpid(c->pid, &status, WNOHANG | WUNTRACED | WCONTINUED) > 0) {
            child_changed(c, status);
        }
    }
    pool_pump(p);
}

struct pool *pool_new(const struct pool_config *config)
{
    struct pool *p = mem_alloc(sizeof *p);

    MUST(config->size >= 1 && config->size <= POOL_SIZE_MAX);
    p->cf = *config;
    p->run_us = RUN_SAMPLE_MAX;
    pool_jobs_init(&p->waiting);
    p->patience = evtimer_new(p->cf.base, on_patience, p);
    p->sigchld = evsignal_new(p->cf.base, SIGCHLD, on_sigchld, p);
    MUST(p->patience && p->sigchld && event_add(p->sigchld, NULL) == 0);
    for (int i = 0; i < p->cf.size; i++) {
        grow(p);
    }
    return p;
}

void pool_free(struct pool *p)
{
    for (int i = 0; i < p->used; i++) {
        child_fini(&p->children[i]);
        jobs_drop(&p->children[i].jobs);
    }
    jobs_drop(&p->waiting);
    event_free(p->patience);
    event_free(p->sigchld);
    free(p);
}
