#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/event.h"
#include "common/host.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/script.h"
#include "common/text.h"
#include "ctl/schedule.h"

/* Somebody else changed the same schedule between our look and our change: again, so often. */
#define TRIES_MAX 5

struct set_options {
    const char *task, *cron, *tz, *args, *kwargs, *queue, *missed, *overlap;
    int64_t every, priority, missed_max, expires;
};

const struct opt SCHEDULE_SET_OPTS[] = {
    {"task", OPT_TEXT, offsetof(struct set_options, task), 0, 0, NULL},
    {"every", OPT_SPAN, offsetof(struct set_options, every), 1, SCHEDULE_EVERY_MAX_S, NULL},
    {"cron", OPT_TEXT, offsetof(struct set_options, cron), 0, 0, NULL},
    {"tz", OPT_TEXT, offsetof(struct set_options, tz), 0, 0, NULL},
    {"args", OPT_TEXT, offsetof(struct set_options, args), 0, 0, NULL},
    {"kwargs", OPT_TEXT, offsetof(struct set_options, kwargs), 0, 0, NULL},
    {"queue", OPT_TEXT, offsetof(struct set_options, queue), 0, 0, NULL},
    {"priority", OPT_I64, offsetof(struct set_options, priority), 0, 9, NULL},
    {"missed", OPT_TEXT, offsetof(struct set_options, missed), 0, 0, "latest|skip|all"},
    {"missed-max", OPT_I64, offsetof(struct set_options, missed_max), 1, SCHEDULE_MISSED_MAX, NULL},
    {"overlap", OPT_TEXT, offsetof(struct set_options, overlap), 0, 0, "skip|queue|cancel"},
    {"expires", OPT_SPAN, offsetof(struct set_options, expires), 1, SCHEDULE_EVERY_MAX_S, NULL},
    OPT_END,
};

struct pause_options {
    const char *reason, *by;
};

const struct opt SCHEDULE_PAUSE_OPTS[] = {
    {"reason", OPT_TEXT, offsetof(struct pause_options, reason), 0, 0, NULL},
    {"by", OPT_TEXT, offsetof(struct pause_options, by), 0, 0, NULL},
    OPT_END,
};

const struct opt SCHEDULE_NO_OPTS[] = {OPT_END};

/* Takes v. */
static void put(cJSON *o, const char *name, cJSON *v)
{
    cJSON_DeleteItemFromObjectCaseSensitive(o, name);
    cJSON_AddItemToObject(o, name, v);
}

static void put_text(cJSON *o, const char *name, const char *text)
{
    if (text) {
        put(o, name, cJSON_CreateString(text));
    }
}

static void put_number(cJSON *o, const char *name, int64_t n)
{
    if (n >= 0) {
        put(o, name, cJSON_CreateNumber((double)n));
    }
}

/* "kim@host" */
static void who(char out[SCHEDULE_NOTE_SIZE])
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *user = getpwuid(geteuid());
    char host[HOST_NAME_SIZE];

    snprintf(out, SCHEDULE_NOTE_SIZE, "%.64s@%.128s",
             sudo && *sudo ? sudo
             : user        ? user->pw_name
                           : "somebody",
             host_name(host));
    text_make_utf8(out);
}

/* ---- changing what is stored ---- */

/* What a verb does to the definition. note: an entry for the beats' notes, NULL: none. */
struct edit {
    const char *command, *name;
    const void *options;
    bool must_exist;
    bool (*apply)(const struct edit *ed, cJSON *def, int64_t now_s, cJSON **note, struct err *e);
    bool forget;
};

/* NULL when memory is out; "" for an empty definition. */
static char *print_definition(const cJSON *def)
{
    return cJSON_GetArraySize(def) == 0 ? strdup("") : json_print(def);
}

