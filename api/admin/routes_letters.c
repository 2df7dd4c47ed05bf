#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "common/broker.h"
#include "common/letters.h"

/* Dead letters and the quarantine: two lists with the same verbs. */

#define PAGE_MAX    500
#define OLDER_MAX_S INT64_C(3155760000)
#define MESSAGE_MAX (256 * 1024)
#define NAMES_MAX   1000

/* ---- looking ---- */

static const struct query_param DEAD_PARAMS[] = {
    {"before", QUERY_TEXT_OPTIONAL, 0, 0, 0, "goes on after this one: next of the page before"},
    {"limit", QUERY_INT, 1, PAGE_MAX, 50, "how many"},
    {"older_s", QUERY_INT, 1, OLDER_MAX_S, 0, "only what is there for longer, in seconds"},
    {"error", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0, "only where the error has this text"},
    {"task", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0,
     "only this task; may be a pattern: reports.*"},
};
static const struct query_param QUARANTINE_PARAMS[] = {
    {"before", QUERY_TEXT_OPTIONAL, 0, 0, 0, "goes on after this one: next of the page before"},
    {"limit", QUERY_INT, 1, PAGE_MAX, 50, "how many"},
    {"older_s", QUERY_INT, 1, OLDER_MAX_S, 0, "only what is there for longer, in seconds"},
    {"reason", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0, "only where the reason has this text"},
};

static const char *text_or_null(const struct query_value *v)
{
    return v->given && *v->text ? v->text : NULL;
}

static void list(struct admin_call *c, const struct letters *which)
{
    struct letter_filter f = {.older_s = c->values[2].number,
                              .reason = text_or_null(&c->values[3]),
                              .task = which == &LETTERS_DEAD ? text_or_null(&c->values[4]) : NULL};
    struct err e;

    if (*c->values[0].text && !letters_read_before(c->values[0].text, &f)) {
        admin_problem(c, 400, "before", "before must be next of the page before.");
        return;
    }
    admin_document(c, letters_list(c->redis, which, &f, c->values[1].number, &e), &e);
}

static void list_dead(struct admin_call *c)
{
    list(c, &LETTERS_DEAD);
}

static void list_quarantine(struct admin_call *c)
{
    list(c, &LETTERS_QUARANTINE);
}

static const struct query_param NAME[] = {
    {"name", QUERY_TEXT, 0, QUERY_PAIR_CHARS - 1, 0,
     "id of the task, or handle (its first 6 digits are enough)"},
};

static void show(struct admin_call *c, const struct letters *which)
{
    const char *names[] = {c->ids[0].text};
    const struct letter_filter f = {.names = names, .name_count = 1};
    struct err e;
    cJSON *doc = letters_one(c->redis, which, &f, MESSAGE_MAX, &e);

    if (!doc && e.cls == ERR_NONE) {
        admin_problem(c, 404, NULL, "There is no %s of that name.", which->what);
    } else {
        admin_document(c, doc, &e);
    }
}

static void show_dead(struct admin_call *c)
{
    show(c, &LETTERS_DEAD);
}

static void show_quarantine(struct admin_call *c)
{
    show(c, &LETTERS_QUARANTINE);
}

/* ---- changing ---- */

#define NAMES_FIELD                                                                                \
    {                                                                                              \
        "names", ADMIN_TEXTS, false, 1, NAMES_MAX, NULL, "these: ids of tasks, or handles"         \
    }
#define OLDER_FIELD                                                                                \
    {                                                                                              \
        "older_s", ADMIN_INT, false, 1, OLDER_MAX_S, NULL,                                         \
            "only what is there for longer, in seconds"                                            \
    }
#define ALL_FIELD                                                                                  \
    {                                                                                              \
        "all", ADMIN_BOOL, false, 0, 0, NULL, "everything, when nothing else says which"           \
    }
#define DRY_RUN_FIELD                                                                              \
    {                                                                                              \
        "dry_run", ADMIN_BOOL, false, 0, 0, NULL, "only count what would be changed"               \
    }
#define QUEUE_FIELD                                                                                \
    {                                                                                              \
        "queue", ADMIN_TEXT, false, 1, BROKER_QUEUE_MAX, NULL,                                     \
            "put it there and not where it came from"                                              \
    }
#define TASK_FIELD                                                                                 \
    {                                                                                              \
        "task", ADMIN_TEXT, false, 1, 255, NULL, "only this task; may be a pattern: reports.*"     \
    }
#define TEXT_FIELD(name)                                                                           \
    {                                                                                              \
        name, ADMIN_TEXT, false, 1, 500, NULL, "only where the " name " has this text in it"       \
    }

/* What puts back has the queue as well: the last row. */
static const struct admin_field DEAD_BODY[] = {NAMES_FIELD, TASK_FIELD, TEXT_FIELD("error"),
                                               OLDER_FIELD, ALL_FIELD,  DRY_RUN_FIELD,
                                               QUEUE_FIELD};
static const struct admin_field QUARANTINE_BODY[] = {
    NAMES_FIELD, TEXT_FIELD("reason"), OLDER_FIELD, ALL_FIELD, DRY_RUN_FIELD, QUEUE_FIELD};

/* The filter of a body; names: room for NAMES_MAX. False: it does not say which. */
static bool read_filter(const struct admin_call *c, const struct letters *which, const char **names,
                        struct letter_filter *f)
{
    const cJSON *name;

