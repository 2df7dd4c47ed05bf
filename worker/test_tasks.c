#include "worker/test_tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/json.h"

cJSON *test_task_add(const struct task_request *req, struct err *e)
{
    const cJSON *v;
    double sum = 0;

    cJSON_ArrayForEach(v, req->args)
    {
        if (!cJSON_IsNumber(v)) {
            err_set(e, ERR_PERMANENT, "TypeError", "args: numbers expected");
            return NULL;
        }
        sum += v->valuedouble;
    }
    return cJSON_CreateNumber(sum);
}

cJSON *test_task_sleep(const struct task_request *req, UNUSED struct err *e)
{
    const cJSON *v = cJSON_GetArrayItem(req->args, 0);
    double seconds = cJSON_IsNumber(v) && v->valuedouble > 0 ? v->valuedouble : 0;
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    return cJSON_CreateString("slept");
}

cJSON *test_task_fail(const struct task_request *req, struct err *e)
{
    const char *type = cJSON_GetStringValue(cJSON_GetArrayItem(req->args, 0));
    const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(req->args, 1));
    const char *cls = json_get_str(req->kwargs, "class");
    int64_t succeed_after;

    if (json_get_i64(req->kwargs, "succeed_after", 0, 100, &succeed_after) &&
        req->retries >= succeed_after) {
        return cJSON_CreateNumber(req->retries);
    }
    err_set(e, cls && strcmp(cls, "retryable") == 0 ? ERR_RETRYABLE : ERR_PERMANENT,
            type ? type : "ValueError", "%s", text ? text : "asked to fail");
    return NULL;
}

cJSON *test_task_noop(UNUSED const struct task_request *req, UNUSED struct err *e)
{
    return cJSON_CreateNull();
}

cJSON *test_task_clock(UNUSED const struct task_request *req, UNUSED struct err *e)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return cJSON_CreateNumber((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* One write() with O_APPEND, so lines of several children never mix. */
cJSON *test_task_append(const struct task_request *req, struct err *e)
{
    const char *path = cJSON_GetStringValue(cJSON_GetArrayItem(req->args, 0));
    const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(req->args, 1));
    char line[256];
    int len = path && text ? snprintf(line, sizeof(line), "%s\n", text) : -1;
    int fd = len > 0 && (size_t)len < sizeof(line)
                 ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                 : -1;
    bool written = fd >= 0 && write(fd, line, (size_t)len) == len;

    if (fd >= 0) {
        close(fd);
    }
    if (!written) {
        err_set(e, ERR_PERMANENT, "OSError", "args: path and a short text expected");
        return NULL;
    }
    return cJSON_CreateString(text);
}

cJSON *test_task_crash(UNUSED const struct task_request *req, UNUSED struct err *e)
{
    kill(getpid(), SIGKILL);
    return NULL;
}
