#include <event2/buffer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/pool_parts.h"

#define LEAVE_MS         5000 /* from the closed socket to its end */
#define TERMINATE_MS     2000
#define RSS_CHECK_US     20000 /* how often at most, and after every task that lasts */
#define RSS_CHECK_RUN_US 1000

/* ---- limits ---- */

static void arm_limits(struct child *c, const struct pool_job *j)
{
    bool soft = j->soft_ms > 0 && (j->hard_ms == 0 || j->soft_ms < j->hard_ms);

    c->limit_kind = soft ? LIMIT_SOFT : LIMIT_HARD;
    if (soft || j->hard_ms > 0) {
        loop_arm_ms(c->limit, soft ? j->soft_ms : j->hard_ms);
    } else {
        event_del(c->limit);
    }
}

/* The first of its jobs is the one that it runs now. */
static void begin(struct child *c)
{
    struct pool_job *j = c->jobs.first;

    c->begun_us = clock_mono_us();
    atomic_store(&c->share->cancel, 0);
    arm_limits(c, j);
    if (!j->told) {
        j->told = true;
        if (c->pool->cf.on_begin) {
            c->pool->cf.on_begin(c->pool->cf.ctx, j->number, (int)c->pid);
        }
    }
}

/* The task sees it when it asks; the signal only wakes it from a wait. */
static void cancel(struct child *c)
{
    atomic_store(&c->share->cancel, c->jobs.first->number);
    kill(c->pid, SIGUSR1);
}

void child_on_limit(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct child *c = arg;
    const struct pool_job *j = c->jobs.first;

    if (j && turn_begun(&c->share->turn) < j->seq && c->limit_kind != LIMIT_SETTLING) {
        arm_limits(c, j); /* the child has not got to it yet */
        return;
    }
    if (j && c->limit_kind == LIMIT_SOFT) {
        log_warn("child.soft_limit", "child=%d seconds=%.3f", (int)c->pid,
                 (double)j->soft_ms / 1000);
        cancel(c);
        c->limit_kind = LIMIT_HARD;
        if (j->hard_ms > 0) {
            loop_arm_ms(c->limit, j->hard_ms - j->soft_ms);
        }
        return;
    }
    c->over_limit = c->limit_kind == LIMIT_HARD;
    child_kill(c);
}

/* ---- ending it ---- */

void child_kill(struct child *c)
{
    c->state = STATE_KILLED;
    kill(c->pid, SIGKILL);
    pool_take_back(c);
}

void child_on_doom(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct child *c = arg;

    log_warn("child.lingers", "child=%d", (int)c->pid);
    child_kill(c);
}

static void leave(struct child *c)
{
    c->state = STATE_LEAVING;
    event_del(c->limit);
    shutdown(bufferevent_getfd(c->io), SHUT_WR);
    loop_arm_ms(c->doom, LEAVE_MS);
}

void child_retire(struct child *c)
{
    c->retiring = true;
    if (c->state == STATE_WORKING || c->state == STATE_STARTING) {
        pool_take_back(c);
        if (!c->jobs.first) {
            leave(c);
        }
    }
}

/* Blocked in children (pool_process.c), or of no use to end one. */
static bool needs_kill(int signum)
{
    static const int SIGNALS[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                  SIGSTOP, SIGTSTP, SIGCONT, SIGCHLD};

    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        if (SIGNALS[i] == signum) {
            return true;
        }
    }
    return signum <= 0 || signum > SIGRTMAX;
}

void child_terminate(struct child *c, int signum)
{
    c->term_signal = signum;
    c->retiring = true; /* whatever the signal has done to it */
    if (c->state == STATE_KILLED || needs_kill(signum)) {
        child_kill(c);
        return;
    }
    loop_arm_ms(c->doom, TERMINATE_MS);
    if (signum == SIGUSR1) {
        cancel(c);
    } else {
        kill(c->pid, signum);
    }
}

/* ---- what it says ---- */

int64_t child_rss_bytes(const struct child *c)
{
    char path[48];
    long total, resident = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)c->pid);
    f = fopen(path, "re");
    if (!f) {
        return 0;
    }
    if (fscanf(f, "%ld %ld", &total, &resident) != 2) {
        resident = 0;
    }
    fclose(f);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

/* Between two tasks: has it done enough, has it grown too big? */
static bool is_worn_out(struct child *c, int64_t run_us)
{
    const struct pool_config *cf = &c->pool->cf;
    int64_t now_us = clock_mono_us();

    if (cf->max_tasks > 0 && c->tasks >= cf->max_tasks) {
        return true;
    }
    if (cf->max_memory_bytes == 0 ||
        (run_us < RSS_CHECK_RUN_US && now_us - c->rss_checked_us < RSS_CHECK_US)) {
        return false;
    }
    c->rss_checked_us = now_us;
    return child_rss_bytes(c) > cf->max_memory_bytes;
}