/* 1: done, 0: changed meanwhile, -1: *code says what to return. */
static int store(struct schedules *t, const struct edit *ed, const char *was, const cJSON *def,
                 const cJSON *note, int *code)
{
    char *is = print_definition(def), *note_text = note ? json_print(note) : NULL;
    struct schedules_change ch = {ed->name, was, is, note_text, ed->forget};
    struct err e;
    int result = -2;

    err_set(&e, ERR_RETRYABLE, "MemoryError", "out of memory");
    if (is && strlen(is) > SCHEDULE_TEXT_MAX) {
        err_set(&e, ERR_PERMANENT, "ValueError", "the definition is longer than %d bytes",
                SCHEDULE_TEXT_MAX);
    } else if (is && (note_text || !note)) {
        result = schedules_change(t, &ch, &e);
    }
    if (result == -1) {
        *code = ctl_fail(t->command, CTL_FAILED,
                         "there are %d schedules already, which is the most", SCHEDULE_TABLE_MAX);
    } else if (result == -2) {
        *code = ctl_fail_err(t->command, &e);
    }
    free(is);
    free(note_text);
    return result < 0 ? -1 : result;
}

/* Applies the edit to `was`, checks what comes out and stores it. As store(). */
static int edit_text(struct schedules *t, const struct edit *ed, const char *was, int *code)
{
    struct schedule s = {0};
    struct err e;
    cJSON *note = NULL, *def = *was ? json_parse(was, strlen(was), &e) : cJSON_CreateObject();
    int result = -1;

    if (!cJSON_IsObject(def)) { /* what is there cannot be read: begin anew */
        cJSON_Delete(def);
        def = cJSON_CreateObject();
    }
    if (!ed->apply(ed, def, t->now_us / 1000000, &note, &e) ||
        (cJSON_GetArraySize(def) > 0 && !schedule_from_json(ed->name, def, &t->d, &s, &e))) {
        *code = ctl_fail(t->command, CTL_USAGE, "%s", e.text);
    } else {
        result = store(t, ed, was, def, note, code);
    }
    if (result == 1 && s.name[0]) {
        schedule_print_short(&s, t->now_us / 1000000);
    }
    schedule_fini(&s);
    cJSON_Delete(def);
    cJSON_Delete(note);
    return result;
}

static int edit(struct schedules *t, const struct edit *ed)
{
    int code = CTL_OK;

    for (int i = 0; i < TRIES_MAX; i++) {
        struct schedule s;
        struct err e;
        char *was;
        enum schedules_found found = schedules_get(t, ed->name, &s, &was, &e);
        int result = -1;

        if (found == SCHEDULES_ERROR || (found == SCHEDULES_NONE && ed->must_exist)) {
            code = schedules_fail(t, ed->name, found, &e);
        } else {
            result = edit_text(t, ed, was, &code);
        }
        free(was);
        schedule_fini(&s);
        if (result != 0) {
            return code;
        }
    }
    return ctl_fail(t->command, CTL_FAILED, "others keep changing %.80s; nothing was done",
                    ed->name);
}

static int run_edit(const struct ctl_settings *s, struct edit *ed, int first, int argc, char **argv)
{
    struct schedules t;
    int code = CTL_OK;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail(ed->command, CTL_USAGE, "give the name of one schedule");
    }
    ed->name = argv[first];
    if (!schedule_name_ok(ed->name)) {
        return ctl_fail(ed->command, CTL_USAGE, "NAME: expected 1 to %d letters, digits and ._:-",
                        SCHEDULE_NAME_SIZE - 1);
    }
    if (!schedules_open(&t, ed->command, s, &code)) {
        return code;
    }
    code = edit(&t, ed);
    schedules_close(&t);
    return code;
}

/* ---- set ---- */

static bool put_json(cJSON *def, const char *name, const char *text, struct err *e)
{
    cJSON *v;

    if (!text) {
        return true;
    }
    v = json_parse(text, strlen(text), e);
    if (!v) {
        char option[16];

        snprintf(option, sizeof option, "--%s", name);
        return err_prefix(e, option);
    }
    put(def, name, v);
    return true;
}

/* A timetable replaces the other kind; slots before it do not count. */
static void put_timetable(cJSON *def, const struct set_options *o, int64_t now_s)
{
    if (o->every < 0 && !o->cron && !o->tz && json_has(def, "task")) {
        return;
    }
    if (o->every >= 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "cron");
        cJSON_DeleteItemFromObjectCaseSensitive(def, "tz");
    }
    if (o->cron) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "every");
    }
    put_number(def, "every", o->every);
    put_text(def, "cron", o->cron);
    put_text(def, "tz", o->tz);
    put_number(def, "since", now_s + 1);
}

