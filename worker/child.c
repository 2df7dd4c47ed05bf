#include "worker/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"

/* False at end of file or on an error. */
static bool read_all(void *into, size_t len)
{
    char *p = into;

    while (len > 0) {
        ssize_t n = read(CHILD_FD, p, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

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

/* NULL at the end of the conversation. */
static char *read_frame(size_t *len)
{
    unsigned char head[4];
    char *text;

    if (!read_all(head, sizeof head)) {
        return NULL;
    }
    *len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    text = *len <= CHILD_FRAME_MAX ? mem_try_array(*len + 1, 1) : NULL;
    if (!text || !read_all(text, *len)) {
        free(text);
        return NULL;
    }
    return text;
}

static bool write_frame(const char *text)
{
    size_t len = strlen(text);
    unsigned char head[4] = {(unsigned char)len, (unsigned char)(len >> 8),
                             (unsigned char)(len >> 16), (unsigned char)(len >> 24)};

    return write_all(head, sizeof head) && write_all(text, len);
}

static char *failure(const struct err *e)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddFalseToObject(o, "ok");
    cJSON_AddStringToObject(o, "class", err_class_name(e->cls));
    cJSON_AddStringToObject(o, "type", e->type);
    cJSON_AddStringToObject(o, "text", e->text);
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

char *child_answer(const cJSON *result, const struct err *e)
{
    static const char HEAD[] = "{\"ok\":true,\"result\":";
    struct err big;
    struct buf out;
    char *value;

    if (!result) {
        return failure(e);
    }
    value = json_print(result);
    buf_init(&out, CHILD_RESULT_MAX);
    if (value && buf_addstr(&out, HEAD) && buf_addstr(&out, value) && buf_addch(&out, '}')) {
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

static cJSON *run_task(const struct settings *s, const cJSON *job, struct err *e)
{
    const struct task *task = task_of(s, job);
    int64_t retries = 0, slot = -1;
    struct task_request req = {.id = json_get_str(job, "id"),
                               .worker = json_get_str(job, "worker"),
                               .args = json_get_arr(job, "args"),
                               .kwargs = json_get_obj(job, "kwargs"),
                               .settings = s};

    if (!task || !req.id || !req.worker || !req.args || !req.kwargs) {
        err_set(e, ERR_PERMANENT, "RuntimeError", "the supervisor's request is incomplete");
        return NULL;
    }
    json_get_i64(job, "retries", 0, INT32_MAX, &retries);
    json_get_i64(job, "slot", 0, INT64_MAX, &slot);
    req.retries = (int)retries;
    req.slot_unix_s = slot;
    return task->run(&req, e);
}

static bool serve_one(const struct settings *s)
{
    struct err e = {.cls = ERR_PERMANENT, .type = "RuntimeError"};
    size_t len;
    char *text = read_frame(&len);
    const struct task *task;
    cJSON *job, *result;
    bool ok;

    if (!text) {
        return false;
    }
    job = json_parse(text, len, &e);
    free(text);
    task = job ? task_of(s, job) : NULL;
    result = job ? run_task(s, job, &e) : NULL;
    cJSON_Delete(job);
    text = child_answer(result, &e);
    cJSON_Delete(result);
    ok = text && write_frame(text);
    free(text);
    if (ok && task && task->after) {
        task->after(s);
    }
    return ok && write_frame(CHILD_READY);
}

int child_main(const struct settings *s, int64_t supervisor_pid)
{
    signal(SIGPIPE, SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != (pid_t)supervisor_pid) {
        return 1; /* it died before we could ask to die with it */
    }
    while (serve_one(s)) {
    }
    return 0;
}
