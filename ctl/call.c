#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/broker.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/host.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/text.h"
#include "ctl/await.h"
#include "ctl/ctl.h"

#define REDIS_TIMEOUT_MS 5000
#define WAIT_MAX_S       86400
#define SPAN_MAX_S       31536000

const char CTL_CALL_HELP[] =
    "Usage: aion2ctl call NAME [options]\n"
    "\n"
    "Sends a task. Without --wait it prints the task's id and ends; with --wait it\n"
    "prints the result as one line of JSON. Monitors are told by a task-sent event.\n"
    "\n"
    "  NAME                  name of the task; \"batch\" stands for\n"
    "                        " TASK_BATCH "\n"
    "  --args JSON           positional arguments, a JSON array\n"
    "  --kwargs JSON         named arguments, a JSON object\n"
    "  --id ID               task id (default: a random UUID). A batch with the id of\n"
    "                        an earlier one gives the result of that one\n"
    "  --countdown TIME      run it this much later: 90, 90s, 15m, 2h, 1d\n"
    "  --eta TIME            not before this time, as 2026-11-23T18:00:00+09:00\n"
    "                        (without an offset: UTC)\n"
    "  --expires TIME        when it has not begun this much later, it is not run\n"
    "  --priority N          0 (most urgent, and the default) to 9\n"
    "  --queue NAME          another queue than TASK_QUEUE\n"
    "  --wait SECONDS        wait for the result, at most so long\n"
    "\n"
    "Examples:\n"
    "  aion2ctl call batch --wait 60\n"
    "  aion2ctl call batch --countdown 5m --expires 10m\n"
    "  aion2ctl call reports.send --args '[\"weekly\"]' --kwargs '{\"dry_run\": true}'\n"
    "\n"
    "Exit codes: 0 sent (with --wait: the task succeeded), 1 the task failed (its\n"
    "error is on standard output), 2 no result within the time (the task goes on), 64\n"
    "wrong usage, 69 Redis not reachable, 130 interrupted (the task goes on).\n";

struct call {
    const char *task;
    const char *id;
    const char *queue;
    const char *args_text; /* NULL: none given */
    const char *kwargs_text;
    const char *eta_text;
    cJSON *args;
    cJSON *kwargs;
    int64_t eta_us;      /* 0: none */
    int64_t countdown_s; /* 0: none */
    int64_t expires_s;   /* -1: none */
    int64_t priority;
    int64_t wait_s; /* -1: do not wait */
    char own_id[UUID_SIZE];
};

const struct opt CTL_CALL_OPTS[] = {
    {"args", OPT_TEXT, offsetof(struct call, args_text), 0, 0, NULL},
    {"kwargs", OPT_TEXT, offsetof(struct call, kwargs_text), 0, 0, NULL},
    {"id", OPT_TEXT, offsetof(struct call, id), 0, 0, NULL},
    {"countdown", OPT_SPAN, offsetof(struct call, countdown_s), 0, SPAN_MAX_S, NULL},
    {"eta", OPT_TEXT, offsetof(struct call, eta_text), 0, 0, NULL},
    {"expires", OPT_SPAN, offsetof(struct call, expires_s), 0, SPAN_MAX_S, NULL},
    {"priority", OPT_I64, offsetof(struct call, priority), 0, 9, NULL},
    {"queue", OPT_TEXT, offsetof(struct call, queue), 0, 0, NULL},
    {"wait", OPT_I64, offsetof(struct call, wait_s), 0, WAIT_MAX_S, NULL},
    OPT_END,
};

/*
 * Checks the text and keeps it as it is: numbers that do not fit a double reach the worker
 * unchanged.
 */
static bool take_json(const char *text, bool array, cJSON **out, struct err *e)
{
    cJSON *v;
    bool right;

    if (!text) {
        return true;
    }
    v = json_parse(text, strlen(text), e);
    right = array ? cJSON_IsArray(v) : cJSON_IsObject(v);
    cJSON_Delete(v);
    if (!v) {
        return false;
    }
    if (!right) {
        return err_set(e, ERR_PERMANENT, "ValueError", "must be a JSON %s",
                       array ? "array, like '[1, \"x\"]'" : "object, like '{\"n\": 1}'");
    }
    *out = cJSON_CreateRaw(text);
    return *out || err_set(e, ERR_PERMANENT, "MemoryError", "out of memory");
}

static bool check_name(const char *text, size_t max, struct err *e)
{
    size_t len = strlen(text);

    return (len > 0 && len <= max && text_is_utf8(text, len) && !text_has_control(text, len)) ||
           err_set(e, ERR_PERMANENT, "ValueError",
                   "must be 1 to %zu bytes of text without control characters", max);
}

static bool take_eta(struct call *c, struct err *e)
{
    if (!c->eta_text) {
        return true;
    }
    if (c->countdown_s > 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "give --eta or --countdown, not both");
    }
    return (clock_parse_iso(c->eta_text, &c->eta_us) && c->eta_us > 0) ||
           err_set(e, ERR_PERMANENT, "ValueError", "must be a time like 2026-11-23T18:00:00+09:00");
}

