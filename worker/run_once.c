#include "worker/run_once.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/uuid.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_BAD_USAGE = 64 };

static int print_result(const cJSON *result)
{
    char *text = json_print(result);

    if (!text) {
        fputs("retryable MemoryError: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    puts(text);
    fflush(stdout); /* what comes after the answer may take a while */
    free(text);
    return EXIT_DONE;
}

/* Ctrl-C asks the task to stop; once more does not ask. */
static _Atomic uint64_t stop_asked;

static void on_signal(int sig)
{
    stop_asked = 1;
    signal(sig, SIG_DFL);
}

static void hear_signals(struct task_request *req)
{
    struct sigaction ask = {.sa_handler = on_signal}; /* no SA_RESTART: waits end */

    sigaction(SIGINT, &ask, NULL);
    sigaction(SIGTERM, &ask, NULL);
    req->cancel = &stop_asked;
    req->number = 1;
}

int run_once(const struct settings *s, const char *task_name, const char *id, int64_t slot_unix_s)
{
    const struct task *task = task_find(task_name, s);
    char random_id[UUID_SIZE];
    struct task_request req = {
        .worker = "aion2-worker --run", .slot_unix_s = slot_unix_s, .settings = s};
    struct err e = {0};
    cJSON *result;
    int code;

    if (!task) {
        fprintf(stderr, "aion2-worker: no task is called %s\n", task_name);
        return EXIT_BAD_USAGE;
    }
    req.args = cJSON_CreateArray();
    req.kwargs = cJSON_CreateObject();
    uuid_random(random_id);
    req.id = id ? id : random_id;
    hear_signals(&req);
    result = task->run(&req, &e);
    if (result) {
        code = print_result(result);
    } else {
        fprintf(stderr, "%s %s: %s\n", err_class_name(e.cls), e.type, e.text);
        code = EXIT_FAILED;
    }
    cJSON_Delete(result);
    if (task->after) {
        task->after(s);
    }
    cJSON_Delete((cJSON *)(uintptr_t)req.args);
    cJSON_Delete((cJSON *)(uintptr_t)req.kwargs);
    return code;
}
