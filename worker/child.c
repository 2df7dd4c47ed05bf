#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/crash.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/figures.h"
#include "worker/pg_keep.h"

#define READ_AT_ONCE (64 * KIB)
#define IN_MAX       (2 * CHILD_FRAME_MAX) /* a frame, and what was read behind it */
#define MAPPED_BYTES (4 * MIB)
#define KEEP_BYTES   (256 * KIB) /* more than this is given back after a long frame */

static struct child_share *share;

static bool write_all(const void *from, size_t len)
{
    const char *p = from;

    while (len > 0) {
        ssize_t n = write(CHILD_FD, p, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Until something comes. What is kept for the next task is let go when none comes for long. */
static void wait_for_input(void)
{
    struct pollfd fd = {.fd = CHILD_FD, .events = POLLIN};
    int ms;

    while ((ms = pg_keep_expire()) >= 0 && poll(&fd, 1, ms) <= 0) {
    }
}

/* At least `len` bytes in the buffer; false at the end of the conversation. */
static bool fill(struct buf *in, size_t len)
{
    while (in->len < len) {
        ssize_t n;

        if (!buf_reserve(in, len - in->len > READ_AT_ONCE ? len - in->len : READ_AT_ONCE)) {
            return false;
        }
        wait_for_input();
        n = read(CHILD_FD, in->data + in->len, in->cap - in->len - 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        in->len += (size_t)n;
    }
    return true;
}

static bool say(struct child_head *h, const char *text)
{
    struct iovec parts[] = {{h, sizeof *h}, {(char *)(uintptr_t)text, h->len}};
    size_t all = sizeof *h + h->len;
    ssize_t n;

    do {
        n = writev(CHILD_FD, parts, 2);
    } while (n < 0 && errno == EINTR);
    if (n < 0 || (size_t)n == all) {
        return n >= 0;
    }
    if ((size_t)n < sizeof *h) {
        return write_all((const char *)h + n, sizeof *h - (size_t)n) && write_all(text, h->len);
    }
    return write_all(text + ((size_t)n - sizeof *h), all - (size_t)n);
}

static bool say_ready(void)
{
    struct child_head h = {.what = CHILD_READY};

    return say(&h, "");
}

static char *failure(const struct err *e)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddFalseToObject(o, "ok");
    cJSON_AddStringToObject(o, "class", err_class_name(e->cls));
    cJSON_AddStringToObject(o, "type", e->type);
    cJSON_AddStringToObject(o, "text", e->text);
    if (e->wait_s > 0) {
        cJSON_AddNumberToObject(o, "wait_s", (double)e->wait_s);
    }
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

char *child_answer(const cJSON *result, const struct err *e)
{
    struct err big;
    struct buf out;
    char *value;

    if (!result) {
        return failure(e);
    }
    value = json_print(result);
    buf_init(&out, CHILD_RESULT_MAX);
    if (value && buf_addstr(&out, CHILD_OK_BEFORE) && buf_addstr(&out, value) &&
        buf_addstr(&out, CHILD_OK_AFTER)) {
        free(value);
        return buf_take(&out, NULL);
    }
    free(value);
    buf_fini(&out);
    err_set(&big, ERR_PERMANENT, "ValueError", "the result is longer than %zu bytes",
            (size_t)CHILD_RESULT_MAX);
    return failure(&big);
}

static const struct task *task_of(const struct settings *s, const cJSON *job)
{
    const char *name = json_get_str(job, "task");

    return name ? task_find(name, s) : NULL;
}

static cJSON *run_task(const struct settings *s, const cJSON *job, uint64_t number, struct err *e)
{
    const struct task *task = task_of(s, job);
    int64_t retries = 0, slot = -1;
    struct task_request req = {.id = json_get_str(job, "id"),
                               .worker = json_get_str(job, "worker"),
                               .args = json_get_arr(job, "args"),
                               .kwargs = json_get_obj(job, "kwargs"),
                               .settings = s,
                               .cancel = &share->cancel,
                               .number = number,
                               .progress = &share->progress};

    if (!task || !req.id || !req.worker || !req.args || !req.kwargs) {
        err_set(e, ERR_PERMANENT, "RuntimeError", "the supervisor's request is incomplete");
        return NULL;
    }
    json_get_i64(job, "retries", 0, INT32_MAX, &retries);
    json_get_i64(job, "slot", 0, INT64_MAX, &slot);
    req.retries = (int)retries;
    req.slot_unix_s = slot;
    log_context("id", req.id);
    log_context_i64("attempt", retries + 1);
    return task->run(&req, e);
}

static bool answer(const struct child_head *job, const struct task *task, int64_t begun_us,
                   const cJSON *result, const struct err *e)
{
    char *text = child_answer(result, e);
    int64_t run_us = clock_mono_us() - begun_us;
    struct child_head h = {.what =
                               text && text[sizeof "{\"ok\":" - 1] == 't' ? CHILD_OK : CHILD_FAILED,
                           .len = text ? (uint32_t)strlen(text) : 0,
                           .more = task && task->after,
                           .seq = job->seq,
                           .job = job->job,
                           .run_us = run_us < UINT32_MAX ? (uint32_t)run_us : UINT32_MAX};
    bool ok = text && say(&h, text);

    free(text);
    return ok;
}

/* What follows is about no task, or about another one. */
static void forget_context(void)
{
    static const char *const KEYS[] = {"id", "attempt", "run"};

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        log_context(KEYS[i], NULL);
    }
}

static bool serve_one(const struct settings *s, const struct child_head *h, const char *text)
{
    struct err e = {.cls = ERR_PERMANENT, .type = "RuntimeError"};
    int64_t begun_us = clock_mono_us();
    cJSON *job = json_parse(text, h->len, &e);
    const struct task *task = job ? task_of(s, job) : NULL;
    cJSON *result = job ? run_task(s, job, h->job, &e) : NULL;
    bool ok;

    CRASH_POINT("child.done");
    ok = answer(h, task, begun_us, result, &e);
    cJSON_Delete(result);
    cJSON_Delete(job);
    if (ok && task && task->after) {
        task->after(s);
        ok = say_ready();
    }
    forget_context();
    return ok;
}

static bool serve_next(const struct settings *s, struct buf *in)
{
    struct child_head h;
    bool ok = true;

    if (!fill(in, sizeof h)) {
        return false;
    }
    memcpy(&h, in->data, sizeof h);
    if (h.len > CHILD_FRAME_MAX || h.what != CHILD_JOB || !fill(in, sizeof h + h.len)) {
        return false;
    }
    if (turn_begin(&share->turn, h.seq)) {
        CRASH_POINT("child.begin");
        ok = serve_one(s, &h, in->data + sizeof h);
    }
    buf_consume(in, sizeof h + h.len);
    if (in->len == 0 && in->cap > KEEP_BYTES) {
        buf_fini(in);
        buf_init(in, IN_MAX);
    }
    return ok;
}

/* It only has to end a wait; what is asked for stands in the shared memory. */
static void on_wake(UNUSED int sig)
{
}

static bool hear_signals(void)
{
    struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART */
    sigset_t usr1;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    return sigaction(SIGUSR1, &wake, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &usr1, NULL) == 0;
}

/* The descriptors are ours alone: what a task starts shall not hold them. */
static bool take_descriptors(void)
{
    share = mmap(NULL, sizeof *share, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_SHARE_FD, 0);
    return share != MAP_FAILED && close(CHILD_SHARE_FD) == 0 &&
           fcntl(CHILD_FD, F_SETFD, FD_CLOEXEC) == 0;
}

/*
 * What a small batch has freed stays for the next one: to give it back and to be given it again
 * costs as much as the scoring. Larger blocks are mapped, so that they can grow in place and go
 * back at once; batch_after() gives back what is still too much.
 */
static void keep_small_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, 4 * MAPPED_BYTES);
}

int child_main(const struct settings *s, int64_t supervisor_pid)
{
    struct buf in;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != (pid_t)supervisor_pid) {
        return 1; /* it died before we could ask to die with it */
    }
    if (!take_descriptors() || !hear_signals() || !say_ready()) {
        log_error("child.not_ready", "error=%s", LOGQ(strerror(errno)));
        return 1;
    }
    keep_small_memory();
    figures_attach(s, CHILD_FIGURES_FD);
    close(CHILD_FIGURES_FD);
    buf_init(&in, IN_MAX);
    while (serve_next(s, &in)) {
    }
    pg_keep_close();
    buf_fini(&in);
    return 0;
}
