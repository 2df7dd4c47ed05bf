#include "worker/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/child_log.h"

#define TRIAL_MS     30000
#define FD_FIRST     3
#define FD_LAST      4096 /* where the kernel cannot mark them all at once */
#define REASON_BYTES 400

/* How we were started; memory that lives as long as the process. */
static struct {
    char exe[PATH_MAX];
    int argc;
    char **argv;
    char **env;
} origin;

struct reload {
    struct reload_config cf;
    struct event *sigchld, *limit;
    struct child_log *log; /* of the trial */
    pid_t trial;           /* 0: none */
    bool again;
};

static int list_length(char **list)
{
    int n = 0;

    while (list[n]) {
        n++;
    }
    return n;
}

void reload_remember(char **argv)
{
    int n = list_length(environ);
    ssize_t len = readlink("/proc/self/exe", origin.exe, sizeof origin.exe - 1);

    origin.exe[len > 0 ? len : 0] = '\0';
    origin.argv = argv;
    origin.argc = list_length(argv);
    origin.env = mem_alloc(((size_t)n + 1) * sizeof *origin.env);
    for (int i = 0; i < n; i++) {
        origin.env[i] = mem_strdup(environ[i]);
    }
}

/* ---- the trial ---- */

static int spawn_trial(pid_t *pid, int log_fd)
{
    char **argv = mem_alloc(((size_t)origin.argc + 2) * sizeof *argv);
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    int rc;

    memcpy(argv, origin.argv, (size_t)origin.argc * sizeof *argv);
    argv[origin.argc] = (char[]){"--trial"};
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, log_fd, STDERR_FILENO);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    rc = posix_spawn(pid, origin.exe, &fa, &at, argv, origin.env);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    free(argv);
    return rc;
}

static void refuse(const char *why)
{
    log_error("settings.refused", "error=%s next=\"the old settings stay\"", LOGQ(why));
}

static void begin_trial(struct reload *r)
{
    int log[2] = {-1, -1};
    int rc = pipe2(log, O_CLOEXEC | O_NONBLOCK) != 0 ? errno : spawn_trial(&r->trial, log[1]);

    close(log[1]);
    if (rc != 0) {
        close(log[0]);
        r->trial = 0;
        refuse(strerror(rc));
        return;
    }
    r->log = child_log_new(r->cf.base, log[0], (int)r->trial);
    loop_arm_ms(r->limit, TRIAL_MS);
    log_info("settings.trial", "pid=%d program=%s", (int)r->trial, LOGQ(origin.exe));
}

static void end_trial(struct reload *r, int status)
{
    char why[REASON_BYTES];

    event_del(r->limit);
    r->trial = 0;
    child_log_drain(r->log);
    child_log_tail(r->log, why, sizeof why);
    child_log_free(r->log);
    r->log = NULL;
    if (r->again) {
        r->again = false;
        begin_trial(r);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        r->cf.on_accepted(r->cf.ctx);
    } else {
        refuse(why[0] ? why : "the trial process died");
    }
}

static void on_sigchld(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct reload *r = arg;
    int status;

    if (r->trial > 0 && waitpid(r->trial, &status, WNOHANG) == r->trial) {
        end_trial(r, status);
    }
}

static void on_limit(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct reload *r = arg;

    kill(r->trial, SIGKILL);
}

void reload_request(struct reload *r)
{
    if (r->trial > 0) {
        r->again = true;
    } else {
        begin_trial(r);
    }
}

struct reload *reload_new(const struct reload_config *config)
{
    struct reload *r = mem_alloc(sizeof *r);

    r->cf = *config;
    r->sigchld = evsignal_new(r->cf.base, SIGCHLD, on_sigchld, r);
    r->limit = evtimer_new(r->cf.base, on_limit, r);
    MUST(r->sigchld && r->limit && event_add(r->sigchld, NULL) == 0);
    return r;
}

void reload_free(struct reload *r)
{
    if (r->trial > 0) {
        kill(r->trial, SIGKILL);
        waitpid(r->trial, NULL, 0);
    }
    child_log_free(r->log);
    event_free(r->sigchld);
    event_free(r->limit);
    free(r);
}

/* ---- the new program ---- */

/* Nothing of ours but standard input, output and error goes on. */
static void mark_descriptors(void)
{
    if (close_range(FD_FIRST, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
    for (int fd = FD_FIRST; fd < FD_LAST; fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* fails where there is none */
    }
}

void reload_exec(void)
{
    log_info("worker.reloading", "program=%s", LOGQ(origin.exe));
    mark_descriptors();
    execve(origin.exe, origin.argv, origin.env);
    log_error("worker.not_reloaded", "error=%s next=\"the old settings stay\"",
              LOGQ(strerror(errno)));
}

void reload_hold_signal(bool hold)
{
    sigset_t hup;

    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &hup, NULL);
}
