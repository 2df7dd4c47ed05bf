#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/broker.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/text.h"
#include "ctl/await.h"
#include "ctl/ctl.h"

#define REDIS_TIMEOUT_MS 5000
#define WAIT_MAX_S       86400
#define COUNTDOWN_MAX_S  31536000
#define EXIT_INTERRUPTED 130 /* as shells say it: 128 + SIGINT */

const char CTL_CALL_HELP[] =
    "Usage: aion2ctl call NAME [--args JSON] [--kwargs JSON] [--id ID]\n"
    "                     [--countdown SECONDS] [--wait SECONDS]\n"
    "\n"
    "Sends a task to TASK_QUEUE. Without --wait it prints the task's id and ends; with\n"
    "--wait it prints the result as one line of JSON.\n"
    "\n"
    "  NAME                  name of the task; \"batch\" stands for\n"
    "                        " TASK_BATCH "\n"
    "  --args JSON           positional arguments, a JSON array\n"
    "  --kwargs JSON         named arguments, a JSON object\n"
    "  --id ID               task id (default: a random UUID). A batch with the id of an\n"
    "                        earlier one gives the result of that one\n"
    "  --countdown SECONDS   run it this much later\n"
    "  --wait SECONDS        wait for the result, at most so long\n"
    "\n"
    "Examples:\n"
    "  aion2ctl call batch --wait 60\n"
    "  aion2ctl call batch --countdown 300\n"
    "  aion2ctl call reports.send --args '[\"weekly\"]' --kwargs '{\"dry_run\": true}'\n"
    "\n"
    "Exit codes: 0 sent (with --wait: the task succeeded), 1 the task failed (its error\n"
    "is on standard output), 2 no result within the time (the task goes on), 64 wrong\n"
    "usage, 69 Redis not reachable, 130 interrupted (the task goes on).\n";

struct call {
    const char *task;
    const char *id;
    cJSON *args; /* NULL: none given */
    cJSON *kwargs;
    int64_t countdown_s; /* 0: none */
    int64_t wait_s;      /* -1: do not wait */
    char own_id[UUID_SIZE];
};

/*
 * Checks the text and keeps it as it is: numbers that do not fit a double reach the worker
 * unchanged.
 */
static bool take_json(const char *text, bool array, cJSON **out, struct err *e)
{
    cJSON *v = json_parse(text, strlen(text), e);
    bool right = array ? cJSON_IsArray(v) : cJSON_IsObject(v);

    cJSON_Delete(v);
    if (!v) {
        return false;
    }
    if (!right) {
        return err_set(e, ERR_PERMANENT, "ValueError", "must be a JSON %s",
                       array ? "array, like '[1, \"x\"]'" : "object, like '{\"n\": 1}'");
    }
    cJSON_Delete(*out);
    *out = cJSON_CreateRaw(text);
    return *out || err_set(e, ERR_PERMANENT, "MemoryError", "out of memory");
}

static bool take_name(const char *text, const char **out, struct err *e)
{
    size_t len = strlen(text);

    if (len == 0 || len >= MSG_NAME_SIZE || !text_is_utf8(text, len) ||
        text_has_control(text, len)) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "must be 1 to %d bytes of text without control characters",
                       MSG_NAME_SIZE - 1);
    }
    *out = text;
    return true;
}

static bool take_seconds(const char *text, int64_t max, int64_t *out, struct err *e)
{
    return text_to_i64(text, 0, max, out) ||
           err_set(e, ERR_PERMANENT, "ValueError",
                   "must be a whole number of seconds from 0 to %" PRId64, max);
}

static bool take_option(struct call *c, int option, const char *value, struct err *e)
{
    switch (option) {
    case 'a':
        return take_json(value, true, &c->args, e);
    case 'k':
        return take_json(value, false, &c->kwargs, e);
    case 'i':
        return take_name(value, &c->id, e);
    case 'c':
        return take_seconds(value, COUNTDOWN_MAX_S, &c->countdown_s, e);
    default:
        return take_seconds(value, WAIT_MAX_S, &c->wait_s, e);
    }
}

static int parse(struct call *c, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"args", required_argument, NULL, 'a'}, {"kwargs", required_argument, NULL, 'k'},
        {"id", required_argument, NULL, 'i'},   {"countdown", required_argument, NULL, 'c'},
        {"wait", required_argument, NULL, 'w'}, {0}};
    struct err e;
    int option, index;

    while ((option = getopt_long(argc, argv, "", OPTIONS, &index)) != -1) {
        if (option == '?') {
            return CTL_USAGE; /* getopt has said why */
        }
        if (!take_option(c, option, optarg, &e)) {
            return ctl_fail("call", CTL_USAGE, "--%s: %s", OPTIONS[index].name, e.text);
        }
    }
    if (argc - optind != 1) {
        return ctl_fail("call", CTL_USAGE, "give the name of one task; see aion2ctl call --help");
    }
    if (!take_name(argv[optind], &c->task, &e)) {
        return ctl_fail("call", CTL_USAGE, "NAME: %s", e.text);
    }
    if (strcmp(c->task, SCHEDULE_BATCH) == 0) {
        c->task = TASK_BATCH;
    }
    return CTL_OK;
}

