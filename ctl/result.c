#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/text.h"
#include "ctl/await.h"
#include "ctl/ctl.h"
#include "ctl/result_group.h"
#include "ctl/term.h"

#define WAIT_MAX_S  86400
#define LABEL_WIDTH 11

const char CTL_RESULT_HELP[] =
    "Usage: aion2ctl result ID [--wait SECONDS] [--forget] [--json]\n"
    "\n"
    "Shows what is stored about a task: its state, the result or the error with its\n"
    "traceback, and what else its worker wrote down. The id of a group that a client\n"
    "has saved shows the states of its tasks, without waiting.\n"
    "\n"
    "  --wait SECONDS  wait until the task has ended, at most so long\n"
    "  --forget        remove it from Redis after it was shown\n"
    "  --json          the stored document as one line of JSON\n"
    "\n"
    "Examples:\n"
    "  aion2ctl result 6f1c2a9e-0d42-4c39-9a54-0a3f7a7f6f7c\n"
    "  aion2ctl result $(aion2ctl call batch) --wait 60 --json | jq .result\n"
    "\n"
    "Exit codes: 0 the task succeeded, 1 it failed or was revoked, 2 it has not ended\n"
    "(yet): nothing is stored, or it is STARTED or in RETRY, 64 wrong usage, 69 Redis\n"
    "not reachable, 130 interrupted.\n";

struct options {
    int64_t wait_s; /* -1: do not wait */
    bool forget, json;
};

