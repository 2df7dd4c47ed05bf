#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/figures.h"
#include "worker/pool_parts.h"

#define RESPAWN_MIN_MS 100
#define RESPAWN_MAX_MS 5000
#define FD_SPARE       16 /* ours are above those that a child is given */

/* What a child is born with, and our ends of it. -1: not there. */
struct lines {
    int sock[2]; /* ours, the child's */
    int log[2];
    int share;
};

/* ---- its start ---- */

static int move_up(int fd)
{
    int up = fd >= 0 && fd < FD_SPARE ? fcntl(fd, F_DUPFD_CLOEXEC, FD_SPARE) : fd;

    if (up != fd) {
        close(fd);
    }
    return up;
}

static void close_all(struct lines *l)
{
    int fds[] = {l->sock[0], l->sock[1], l->log[0], l->log[1], l->share};

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static bool open_all(struct lines *l)
{
    *l = (struct lines){{-1, -1}, {-1, -1}, -1};
    l->share = memfd_create("aion2-child", MFD_CLOEXEC);
    if (l->share < 0 || ftruncate(l->share, sizeof(struct child_share)) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->sock) != 0 ||
        pipe2(l->log, O_CLOEXEC) != 0) {
        close_all(l);
        return false;
    }
    l->share = move_up(l->share);
    for (int i = 0; i < 2; i++) {
        l->sock[i] = move_up(l->sock[i]);
        l->log[i] = move_up(l->log[i]);
    }
    return true;
}

/*
 * The signals that mean "stop" to the worker are blocked in a child from its first moment on:
 * Ctrl-C reaches the whole process group, and only the supervisor decides. SIGUSR1 waits until the
 * child can handle it.
 */
static void block_signals(sigset_t *blocked)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1};

    sigemptyset(blocked);
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        sigaddset(blocked, SIGNALS[i]);
    }
}

