#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/host.h"
#include "common/json.h"
#include "common/schedules_edit.h"
#include "common/text.h"
#include "ctl/schedule.h"

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

/* ---- one change ---- */

typedef enum schedules_end (*change_fn)(struct schedules *t, const struct schedules_edit *ed,
                                        struct schedules_edited *d, struct err *e);

/* One line about a schedule after it was changed: its timetable and the next slot. */
static void print_short(const cJSON *o)
{
    const char *tz = json_get_str(o, "tz");
    char time[ZONE_TEXT_SIZE];
    int64_t next_s;

    printf("%s: %s %s%s", json_get_str(o, "name"), json_get_str(o, "task"), json_get_str(o, "when"),
           json_has(o, "paused") ? ", paused" : "");
    if (json_get_i64(o, "next", 0, INT64_MAX, &next_s)) {
        printf(", next slot %s", zone_text(tz ? tz : "", next_s, time));
    }
    putchar('\n');
}

/* Says what became of it; the exit code. */
static int tell_end(const char *command, const char *name, enum schedules_end end,
                    const struct err *e)
{
    switch (end) {
    case SCHEDULES_DONE:
        return CTL_OK;
    case SCHEDULES_SAME:
        printf("%s is not paused; nothing was done\n", name);
        return CTL_OK;
    case SCHEDULES_MISSING:
        return ctl_fail(command, CTL_FAILED,
                        "there is no schedule \"%.80s\"; see aion2ctl schedule list", name);
    case SCHEDULES_INVALID:
        return ctl_fail(command, CTL_USAGE, "%s", e->text);
    case SCHEDULES_FULL:
        return ctl_fail(command, CTL_FAILED, "there are %d schedules already, which is the most",
                        SCHEDULE_TABLE_MAX);
    case SCHEDULES_BUSY:
        return ctl_fail(command, CTL_FAILED, "others keep changing %.80s; nothing was done", name);
    default:
        return ctl_fail_err(command, e);
    }
}

/* first: of the positional arguments, of which there must be one: the name. */
static bool begin(const char *command, const struct ctl_settings *s, int first, int argc,
                  struct schedules *t, int *code)
{
    *code = CTL_USAGE;
    if (first < 0) {
        return false;
    }
    if (first + 1 != argc) {
        ctl_fail(command, CTL_USAGE, "give the name of one schedule");
        return false;
    }
    return schedule_call_open(t, command, s, code);
}

static int change(const char *command, struct schedules *t, change_fn fn,
                  const struct schedules_edit *ed)
{
    struct schedules_edited d = {NULL, NULL};
    struct err e;
    enum schedules_end end = SCHEDULES_INVALID;
    int code;

    if (schedule_name_ok(ed->name)) {
        end = fn(t, ed, &d, &e);
        code = tell_end(command, ed->name, end, &e);
    } else {
        code = ctl_fail(command, CTL_USAGE, "NAME: expected 1 to %d letters, digits and ._:-",
                        SCHEDULE_NAME_SIZE - 1);
    }
    if (end == SCHEDULES_DONE && fn != schedules_remove && json_get_str(d.after, "task")) {
        print_short(d.after);
    }
    schedules_edited_fini(&d);
    schedule_call_close(t);
    return code;
}

/* ---- set ---- */

static void add_text(cJSON *o, const char *name, const char *text)
{
    if (text) {
        cJSON_AddStringToObject(o, name, text);
    }
}

static void add_number(cJSON *o, const char *name, int64_t n)
{
    if (n >= 0) {
        cJSON_AddNumberToObject(o, name, (double)n);
    }
}

static bool add_json(cJSON *o, const char *name, const char *text, struct err *e)
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
    return cJSON_AddItemToObject(o, name, v);
}

/* The members that the options are. False and *e: one of them is no JSON. */
static bool members_of(const struct set_options *o, cJSON *m, struct err *e)
{
    add_number(m, "every", o->every);
    add_text(m, "cron", o->cron);
    add_text(m, "tz", o->tz);
    add_text(m, "task", o->task);
    add_text(m, "queue", o->queue);
    add_number(m, "priority", o->priority);
    add_text(m, "missed", o->missed);
    add_text(m, "overlap", o->overlap);
    add_number(m, "missed_max", o->missed_max);
    add_number(m, "expires", o->expires);
    return add_json(m, "args", o->args, e) && add_json(m, "kwargs", o->kwargs, e);
}

int schedule_cmd_set(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule set";
    struct set_options o = {.every = -1, .priority = -1, .missed_max = -1, .expires = -1};
    int first = opt_parse(COMMAND, SCHEDULE_SET_OPTS, argc, argv, &o), code;
    struct schedules_edit ed = {0};
    struct schedules t;
    struct err e;
    cJSON *members;

    if (!begin(COMMAND, s, first, argc, &t, &code)) {
        return code;
    }
    members = cJSON_CreateObject();
    ed = (struct schedules_edit){.name = argv[first], .members = members};
    if (members_of(&o, members, &e)) {
        code = change(COMMAND, &t, schedules_set, &ed);
    } else {
        code = ctl_fail(COMMAND, CTL_USAGE, "%s", e.text);
        schedule_call_close(&t);
    }
    cJSON_Delete(members);
    return code;
}

/* ---- remove, pause, resume ---- */

int schedule_cmd_remove(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule remove";
    int first = opt_parse(COMMAND, SCHEDULE_NO_OPTS, argc, argv, NULL), code;
    struct schedules t;

    return begin(COMMAND, s, first, argc, &t, &code)
               ? change(COMMAND, &t, schedules_remove,
                        &(struct schedules_edit){.name = argv[first]})
               : code;
}

int schedule_cmd_pause(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule pause";
    struct pause_options o = {NULL, NULL};
    int first = opt_parse(COMMAND, SCHEDULE_PAUSE_OPTS, argc, argv, &o), code;
    char own[SCHEDULE_NOTE_SIZE];
    struct schedules t;

    who(own);
    return begin(COMMAND, s, first, argc, &t, &code)
               ? change(COMMAND, &t, schedules_pause,
                        &(struct schedules_edit){
                            .name = argv[first], .by = o.by ? o.by : own, .reason = o.reason})
               : code;
}

int schedule_cmd_resume(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule resume";
    int first = opt_parse(COMMAND, SCHEDULE_NO_OPTS, argc, argv, NULL), code;
    struct schedules t;

    return begin(COMMAND, s, first, argc, &t, &code)
               ? change(COMMAND, &t, schedules_resume,
                        &(struct schedules_edit){.name = argv[first]})
               : code;
}

/* ---- run ---- */

int schedule_cmd_run(const struct ctl_settings *s, int argc, char **argv)
{
    static const char COMMAND[] = "schedule run";
    int first = opt_parse(COMMAND, SCHEDULE_NO_OPTS, argc, argv, NULL), code;
    char own[SCHEDULE_NOTE_SIZE], id[UUID_SIZE];
    enum schedules_end end;
    struct schedules t;
    struct err e;

    if (!begin(COMMAND, s, first, argc, &t, &code)) {
        return code;
    }
    who(own);
    end = schedules_run(&t, &(struct schedules_edit){.name = argv[first], .by = own}, id, &e);
    code = end == SCHEDULES_INVALID ? schedule_call_fail(COMMAND, argv[first], SCHEDULES_BAD, &e)
                                    : tell_end(COMMAND, argv[first], end, &e);
    if (end == SCHEDULES_DONE) {
        puts(id);
    }
    schedule_call_close(&t);
    return code;
}