/* It can take the next job, or begins it, or goes. */
static void ready(struct child *c, int64_t run_us)
{
    if (c->state == STATE_KILLED || c->state == STATE_LEAVING) {
        return;
    }
    c->state = STATE_WORKING;
    event_del(c->limit);
    if (!c->retiring && c->tasks > 0 && is_worn_out(c, run_us)) {
        log_info("child.worn_out", "child=%d tasks=%" PRId64 " rss=%" PRId64, (int)c->pid, c->tasks,
                 child_rss_bytes(c));
        c->retiring = true;
    }
    if (c->retiring) {
        child_retire(c);
    }
    if (c->jobs.first && c->state == STATE_WORKING) {
        begin(c);
    }
}

static void fill_outcome(struct pool_outcome *o, const struct child *c, const struct child_head *h,
                         const char *frame)
{
    size_t around = sizeof CHILD_OK_BEFORE - 1 + sizeof CHILD_OK_AFTER - 1;

    o->ok = h->what == CHILD_OK && h->len > around;
    o->end = c->term_signal && !o->ok ? POOL_TERMINATED : POOL_ANSWERED;
    o->signal = c->term_signal;
    o->pid = (int)c->pid;
    o->frame = frame;
    o->len = h->len;
    o->run_us = h->run_us;
    o->value = o->ok ? frame + sizeof CHILD_OK_BEFORE - 1 : NULL;
    o->value_len = o->ok ? h->len - around : 0;
}

/* It has answered, and goes on with what may take a while: nobody waits for that. */
static void settle(struct child *c)
{
    c->state = STATE_SETTLING;
    pool_take_back(c);
    c->limit_kind = LIMIT_SETTLING;
    loop_arm_ms(c->limit, TASK_AFTER_LIMIT_S * 1000);
}

static bool take_answer(struct child *c, const struct child_head *h, const char *frame)
{
    static struct pool_outcome outcome; /* large, so not cleared each time: log_tail stays empty */
    struct pool *p = c->pool;
    struct pool_job *j = c->jobs.first;

    if (!j || j->number != h->job || j->seq != h->seq) {
        return false;
    }
    fill_outcome(&outcome, c, h, frame);
    free(pool_jobs_pop(&c->jobs));
    c->tasks++;
    c->proven = true;
    c->term_signal = 0;
    pool_note_run_us(p, h->run_us);
    if (c->state == STATE_WORKING && h->more) {
        settle(c);
    } else {
        ready(c, h->run_us);
    }
    p->cf.on_done(p->cf.ctx, h->job, &outcome);
    return true;
}

/* False when this is not the child we know. */
static bool take_frame(struct child *c, const struct child_head *h, const char *frame)
{
    switch (h->what) {
    case CHILD_READY:
        ready(c, RSS_CHECK_RUN_US);
        return true;
    case CHILD_OK:
    case CHILD_FAILED:
        return take_answer(c, h, frame) || c->state == STATE_KILLED;
    default:
        return false;
    }
}

void child_read_frames(struct child *c)
{
    struct evbuffer *in = bufferevent_get_input(c->io);
    struct child_head h;

    while (evbuffer_copyout(in, &h, sizeof h) == (ssize_t)sizeof h) {
        size_t size = sizeof h + h.len;
        bool sane = h.len <= CHILD_FRAME_MAX;

        if (sane && evbuffer_get_length(in) < size) {
            return;
        }
        sane =
            sane && take_frame(c, &h, (const char *)evbuffer_pullup(in, (ssize_t)size) + sizeof h);
        if (!sane) {
            log_error("child.nonsense", "child=%d what=%d len=%" PRIu32, (int)c->pid, h.what,
                      h.len);
            evbuffer_drain(in, evbuffer_get_length(in));
            child_kill(c);
            return;
        }
        evbuffer_drain(in, size);
    }
}

void child_give(struct child *c, struct pool_job *j)
{
    struct child_head h = {.len = (uint32_t)j->len, .what = CHILD_JOB, .job = j->number};

    j->seq = h.seq = ++c->seq;
    bufferevent_write(c->io, &h, sizeof h);
    bufferevent_write(c->io, j->frame, j->len);
    pool_jobs_push(&c->jobs, j);
    if (c->jobs.count == 1) {
        begin(c);
    }
}