static bool push(redisContext *r, const struct ctl_settings *s, const struct call *c, struct err *e)
{
    char origin[HOST_ORIGIN_SIZE];
    struct msg_new n = {.task = c->task,
                        .id = c->id,
                        .queue = s->task_queue,
                        .origin = host_origin(origin),
                        .args = c->args,
                        .kwargs = c->kwargs,
                        .slot_unix_s = -1};
    int64_t now_us = 0;
    size_t len;
    char *text;
    bool ok;

    if (c->countdown_s > 0) {
        if (!rds_time_us(r, &now_us, e)) {
            return false;
        }
        n.eta_us = now_us + c->countdown_s * 1000000;
    }
    text = msg_build(&n, &len);
    if (!text) {
        return err_set(e, ERR_PERMANENT, "MemoryError", "out of memory");
    }
    ok = broker_push(r, s->task_queue, 0, text, len, e);
    free(text);
    return ok;
}

static int send_task(const struct ctl_settings *s, const struct rds_addr *addr,
                     const struct call *c)
{
    struct err e;
    redisContext *r = rds_connect(addr, REDIS_TIMEOUT_MS, &e);
    bool ok = r && push(r, s, c, &e);

    if (r) {
        redisFree(r);
    }
    if (ok) {
        return CTL_OK;
    }
    return ctl_fail("call", e.cls == ERR_RETRYABLE ? CTL_UNAVAILABLE : CTL_FAILED, "%s", e.text);
}

/* "ValueError: text" from {"exc_type", "exc_message"}, as far as they are there. */
static int report_failure(const struct call *c, const cJSON *doc)
{
    const cJSON *result = json_get_obj(doc, "result");
    const char *type = json_get_str(result, "exc_type");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(result, "exc_message");
    const char *text =
        cJSON_GetStringValue(cJSON_IsArray(message) ? cJSON_GetArrayItem(message, 0) : message);

    return ctl_fail("call", CTL_FAILED, "task %s: %s: %s%s%s", c->id, json_get_str(doc, "status"),
                    type ? type : "no reason given", text ? ": " : "", text ? text : "");
}

static int report_end(const struct call *c, const cJSON *doc)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(doc, "result");
    char *text = result ? json_print(result) : NULL;

    puts(text ? text : "null");
    free(text);
    if (strcmp(json_get_str(doc, "status"), "SUCCESS") == 0) {
        return CTL_OK;
    }
    fflush(stdout);
    return report_failure(c, doc);
}

static int wait_for_end(struct await *w, const struct call *c)
{
    cJSON *doc = NULL;
    int code;

    switch (await_result(w, c->wait_s, &doc)) {
    case AWAIT_DONE:
        if (!doc) {
            return ctl_fail("call", CTL_FAILED, "task %s ended, but its result is not JSON", c->id);
        }
        code = report_end(c, doc);
        cJSON_Delete(doc);
        return code;
    case AWAIT_INTERRUPTED:
        return ctl_fail("call", EXIT_INTERRUPTED, "interrupted; task %s goes on (state %s)", c->id,
                        w->state);
    case AWAIT_TIMEOUT:
        break;
    }
    return ctl_fail("call", CTL_TIMEOUT,
                    "no result within %" PRId64 " s; task %s goes on (state %s)", c->wait_s, c->id,
                    w->state);
}

static int send_and_wait(const struct ctl_settings *s, const struct rds_addr *addr,
                         const struct call *c)
{
    struct await w;
    struct err e;
    int code;

    if (!await_begin(&w, addr, c->id, &e)) {
        code = ctl_fail("call", CTL_UNAVAILABLE, "%s", e.text);
    } else {
        w.show_progress = isatty(STDERR_FILENO);
        code = send_task(s, addr, c);
        if (code == CTL_OK) {
            code = wait_for_end(&w, c);
        }
    }
    await_fini(&w);
    return code;
}

int ctl_call(const struct ctl_settings *s, int argc, char **argv)
{
    struct call c = {.wait_s = -1};
    struct rds_addr addr;
    struct err e;
    int code;

    uuid_random(c.own_id);
    c.id = c.own_id;
    code = parse(&c, argc, argv);
    if (code == CTL_OK && !rds_parse_url(s->redis_url, &addr, &e)) {
        code = ctl_fail("call", CTL_USAGE, "%s", e.text);
    }
    if (code == CTL_OK && c.wait_s >= 0) {
        code = send_and_wait(s, &addr, &c);
    } else if (code == CTL_OK) {
        code = send_task(s, &addr, &c);
        if (code == CTL_OK) {
            puts(c.id);
        }
    }
    cJSON_Delete(c.args);
    cJSON_Delete(c.kwargs);
    return code;
}
