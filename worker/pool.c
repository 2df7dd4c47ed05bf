#include "worker/pool.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/child.h"
#include "worker/loop.h"

#define RESPAWN_MIN_MS 100
#define RESPAWN_MAX_MS 5000
#define HEAD_BYTES     4

struct child {
    struct pool *pool;
    struct bufferevent *io; /* NULL: not running */
    struct event *limit;
    struct event *respawn;
    pid_t pid;
    uint64_t job;  /* 0: none */
    bool settling; /* it has answered and is not ready for the next job yet */
    int respawn_ms;
    bool proven; /* it has answered once: its death is not a failure to start */
    bool killed; /* by us: it gets no further job */
    bool over_limit;
};

struct pool {
    struct pool_config cf;
    struct event *sigchld;
    struct child *children;
};

static void spawn(struct child *c);

static void kill_child(struct child *c)
{
    c->killed = true;
    kill(c->pid, SIGKILL);
}

static bool is_free(const struct child *c)
{
    return c->io && !c->killed && c->job == 0 && !c->settling;
}

static void report(struct child *c, const struct pool_outcome *outcome)
{
    uint64_t job = c->job;

    event_del(c->limit);
    c->job = 0;
    if (job) {
        c->pool->cf.on_done(c->pool->cf.ctx, job, outcome);
    }
}

/* A whole frame at the front of in: its length, or -1 not yet, -2 longer than allowed. */
static int64_t frame_length(struct evbuffer *in)
{
    unsigned char h[HEAD_BYTES];
    size_t len;

    if (evbuffer_copyout(in, h, sizeof h) < (ssize_t)sizeof h) {
        return -1;
    }
    len = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
    if (len > CHILD_FRAME_MAX) {
        return -2;
    }
    return evbuffer_get_length(in) - sizeof h >= len ? (int64_t)len : -1;
}

static void take_answer(struct child *c)
{
    struct evbuffer *in = bufferevent_get_input(c->io);
    struct pool_outcome done = {.end = POOL_ANSWERED};
    int64_t len = frame_length(in);

    if (len == -1 || (c->killed && !c->job)) {
        return;
    }
    if (len == -2 || !c->job) {
        kill_child(c); /* not the child we know */
        return;
    }
    evbuffer_drain(in, HEAD_BYTES);
    done.len = (size_t)len;
    done.frame = (const char *)evbuffer_pullup(in, (ssize_t)len);
    c->proven = true;
    c->respawn_ms = RESPAWN_MIN_MS;
    c->settling = true;
    report(c, &done);
    loop_arm_ms(c->limit, TASK_AFTER_LIMIT_S * 1000);
    evbuffer_drain(in, (size_t)len);
}

/* It has answered earlier; any further frame says that it is ready. */
static void take_ready(struct child *c)
{
    struct evbuffer *in = bufferevent_get_input(c->io);
    int64_t len = frame_length(in);

    if (len == -1 || c->killed) {
        return;
    }
    if (len == -2) {
        kill_child(c);
        return;
    }
    evbuffer_drain(in, HEAD_BYTES + (size_t)len);
    c->settling = false;
    event_del(c->limit);
}

static void on_readable(UNUSED struct bufferevent *io, void *arg)
{
    struct child *c = arg;

    if (!c->settling) {
        take_answer(c);
    }
    if (c->settling) {
        take_ready(c); /* it may have come with the answer */
    }
    if (is_free(c)) {
        c->pool->cf.on_free(c->pool->cf.ctx);
    }
}

/* The socket ended. The process usually has, too, and SIGCHLD tells how. */
static void on_io_event(struct bufferevent *io, UNUSED short what, void *arg)
{
    struct child *c = arg;

    bufferevent_disable(io, EV_READ | EV_WRITE);
    kill_child(c);
}

static void on_limit(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct child *c = arg;

    c->over_limit = true;
    kill_child(c);
}

/* What it wrote before it died counts. */
static void read_last_words(struct child *c)
{
    struct evbuffer *in = bufferevent_get_input(c->io);
    evutil_socket_t fd = bufferevent_getfd(c->io);

    evbuffer_unfreeze(in, 0); /* a bufferevent keeps it closed for others */
    while (evbuffer_get_length(in) <= CHILD_FRAME_MAX && evbuffer_read(in, fd, -1) > 0) {
    }
    if (c->job && !c->settling && frame_length(in) >= 0) {
        take_answer(c);
    }
}

static void child_died(struct child *c, int status)
{
    struct pool_outcome lost = {.end = c->over_limit ? POOL_TIME_LIMIT : POOL_LOST};
    bool was_busy;

    read_last_words(c);
    was_busy = c->job != 0;
    if (WIFSIGNALED(status)) {
        lost.signal = WTERMSIG(status);
    } else {
        lost.exit_code = WEXITSTATUS(status);
    }
    log_warn("child.died", "child=%d signal=%d exit_code=%d busy=%d", (int)c->pid, lost.signal,
             lost.exit_code, was_busy);
    bufferevent_free(c->io);
    c->io = NULL;
    c->pid = 0;
    report(c, &lost);
    if (was_busy || c->proven) {
        loop_arm_ms(c->respawn, 0);
        return;
    }
    loop_arm_ms(c->respawn, c->respawn_ms);
    c->respawn_ms = c->respawn_ms * 2 < RESPAWN_MAX_MS ? c->respawn_ms * 2 : RESPAWN_MAX_MS;
}