    *f = (struct letter_filter){.names = names,
                                .task = json_get_str(c->body, "task"),
                                .reason = json_get_str(c->body, which->reason)};
    json_get_i64(c->body, "older_s", 1, OLDER_MAX_S, &f->older_s);
    cJSON_ArrayForEach(name, json_get_arr(c->body, "names"))
    {
        names[f->name_count++] = cJSON_GetStringValue(name);
    }
    return f->name_count > 0 || f->task || f->reason || f->older_s > 0 ||
           json_get_bool(c->body, "all", false);
}

/* What was to be changed is not there, or will not go: nothing is as it was asked for. */
static bool is_refused(struct admin_call *c, const struct letters *which,
                       const struct letter_filter *f, const struct letters_counts *n)
{
    if (n->matched == 0 && f->name_count > 0) {
        admin_problem(c, 404, "names", "There is no %s of that name.", which->what);
        return true;
    }
    if (n->refused > 0 && n->changed == 0) {
        admin_problem(c, 409, NULL, "%" PRId64 " stay where they are: %s.", n->refused,
                      n->why.text);
        return true;
    }
    return false;
}

static void change(struct admin_call *c, const struct letters *which, bool drop)
{
    struct letters_change how = {
        .drop = drop,
        .dry_run = json_get_bool(c->body, "dry_run", false),
        .to = {.queue = json_get_str(c->body, "queue"), .fallback = c->env->settings->task_queue}};
    const char *names[NAMES_MAX];
    struct letters_counts n = {0};
    struct letter_filter f;
    struct err e;
    bool ok;

    admin_target(c, "%ss%s", which->what, how.dry_run ? ", only counted" : "");
    if (!read_filter(c, which, names, &f)) {
        admin_problem(c, 422, NULL, "Say which: names, a filter, or all.");
        return;
    }
    c->before = cJSON_Duplicate(c->body, true);
    if (!rds_time_us(c->redis, &how.to.now_us, &e)) {
        admin_fail(c, &e);
        return;
    }
    ok = letters_change(c->redis, which, &f, &how, &n, &e);
    c->after = letters_counts_json(&n, how.dry_run);
    if (!ok) {
        admin_problem(c, 503, NULL, "%s (%" PRId64 " were done before; asking again is safe).",
                      e.text, n.changed);
    } else if (!is_refused(c, which, &f, &n)) {
        admin_reply(c, 200, cJSON_Duplicate(c->after, true));
    }
}

static void retry_dead(struct admin_call *c)
{
    change(c, &LETTERS_DEAD, false);
}

static void drop_dead(struct admin_call *c)
{
    change(c, &LETTERS_DEAD, true);
}

static void replay_quarantine(struct admin_call *c)
{
    change(c, &LETTERS_QUARANTINE, false);
}

static void drop_quarantine(struct admin_call *c)
{
    change(c, &LETTERS_QUARANTINE, true);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/dead",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_dead,
     .params = DEAD_PARAMS,
     .param_count = ARRAY_LEN(DEAD_PARAMS),
     .id = "dead",
     .summary = "Dead letters: the messages of tasks that failed for good, the newest first.",
     .schema = "Letters"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/dead/{name}",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_dead,
     .ids = NAME,
     .id = "deadLetter",
     .summary = "One dead letter in full, with its message.",
     .schema = "LetterInFull"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/dead/retry",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = retry_dead,
     .body = DEAD_BODY,
     .body_count = ARRAY_LEN(DEAD_BODY),
     .action = "dead.retry",
     .id = "retryDead",
     .summary = "Puts messages back into their queues as if they had never been tried.",
     .schema = "LettersChanged"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/dead/drop",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = drop_dead,
     .body = DEAD_BODY,
     .body_count = ARRAY_LEN(DEAD_BODY) - 1,
     .action = "dead.drop",
     .id = "dropDead",
     .summary = "Removes dead letters.",
     .schema = "LettersChanged"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/quarantine",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = list_quarantine,
     .params = QUARANTINE_PARAMS,
     .param_count = ARRAY_LEN(QUARANTINE_PARAMS),
     .id = "quarantine",
     .summary = "Messages that nobody could read, the newest first.",
     .schema = "Letters"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/quarantine/{name}",
     .scope = TOKEN_READ,
     .needs = ADMIN_REDIS,
     .fn = show_quarantine,
     .ids = NAME,
     .id = "quarantined",
     .summary = "One quarantined message in full.",
     .schema = "LetterInFull"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/quarantine/replay",
     .scope = TOKEN_OPERATE,
     .needs = ADMIN_REDIS,
     .fn = replay_quarantine,
     .body = QUARANTINE_BODY,
     .body_count = ARRAY_LEN(QUARANTINE_BODY),
     .action = "quarantine.replay",
     .id = "replayQuarantine",
     .summary = "Puts the same bytes back where they came from.",
     .schema = "LettersChanged"},
    {.method = EVHTTP_REQ_POST,
     .path = "/admin/quarantine/drop",
     .scope = TOKEN_ADMIN,
     .needs = ADMIN_REDIS,
     .fn = drop_quarantine,
     .body = QUARANTINE_BODY,
     .body_count = ARRAY_LEN(QUARANTINE_BODY) - 1,
     .action = "quarantine.drop",
     .id = "dropQuarantine",
     .summary = "Removes quarantined messages.",
     .schema = "LettersChanged"},
};
const struct admin_routes ADMIN_ROUTES_LETTERS = {ROWS, ARRAY_LEN(ROWS)};
