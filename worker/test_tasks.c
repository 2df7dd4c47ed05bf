#include "worker/test_tasks.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

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

cJSON *test_task_sum(const struct task_request *req, struct err *e)
{
    struct task_request of_list = *req;
    const cJSON *first = cJSON_GetArrayItem(req->args, 0);

    if (cJSON_IsArray(first) && cJSON_GetArraySize(req->args) == 1) {
        of_list.args = first;
    }
    return test_task_add(&of_list, e);
}

cJSON *test_task_echo(const struct task_request *req, UNUSED struct err *e)
{
    cJSON *both = cJSON_CreateObject();

    cJSON_AddItemToObject(both, "args", cJSON_Duplicate(req->args, true));
    cJSON_AddItemToObject(both, "kwargs", cJSON_Duplicate(req->kwargs, true));
    return both;
}

static double seconds_asked(const struct task_request *req)
{
    const cJSON *v = cJSON_GetArrayItem(req->args, 0);

    return cJSON_IsNumber(v) && v->valuedouble > 0 ? v->valuedouble : 0;
}

static void nap_ms(int64_t ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

cJSON *test_task_sleep(const struct task_request *req, struct err *e)
{
    int64_t end_ms = clock_mono_ms() + (int64_t)(seconds_asked(req) * 1000);
    int64_t left_ms;

    while ((left_ms = end_ms - clock_mono_ms()) > 0) {
        if (task_cancelled(req, e)) {
            return NULL;
        }
        nap_ms(left_ms < TASK_WAIT_MS ? left_ms : TASK_WAIT_MS);
    }
    return cJSON_CreateString("slept");
}

cJSON *test_task_stubborn(const struct task_request *req, UNUSED struct err *e)
{
    int64_t end_ms = clock_mono_ms() + (int64_t)(seconds_asked(req) * 1000);

    while (clock_mono_ms() < end_ms) {
        nap_ms(10);
    }
    return cJSON_CreateString("slept");
}

cJSON *test_task_leak(const struct task_request *req, struct err *e)
{
    static struct leak {
        struct leak *next;
    } * leaked; /* reachable, so that it is no finding of the tools that look for leaks */
    size_t size = (size_t)seconds_asked(req) + sizeof(struct leak);
    struct leak *more = size < 256 * MIB ? mem_try_array(size, 1) : NULL;

    if (!more) {
        err_set(e, ERR_PERMANENT, "ValueError", "args: a number of bytes expected");
        return NULL;
    }
    memset(more, 1, size);
    more->next = leaked;
    leaked = more;
    return cJSON_CreateNumber((double)size);
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

cJSON *test_task_crash(const struct task_request *req, UNUSED struct err *e)
{
    int64_t signum = SIGKILL;
    const cJSON *line;

    json_get_i64(req->kwargs, "signal", 1, 64, &signum);
    cJSON_ArrayForEach(line, json_get_arr(req->kwargs, "lines"))
    {
        fprintf(stderr, "%s\n", cJSON_IsString(line) ? line->valuestring : "?");
    }
    raise((int)signum);
    return cJSON_CreateString("survived");
}