static void on_sigchld(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct pool *p = arg;

    for (int i = 0; i < p->cf.size; i++) {
        struct child *c = &p->children[i];
        int status;

        if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid) {
            child_died(c, status);
        }
    }
}

/*
 * Our own program again, the socket as CHILD_FD. The signals that mean "stop" are blocked from its
 * first moment on: Ctrl-C reaches the whole process group, and only the supervisor decides.
 */
static int exec_child(int sock, pid_t *pid)
{
    char parent[16];
    char *argv[] = {(char[]){"aion2-worker"}, (char[]){"--child"}, parent, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t all, stops;
    int rc;

    snprintf(parent, sizeof parent, "%d", (int)getpid());
    sigfillset(&all);
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGHUP);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, sock, CHILD_FD);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setsigmask(&at, &stops);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(pid, "/proc/self/exe", &fa, &at, argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

static bool start_child(struct child *c)
{
    int pair[2];
    int rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("child.no_socket", "error=%s", LOGQ(strerror(errno)));
        return false;
    }
    rc = exec_child(pair[1], &c->pid);
    close(pair[1]);
    if (rc != 0) {
        log_error("child.not_started", "error=%s", LOGQ(strerror(rc)));
        close(pair[0]);
        c->pid = 0;
        return false;
    }
    evutil_make_socket_nonblocking(pair[0]);
    c->io = bufferevent_socket_new(c->pool->cf.base, pair[0], BEV_OPT_CLOSE_ON_FREE);
    MUST(c->io);
    bufferevent_setcb(c->io, on_readable, NULL, on_io_event, c);
    bufferevent_setwatermark(c->io, EV_READ, 0, CHILD_FRAME_MAX + HEAD_BYTES);
    bufferevent_enable(c->io, EV_READ | EV_WRITE);
    return true;
}

static void spawn(struct child *c)
{
    c->job = 0;
    c->proven = c->killed = c->over_limit = c->settling = false;
    if (!start_child(c)) {
        loop_arm_ms(c->respawn, RESPAWN_MAX_MS);
        return;
    }
    log_debug("child.started", "child=%d", (int)c->pid);
    c->pool->cf.on_free(c->pool->cf.ctx);
}

static void on_respawn(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    spawn(arg);
}

struct pool *pool_new(const struct pool_config *config)
{
    struct pool *p = mem_alloc(sizeof *p);

    p->cf = *config;
    p->children = mem_alloc((size_t)p->cf.size * sizeof *p->children);
    p->sigchld = evsignal_new(p->cf.base, SIGCHLD, on_sigchld, p);
    MUST(p->sigchld && event_add(p->sigchld, NULL) == 0);
    for (int i = 0; i < p->cf.size; i++) {
        struct child *c = &p->children[i];

        c->pool = p;
        c->respawn_ms = RESPAWN_MIN_MS;
        c->limit = evtimer_new(p->cf.base, on_limit, c);
        c->respawn = evtimer_new(p->cf.base, on_respawn, c);
        MUST(c->limit && c->respawn);
        loop_arm_ms(c->respawn, 0);
    }
    return p;
}

void pool_free(struct pool *p)
{
    for (int i = 0; i < p->cf.size; i++) {
        struct child *c = &p->children[i];

        if (c->pid > 0) {
            kill(c->pid, SIGKILL);
            waitpid(c->pid, NULL, 0);
        }
        if (c->io) {
            bufferevent_free(c->io);
        }
        event_free(c->limit);
        event_free(c->respawn);
    }
    event_free(p->sigchld);
    free(p->children);
    free(p);
}

int pool_free_count(const struct pool *p)
{
    int n = 0;

    for (int i = 0; i < p->cf.size; i++) {
        n += is_free(&p->children[i]);
    }
    return n;
}

int pool_alive_count(const struct pool *p)
{
    int n = 0;

    for (int i = 0; i < p->cf.size; i++) {
        n += p->children[i].pid > 0;
    }
    return n;
}

bool pool_run(struct pool *p, uint64_t job, const char *frame, int64_t limit_s)
{
    size_t len = strlen(frame);
    unsigned char head[HEAD_BYTES] = {(unsigned char)len, (unsigned char)(len >> 8),
                                      (unsigned char)(len >> 16), (unsigned char)(len >> 24)};

    MUST(len <= CHILD_FRAME_MAX);
    for (int i = 0; i < p->cf.size; i++) {
        struct child *c = &p->children[i];

        if (!is_free(c)) {
            continue;
        }
        c->job = job;
        if (limit_s > 0) {
            loop_arm_ms(c->limit, limit_s * 1000);
        }
        bufferevent_write(c->io, head, sizeof head);
        bufferevent_write(c->io, frame, len);
        return true;
    }
    return false;
}

static struct child *find(const struct pool *p, uint64_t job)
{
    for (int i = 0; i < p->cf.size; i++) {
        if (job != 0 && p->children[i].job == job) {
            return &p->children[i];
        }
    }
    return NULL;
}

void pool_abandon(struct pool *p, uint64_t job)
{
    struct child *c = find(p, job);

    if (c) {
        event_del(c->limit);
        c->proven = true;
        c->job = 0;
        kill_child(c);
    }
}

int pool_job_pid(const struct pool *p, uint64_t job)
{
    const struct child *c = find(p, job);

    return c ? (int)c->pid : 0;
}