static bool check_args(struct call *c, struct err *e)
{
    return take_json(c->args_text, true, &c->args, e);
}

static bool check_kwargs(struct call *c, struct err *e)
{
    return take_json(c->kwargs_text, false, &c->kwargs, e);
}

static bool check_id(struct call *c, struct err *e)
{
    return check_name(c->id, MSG_NAME_SIZE - 1, e);
}

static bool check_queue(struct call *c, struct err *e)
{
    return check_name(c->queue, BROKER_QUEUE_MAX, e);
}

static bool check_task(struct call *c, struct err *e)
{
    return check_name(c->task, MSG_NAME_SIZE - 1, e);
}

/* What the options' table cannot check. */
static const struct {
    const char *name;
    bool (*ok)(struct call *c, struct err *e);
} CHECKS[] = {
    {"--args", check_args}, {"--kwargs", check_kwargs}, {"--eta", take_eta},
    {"--id", check_id},     {"--queue", check_queue},   {"NAME", check_task},
};

static int parse(struct call *c, int argc, char **argv)
{
    int first = opt_parse("call", CTL_CALL_OPTS, argc, argv, c);
    struct err e;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1) {
        return ctl_fail("call", CTL_USAGE, "give the name of one task; see aion2ctl call --help");
    }
    c->task = strcmp(argv[first], SCHEDULE_BATCH) == 0 ? TASK_BATCH : argv[first];
    for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++) {
        if (!CHECKS[i].ok(c, &e)) {
            return ctl_fail("call", CTL_USAGE, "%s: %s", CHECKS[i].name, e.text);
        }
    }
    return CTL_OK;
}

static bool push(redisContext *r, int db, const struct call *c, struct err *e)
{
    char origin[HOST_ORIGIN_SIZE];
    struct msg_new n = {.task = c->task,
                        .id = c->id,
                        .queue = c->queue,
                        .origin = host_origin(origin),
                        .args = c->args,
                        .kwargs = c->kwargs,
                        .priority = (int)c->priority,
                        .slot_unix_s = -1,
                        .eta_us = c->eta_us};
    size_t len;
    char *text;
    bool ok;

    if (!rds_time_us(r, &n.sent_us, e)) {
        return false;
    }
    if (c->countdown_s > 0) {
        n.eta_us = n.sent_us + c->countdown_s * 1000000;
    }
    if (c->expires_s >= 0) {
        n.expires_us = n.sent_us + c->expires_s * 1000000;
    }
    text = msg_build(&n, &len);
    if (!text) {
        return err_set(e, ERR_PERMANENT, "MemoryError", "out of memory");
    }
    ok = broker_push(r, c->queue, n.priority, text, len, e);
    free(text);
    if (ok) {
        event_publish_sent(r, db, &n);
    }
    return ok;
}

static int send_task(const struct rds_addr *addr, const struct call *c)
{
    struct err e;
    redisContext *r = rds_connect(addr, REDIS_TIMEOUT_MS, &e);
    bool ok;

    if (!r) {
        return ctl_fail_redis("call", addr, &e);
    }
    ok = push(r, addr->db, c, &e);
    redisFree(r);
    return ok ? CTL_OK : ctl_fail_err("call", &e);
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

    if (ctl_print_json("call", result ? cJSON_Duplicate(result, true) : cJSON_CreateNull()) !=
        CTL_OK) {
        return CTL_FAILED;
    }
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
        return ctl_fail("call", CTL_INTERRUPTED, "interrupted; task %s goes on (state %s)", c->id,
                        w->state);
    case AWAIT_TIMEOUT:
        break;
    }
    return ctl_fail("call", CTL_TIMEOUT,
                    "no result within %" PRId64 " s; task %s goes on (state %s)", c->wait_s, c->id,
                    w->state);
}

static int send_and_wait(const struct rds_addr *addr, const struct call *c)
{
    struct await w;
    struct err e;
    int code;

    if (!await_begin(&w, addr, c->id, false, &e)) {
        code = ctl_fail_redis("call", addr, &e);
    } else {
        w.show_progress = isatty(STDERR_FILENO);
        code = send_task(addr, c);
        if (code == CTL_OK) {
            code = wait_for_end(&w, c);
        }
    }
    await_fini(&w);
    return code;
}

int ctl_call(const struct ctl_settings *s, int argc, char **argv)
{
    struct call c = {.queue = s->task_queue, .expires_s = -1, .wait_s = -1};
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
        code = send_and_wait(&addr, &c);
    } else if (code == CTL_OK) {
        code = send_task(&addr, &c);
        if (code == CTL_OK) {
            puts(c.id);
        }
    }
    cJSON_Delete(c.args);
    cJSON_Delete(c.kwargs);
    return code;
}