static bool apply_set(const struct edit *ed, cJSON *def, int64_t now_s, cJSON **note, struct err *e)
{
    const struct set_options *o = ed->options;

    (void)note;
    put_timetable(def, o, now_s);
    put_text(def, "task", o->task);
    put_text(def, "queue", o->queue);
    put_number(def, "priority", o->priority);
    put_text(def, "missed", o->missed);
    put_text(def, "overlap", o->overlap);
    put_number(def, "missed_max", o->missed_max);
    put_number(def, "expires", o->expires);
    if (o->missed && strcmp(o->missed, "all") != 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "missed_max");
    }
    return put_json(def, "args", o->args, e) && put_json(def, "kwargs", o->kwargs, e);
}

int schedule_cmd_set(const struct ctl_settings *s, int argc, char **argv)
{
    struct set_options o = {.every = -1, .priority = -1, .missed_max = -1, .expires = -1};
    struct edit ed = {.command = "schedule set", .options = &o, .apply = apply_set};

    return run_edit(s, &ed, opt_parse(ed.command, SCHEDULE_SET_OPTS, argc, argv, &o), argc, argv);
}

/* ---- remove ---- */

static bool apply_remove(const struct edit *ed, cJSON *def, int64_t now_s, cJSON **note,
                         struct err *e)
{
    (void)ed;
    (void)now_s;
    (void)note;
    (void)e;
    while (def->child) {
        cJSON_Delete(cJSON_DetachItemViaPointer(def, def->child));
    }
    return true;
}

int schedule_cmd_remove(const struct ctl_settings *s, int argc, char **argv)
{
    struct edit ed = {
        .command = "schedule remove", .apply = apply_remove, .must_exist = true, .forget = true};

    return run_edit(s, &ed, opt_parse(ed.command, SCHEDULE_NO_OPTS, argc, argv, NULL), argc, argv);
}

/* ---- pause, resume ---- */

static cJSON *new_note(const struct edit *ed, const char *what, int64_t now_s)
{
    cJSON *note = cJSON_CreateObject();

    cJSON_AddStringToObject(note, "what", what);
    cJSON_AddStringToObject(note, "schedule", ed->name);
    cJSON_AddNumberToObject(note, "at", (double)now_s);
    return note;
}

static bool apply_pause(const struct edit *ed, cJSON *def, int64_t now_s, cJSON **note,
                        struct err *e)
{
    const struct pause_options *o = ed->options;
    char own[SCHEDULE_NOTE_SIZE];
    cJSON *pause = cJSON_CreateObject();

    (void)e;
    who(own);
    put_text(pause, "reason", o->reason);
    put_text(pause, "by", o->by ? o->by : own);
    put_number(pause, "since", now_s);
    put(def, "paused", pause);
    *note = new_note(ed, "pause", now_s);
    put_text(*note, "reason", o->reason);
    put_text(*note, "by", o->by ? o->by : own);
    return true;
}

int schedule_cmd_pause(const struct ctl_settings *s, int argc, char **argv)
{
    struct pause_options o = {NULL, NULL};
    struct edit ed = {
        .command = "schedule pause", .options = &o, .apply = apply_pause, .must_exist = true};

    return run_edit(s, &ed, opt_parse(ed.command, SCHEDULE_PAUSE_OPTS, argc, argv, &o), argc, argv);
}