const struct opt CTL_RESULT_OPTS[] = {
    {"wait", OPT_I64, offsetof(struct options, wait_s), 0, WAIT_MAX_S, NULL},
    {"forget", OPT_FLAG, offsetof(struct options, forget), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* --------------------------------------------------------------------------------- printing */

static void label(const struct term *t, const char *text)
{
    term_cell(t, TERM_BOLD, LABEL_WIDTH, text);
}

static void print_json_line(const struct term *t, const char *name, const cJSON *v)
{
    char *text = json_print(v);

    label(t, name);
    term_lines(t, TERM_PLAIN, 0, 1, text ? text : "");
    free(text);
}

static enum term_colour state_colour(const char *state)
{
    return strcmp(state, "SUCCESS") == 0 ? TERM_GREEN
           : await_is_final(state)       ? TERM_RED
                                         : TERM_YELLOW;
}

/* {"exc_type", "exc_message", "exc_module"} as "ValueError: text"; false: it is none. */
static bool print_exception(const struct term *t, const cJSON *result)
{
    const char *type = json_get_str(result, "exc_type");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(result, "exc_message");
    const cJSON *only = cJSON_IsArray(message) ? cJSON_GetArrayItem(message, 0) : message;
    char *text;

    if (!type) {
        return false;
    }
    text = cJSON_IsString(only) ? NULL : json_print(only);
    label(t, "Error");
    term_text(t, TERM_RED, TERM_TEXT_SIZE, type);
    term_print(t, TERM_PLAIN, "  ");
    term_text(t, TERM_PLAIN, TERM_TEXT_SIZE,
              cJSON_IsString(only) ? only->valuestring
              : text               ? text
                                   : "");
    term_print(t, TERM_PLAIN, "\n");
    free(text);
    return true;
}

static void print_done(const struct term *t, const cJSON *doc)
{
    const char *done = json_get_str(doc, "date_done");
    char age[TERM_NUMBER_SIZE];
    int64_t done_us;

    if (done && clock_parse_iso(done, &done_us)) {
        label(t, "Done");
        term_print(t, TERM_PLAIN, "%.19s UTC, %s ago\n", done,
                   term_duration(age, (clock_wall_us() - done_us) / 1000000));
    }
}

/* Members that every document has, or that are printed in a way of their own. */
static bool is_known(const char *name)
{
    static const char *const KNOWN[] = {"status",    "result",  "traceback",
                                        "date_done", "task_id", "children"};

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (strcmp(KNOWN[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void print_rest(const struct term *t, const cJSON *doc)
{
    const char *traceback = json_get_str(doc, "traceback");
    int children = cJSON_GetArraySize(json_get_arr(doc, "children"));
    const cJSON *member;

    if (children > 0) {
        label(t, "Children");
        term_print(t, TERM_PLAIN, "%d\n", children);
    }
    cJSON_ArrayForEach(member, doc)
    {
        if (!is_known(member->string) && !cJSON_IsNull(member)) {
            print_json_line(t, member->string, member);
        }
    }
    if (traceback && *traceback) {
        term_print(t, TERM_BOLD, "Traceback");
        term_print(t, TERM_PLAIN, "\n");
        term_lines(t, TERM_DIM, 2, 1000, traceback);
    }
}

static void print_document(const char *id, const cJSON *doc)
{
    const char *state = json_get_str(doc, "status");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(doc, "result");
    struct term t;

    term_init(&t, stdout);
    label(&t, "Task");
    term_text(&t, TERM_PLAIN, TERM_TEXT_SIZE, id);
    term_print(&t, TERM_PLAIN, "\n");
    label(&t, "State");
    term_text(&t, state_colour(state), TERM_TEXT_SIZE, state);
    term_print(&t, TERM_PLAIN, "\n");
    if (result && !print_exception(&t, result)) {
        print_json_line(&t, "Result", result);
    }
    print_done(&t, doc);
    print_rest(&t, doc);
}

/* ----------------------------------------------------------------------------------- asking */

static int code_of(const char *state)
{
    return strcmp(state, "SUCCESS") == 0 ? CTL_OK
           : await_is_final(state)       ? CTL_FAILED
                                         : CTL_TIMEOUT;
}

/* The stored document into *doc (NULL: none). CTL_OK, or the code after it has said what is wrong.
 */
static int look(redisContext *c, const char *id, cJSON **doc)
{
    redisReply *r;
    struct err e;
    int code = CTL_OK;

    *doc = NULL;
    r = rds_command(c, &e, "GET " KEY_RESULT_PREFIX "%s", id);
    if (!r) {
        return ctl_fail_err("result", &e);
    }
    if (r->type == REDIS_REPLY_STRING) {
        *doc = json_parse(r->str, (size_t)r->len, &e);
        if (!json_get_str(*doc, "status")) {
            code = ctl_fail("result", CTL_FAILED, "what is stored under this id is no result%s%s",
                            *doc ? "" : ": ", *doc ? "" : e.text);
        }
    }
    freeReplyObject(r);
    return code;
}

/* Waits for the end; 0, or the code after it has said why there is none. */
static int wait_for_end(const struct rds_addr *addr, const char *id, int64_t wait_s)
{
    struct await w;
    struct err e;
    cJSON *doc = NULL;
    int code = CTL_OK;

    if (!await_begin(&w, addr, id, true, &e)) {
        code = ctl_fail_redis("result", addr, &e);
    } else {
        w.show_progress = isatty(STDERR_FILENO);
        if (await_result(&w, wait_s, &doc) == AWAIT_INTERRUPTED) {
            code = ctl_fail("result", CTL_INTERRUPTED, "interrupted; the task is %s", w.state);
        }
    }
    cJSON_Delete(doc);
    await_fini(&w);
    return code;
}

static int forget(redisContext *c, const char *id)
{
    struct err e;
    redisReply *r = rds_command(c, &e, "DEL " KEY_RESULT_PREFIX "%s", id);

    freeReplyObject(r);
    return r ? CTL_OK : ctl_fail_err("result", &e);
}

static int show_group(const struct options *o, cJSON *doc)
{
    int code = result_group_code(doc);
    struct term t;

    if (o->json) {
        return ctl_print_json("result", doc) == CTL_OK ? code : CTL_FAILED;
    }
    term_init(&t, stdout);
    result_group_print(&t, doc);
    cJSON_Delete(doc);
    return code;
}

static int show_nothing(const char *id, const struct options *o)
{
    if (o->json) {
        puts("null");
    }
    return ctl_fail("result", CTL_TIMEOUT,
                    "nothing is stored about %s: it waits, runs, was forgotten, or never was", id);
}

/* Shows *doc (takes it); the exit code says how the task is. */
static int show(const char *id, const struct options *o, cJSON *doc)
{
    int code = code_of(json_get_str(doc, "status"));

    if (o->json) {
        return ctl_print_json("result", doc) == CTL_OK ? code : CTL_FAILED;
    }
    print_document(id, doc);
    cJSON_Delete(doc);
    return code;
}

static int run(redisContext *c, const struct rds_addr *addr, const char *id,
               const struct options *o)
{
    cJSON *doc, *group;
    int code = look(c, id, &doc), forgotten;
    struct err ignored;

    group = code == CTL_OK && !doc ? result_group(c, id, &ignored) : NULL;
    if (group) {
        return show_group(o, group);
    }
    if (code == CTL_OK && o->wait_s >= 0 && !(doc && await_is_final(json_get_str(doc, "status")))) {
        cJSON_Delete(doc);
        doc = NULL;
        code = wait_for_end(addr, id, o->wait_s);
        code = code == CTL_OK ? look(c, id, &doc) : code;
    }
    if (code != CTL_OK) {
        cJSON_Delete(doc);
        return code;
    }
    code = doc ? show(id, o, doc) : show_nothing(id, o);
    forgotten = o->forget ? forget(c, id) : CTL_OK;
    return forgotten == CTL_OK ? code : forgotten;
}

int ctl_result(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.wait_s = -1};
    int code, first = opt_parse("result", CTL_RESULT_OPTS, argc, argv, &o);
    struct rds_addr addr;
    redisContext *c;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1 || !*argv[first]) {
        return ctl_fail("result", CTL_USAGE, "name one task by its id");
    }
    c = ctl_redis("result", s, &addr, &code);
    if (c) {
        code = run(c, &addr, argv[first], &o);
        redisFree(c);
    }
    return code;
}