/* Returns an errno. */
static int exec_child(const char *program, const struct lines *l, pid_t *pid)
{
    char parent[16];
    char *argv[] = {(char[]){"aion2-worker"}, (char[]){"--child"}, parent, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t all, blocked;
    int rc;

    snprintf(parent, sizeof parent, "%d", (int)getpid());
    sigfillset(&all);
    block_signals(&blocked);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, l->log[1], STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&fa, l->sock[1], CHILD_FD);
    posix_spawn_file_actions_adddup2(&fa, l->share, CHILD_SHARE_FD);
    if (figures_fd() >= 0) {
        posix_spawn_file_actions_adddup2(&fa, figures_fd(), CHILD_FIGURES_FD);
    }
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setsigmask(&at, &blocked);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(pid, program ? program : "/proc/self/exe", &fa, &at, argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

static void on_readable(UNUSED struct bufferevent *io, void *arg)
{
    struct child *c = arg;

    child_read_frames(c);
    pool_pump(c->pool);
}

/* The socket ended. The process usually has, too, and SIGCHLD tells how. */
static void on_io_event(struct bufferevent *io, UNUSED short what, void *arg)
{
    struct child *c = arg;

    bufferevent_disable(io, EV_READ | EV_WRITE);
    if (c->state != STATE_LEAVING) {
        child_kill(c);
    }
}

/* Takes our ends over. */
static void attach(struct child *c, struct lines *l)
{
    struct event_base *base = c->pool->cf.base;

    evutil_make_socket_nonblocking(l->sock[0]);
    evutil_make_socket_nonblocking(l->log[0]);
    c->io = bufferevent_socket_new(base, l->sock[0], BEV_OPT_CLOSE_ON_FREE);
    MUST(c->io);
    bufferevent_setcb(c->io, on_readable, NULL, on_io_event, c);
    bufferevent_setwatermark(c->io, EV_READ, 0, CHILD_FRAME_MAX + sizeof(struct child_head));
    bufferevent_enable(c->io, EV_READ | EV_WRITE);
    c->log = child_log_new(base, l->log[0], (int)c->pid);
    l->sock[0] = l->log[0] = -1;
}

static bool start(struct child *c)
{
    struct lines l;
    int rc;

    if (!open_all(&l)) {
        log_error("child.not_started", "error=%s", LOGQ(strerror(errno)));
        return false;
    }
    c->share = mmap(NULL, sizeof *c->share, PROT_READ | PROT_WRITE, MAP_SHARED, l.share, 0);
    rc = c->share == MAP_FAILED ? errno : exec_child(c->pool->cf.program, &l, &c->pid);
    if (rc == 0) {
        attach(c, &l);
    } else {
        log_error("child.not_started", "error=%s", LOGQ(strerror(rc)));
        c->pid = 0;
    }
    close_all(&l);
    return rc == 0;
}

static void spawn(struct child *c)
{
    c->retiring = c->stopped = c->proven = c->over_limit = false;
    c->term_signal = 0;
    c->seq = 0;
    c->tasks = 0;
    c->rss_checked_us = 0;
    c->started_wall_us = clock_wall_us();
    if (!start(c)) {
        loop_arm_ms(c->respawn, RESPAWN_MAX_MS);
        return;
    }
    c->state = STATE_STARTING;
    log_debug("child.started", "child=%d", (int)c->pid);
}

/* ---- its end ---- */

/* What it wrote before it died counts. */
static void read_last_words(struct child *c)
{
    struct evbuffer *in = bufferevent_get_input(c->io);
    evutil_socket_t fd = bufferevent_getfd(c->io);

    evbuffer_unfreeze(in, 0); /* a bufferevent keeps it closed for others */
    while (evbuffer_get_length(in) <= CHILD_FRAME_MAX && evbuffer_read(in, fd, -1) > 0) {
    }
    child_read_frames(c);
}

static void describe_end(const struct child *c, int status, struct pool_outcome *o)
{
    const struct pool_job *j = c->jobs.first;

    o->end = POOL_LOST;
    o->pid = (int)c->pid;
    if (WIFSIGNALED(status)) {
        o->signal = WTERMSIG(status);
    } else {
        o->exit_code = WEXITSTATUS(status);
    }
    if (c->term_signal) {
        o->end = POOL_TERMINATED;
        o->signal = c->term_signal;
    } else if (c->over_limit && j) {
        o->end = POOL_TIME_LIMIT;
        o->limit_ms = j->hard_ms;
    }
    child_log_drain(c->log);
    child_log_tail(c->log, o->log_tail, sizeof o->log_tail);
}

static void log_end(const struct child *c, const struct pool_outcome *o)
{
    if (c->state == STATE_LEAVING && o->signal == 0 && o->exit_code == 0) {
        log_debug("child.left", "child=%d tasks=%" PRId64, (int)c->pid, c->tasks);
        return;
    }
    log_warn("child.died", "child=%d signal=%d exit_code=%d busy=%d tasks=%" PRId64, (int)c->pid,
             o->signal, o->exit_code, c->jobs.first != NULL, c->tasks);
    figures_child_died();
}

static void detach(struct child *c)
{
    event_del(c->limit);
    event_del(c->doom);
    event_del(c->stop_limit);
    bufferevent_free(c->io);
    c->io = NULL;
    child_log_free(c->log);
    c->log = NULL;
    munmap(c->share, sizeof *c->share);
    c->share = NULL;
    c->pid = 0;
    c->state = STATE_ABSENT;
}

static void follow_up(struct child *c, bool was_busy)
{
    if (!c->wanted) {
        return;
    }
    if (was_busy || c->proven || c->retiring) {
        c->respawn_ms = RESPAWN_MIN_MS;
        loop_arm_ms(c->respawn, 0);
        return;
    }
    loop_arm_ms(c->respawn, c->respawn_ms);
    c->respawn_ms = c->respawn_ms * 2 < RESPAWN_MAX_MS ? c->respawn_ms * 2 : RESPAWN_MAX_MS;
}

static void died(struct child *c, int status)
{
    struct pool_outcome end = {0};
    struct pool_job *j;

    if (c->state != STATE_LEAVING) {
        c->state = STATE_KILLED; /* nothing more is begun */
    }
    read_last_words(c);
    pool_take_back(c);
    describe_end(c, status, &end);
    log_end(c, &end);
    detach(c);
    follow_up(c, c->jobs.first != NULL);
    while ((j = pool_jobs_pop(&c->jobs)) != NULL) { /* one, unless it talked nonsense */
        c->pool->cf.on_done(c->pool->cf.ctx, j->number, &end);
        free(j);
    }
}

void child_changed(struct child *c, int status)
{
    if (WIFSTOPPED(status)) {
        log_warn("child.stopped", "child=%d signal=%d busy=%d", (int)c->pid, WSTOPSIG(status),
                 c->jobs.first != NULL);
        c->stopped = true;
        pool_take_back(c);
        loop_arm_ms(c->stop_limit, c->pool->cf.stop_limit_ms);
    } else if (WIFCONTINUED(status)) {
        log_info("child.continued", "child=%d", (int)c->pid);
        c->stopped = false;
        event_del(c->stop_limit);
    } else {
        died(c, status);
    }
}

/* ---- the slot ---- */

static void on_stop_limit(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct child *c = arg;

    log_warn("child.stopped_too_long", "child=%d", (int)c->pid);
    child_kill(c);
}

static void on_respawn(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    spawn(arg);
}

void child_init(struct child *c, struct pool *p)
{
    c->pool = p;
    c->respawn_ms = RESPAWN_MIN_MS;
    pool_jobs_init(&c->jobs);
    c->limit = evtimer_new(p->cf.base, child_on_limit, c);
    c->doom = evtimer_new(p->cf.base, child_on_doom, c);
    c->stop_limit = evtimer_new(p->cf.base, on_stop_limit, c);
    c->respawn = evtimer_new(p->cf.base, on_respawn, c);
    MUST(c->limit && c->doom && c->stop_limit && c->respawn);
}

void child_fini(struct child *c)
{
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        detach(c);
    }
    event_free(c->limit);
    event_free(c->doom);
    event_free(c->stop_limit);
    event_free(c->respawn);
}