/* Slots of the pause do not count any more, also when no beat was there to skip them. */
static bool apply_resume(const struct edit *ed, cJSON *def, int64_t now_s, cJSON **note,
                         struct err *e)
{
    if (!json_has(def, "paused")) {
        return err_set(e, ERR_PERMANENT, "ValueError", "%s is not paused", ed->name);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(def, "paused");
    put_number(def, "since", now_s + 1);
    *note = new_note(ed, "resume", now_s);
    return true;
}

int schedule_cmd_resume(const struct ctl_settings *s, int argc, char **argv)
{
    struct edit ed = {.command = "schedule resume", .apply = apply_resume, .must_exist = true};

    return run_edit(s, &ed, opt_parse(ed.command, SCHEDULE_NO_OPTS, argc, argv, NULL), argc, argv);
}

/* ---- run ---- */

/* The message counts as the schedule's last one, so the next slot looks at it. */
static struct script run_script = {
    .name = "ctl.run",
    .lua =
        "local name, message, id, sent, head, tail = unpack(ARGV, 1, 6)\n"
        "local t = redis.call('TIME')\n"
        "redis.call('LPUSH', KEYS[1], message)\n"
        "redis.pcall('HSET', KEYS[2], name, t[1] .. sent)\n"
        "redis.pcall('HSET', KEYS[3], name, message)\n"
        "redis.pcall('LPUSH', KEYS[4], string.format('%s\"slot\":%s,\"sent_at\":%s.%06d%s', head,\n"
        "                                           t[1], t[1], t[2], tail))\n"
        "redis.pcall('LTRIM', KEYS[4], 0, 2015)\n"
        "redis.pcall('HINCRBY', KEYS[5], 'sent:' .. name, 1)\n"
        "return 1\n"};

static bool push(struct schedules *t, const struct schedule *s, const struct msg_new *n,
                 const char *message, size_t len, struct err *e)
{
    char list[BROKER_LIST_SIZE], ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE];
    char sent[2 * UUID_SIZE + BROKER_LIST_SIZE], by[SCHEDULE_NOTE_SIZE];
    const char *args[] = {
        list,  KEY_BEAT_SENT, KEY_BEAT_MESSAGE, ledger, KEY_COUNTERS, s->name, message,
        n->id, sent,          "{\"run\":true,", NULL};
    size_t lens[ARRAY_LEN(args)];
    struct buf tail;
    redisReply *r;

    MUST(msg_list_name(list, sizeof list, s->queue, s->priority));
    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", s->name);
    snprintf(sent, sizeof sent, " %s %s %s", n->id, n->tag, list);
    who(by);
    buf_init(&tail, 4 * KIB);
    buf_addf(&tail, ",\"id\":\"%s\",\"missed\":0,\"by\":", n->id);
    buf_add_json(&tail, by, strlen(by));
    buf_addch(&tail, '}');
    args[10] = tail.data ? tail.data : "}";
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        lens[i] = args[i] == message ? len : strlen(args[i]);
    }
    r = script_run(t->c, &run_script, 5, ARRAY_LEN(args), args, lens, e);
    buf_fini(&tail);
    freeReplyObject(r);
    return r != NULL;
}

static int run_now(struct schedules *t, const struct schedule *s)
{
    char id[UUID_SIZE], tag[UUID_SIZE], origin[HOST_ORIGIN_SIZE];
    struct msg_new n = {.task = s->task,
                        .id = id,
                        .queue = s->queue,
                        .origin = host_origin(origin),
                        .tag = tag,
                        .args = s->args,
                        .kwargs = s->kwargs,
                        .priority = s->priority,
                        .slot_unix_s = -1,
                        .group_index = -1};
    struct err e;
    size_t len;
    char *message;
    bool ok;

    uuid_random(id);
    uuid_random(tag);
    if (s->expires_s > 0) {
        n.expires_us = t->now_us + s->expires_s * 1000000;
    }
    message = msg_build(&n, &len);
    if (!message) {
        return ctl_fail(t->command, CTL_FAILED, "out of memory");
    }
    ok = push(t, s, &n, message, len, &e);
    free(message);
    if (!ok) {
        return ctl_fail_err(t->command, &e);
    }
    event_publish_sent(t->c, t->addr.db, &n);
    puts(id);
    return CTL_OK;
}

int schedule_cmd_run(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule run";
    int first = opt_parse(COMMAND, SCHEDULE_NO_OPTS, argc, argv, NULL), code = CTL_OK;
    enum schedules_found found;
    struct schedule schedule;
    struct schedules t;
    struct err e;
    char *text;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first + 1 != argc) {
        return ctl_fail(COMMAND, CTL_USAGE, "give the name of one schedule");
    }
    if (!schedules_open(&t, COMMAND, s, &code)) {
        return code;
    }
    found = schedules_get(&t, argv[first], &schedule, &text, &e);
    code = found == SCHEDULES_STORED || found == SCHEDULES_BUILTIN
               ? run_now(&t, &schedule)
               : schedules_fail(&t, argv[first], found, &e);
    free(text);
    schedule_fini(&schedule);
    schedules_close(&t);
    return code;
}
