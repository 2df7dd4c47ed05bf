#include "common/schedules_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/host.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/script.h"

/* Somebody else changed the same schedule between our look and our change: again, so often. */
#define TRIES_MAX 5

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

/* ---- changing what is stored ---- */

/* What a change does to the definition. note: an entry for the beats' notes, NULL: none. */
struct rule {
    enum schedules_end (*apply)(const struct schedules_edit *ed, cJSON *def, int64_t now_s,
                                cJSON **note, struct err *e);
    bool must_exist, forget;
};

/* NULL when memory is out; "" for an empty definition. */
static char *print_definition(const cJSON *def)
{
    return cJSON_GetArraySize(def) == 0 ? strdup("") : json_print(def);
}

static enum schedules_end store(struct schedules *t, const struct schedules_change *ch,
                                const cJSON *note, struct err *e)
{
    static const enum schedules_end ENDS[] = {SCHEDULES_FAILED, SCHEDULES_FULL, SCHEDULES_BUSY,
                                              SCHEDULES_DONE};
    char *note_text = note ? json_print(note) : NULL;
    struct schedules_change full = *ch;
    enum schedules_end end;

    full.note = note_text;
    if (!ch->is || (note && !note_text)) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
        end = SCHEDULES_FAILED;
    } else if (strlen(ch->is) > SCHEDULE_TEXT_MAX) {
        err_set(e, ERR_PERMANENT, "ValueError", "the definition is longer than %d bytes",
                SCHEDULE_TEXT_MAX);
        end = SCHEDULES_INVALID;
    } else {
        end = ENDS[schedules_change(t, &full, e) + 2];
    }
    free(note_text);
    return end;
}

/* Applies the change to `was`, checks what comes out and stores it. */
static enum schedules_end edit_text(struct schedules *t, const struct rule *r,
                                    const struct schedules_edit *ed, const char *was, struct err *e)
{
    struct err unreadable;
    cJSON *note = NULL;
    cJSON *def = *was ? json_parse(was, strlen(was), &unreadable) : cJSON_CreateObject();
    struct schedule s = {0};
    enum schedules_end end;

    if (!cJSON_IsObject(def)) { /* what is there cannot be read: begin anew */
        cJSON_Delete(def);
        def = cJSON_CreateObject();
    }
    end = r->apply(ed, def, t->now_us / 1000000, &note, e);
    if (end == SCHEDULES_DONE && cJSON_GetArraySize(def) > 0 &&
        !schedule_from_json(ed->name, def, &t->d, &s, e)) {
        end = SCHEDULES_INVALID;
    }
    if (end == SCHEDULES_DONE) {
        char *is = print_definition(def);

        end = store(t, &(struct schedules_change){ed->name, was, is, NULL, r->forget}, note, e);
        free(is);
    }
    schedule_fini(&s);
    cJSON_Delete(def);
    cJSON_Delete(note);
    return end;
}

/* One try: SCHEDULES_BUSY when somebody was faster. */
static enum schedules_end edit_once(struct schedules *t, const struct rule *r,
                                    const struct schedules_edit *ed, struct err *e)
{
    enum schedules_end end;
    struct schedule s;
    char *was;
    enum schedules_found found = schedules_get(t, ed->name, &s, &was, e);

    if (found == SCHEDULES_ERROR) {
        end = SCHEDULES_FAILED;
    } else if (found == SCHEDULES_NONE && r->must_exist) {
        end = SCHEDULES_MISSING;
    } else {
        end = edit_text(t, r, ed, was, e);
    }
    free(was);
    schedule_fini(&s);
    return end;
}

void schedules_edited_fini(struct schedules_edited *d)
{
    cJSON_Delete(d->before);
    cJSON_Delete(d->after);
    *d = (struct schedules_edited){0};
}

static enum schedules_end edit(struct schedules *t, const struct rule *r,
                               const struct schedules_edit *ed, struct schedules_edited *d,
                               struct err *e)
{
    enum schedules_end end = SCHEDULES_BUSY;

    if (d) {
        *d = (struct schedules_edited){0};
    }
    if (!schedule_name_ok(ed->name)) {
        err_set(e, ERR_PERMANENT, "ValueError",
                "the name of a schedule is 1 to %d letters, digits and ._:-",
                SCHEDULE_NAME_SIZE - 1);
        return SCHEDULES_INVALID;
    }
    for (int i = 0; i < TRIES_MAX && end == SCHEDULES_BUSY; i++) {
        if (d) {
            cJSON_Delete(d->before);
            if (schedules_doc(t, ed->name, &d->before, e) == SCHEDULES_ERROR) {
                return SCHEDULES_FAILED;
            }
        }
        end = edit_once(t, r, ed, e);
    }
    if (d && end == SCHEDULES_DONE) {
        struct err ignored; /* it is done: what cannot be read now is only not told */
        enum schedules_found found = schedules_doc(t, ed->name, &d->after, &ignored);

        (void)found;
    }
    return end;
}

/* ---- set ---- */

/* Members that are for people to set; pauses and the beginning have their own ways. */
static const char *const SETTABLE[] = {"task",   "every",      "cron",    "tz",
                                       "args",   "kwargs",     "queue",   "priority",
                                       "missed", "missed_max", "overlap", "expires"};

static bool is_settable(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(SETTABLE); i++) {
        if (strcmp(SETTABLE[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A timetable replaces the other kind; slots before it do not count. */
static void put_timetable(cJSON *def, const cJSON *members, int64_t now_s)
{
    bool every = json_has(members, "every"), cron = json_has(members, "cron");

    if (!every && !cron && !json_has(members, "tz") && json_has(def, "task")) {
        return;
    }
    if (every) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "cron");
        cJSON_DeleteItemFromObjectCaseSensitive(def, "tz");
    }
    if (cron) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "every");
    }
    put_number(def, "since", now_s + 1);
}

static enum schedules_end apply_set(const struct schedules_edit *ed, cJSON *def, int64_t now_s,
                                    UNUSED cJSON **note, struct err *e)
{
    const char *missed = json_get_str(ed->members, "missed");
    const cJSON *m;

    put_timetable(def, ed->members, now_s);
    cJSON_ArrayForEach(m, ed->members)
    {
        if (!is_settable(m->string)) {
            err_set(e, ERR_PERMANENT, "ValueError", "%.40s: cannot be set", m->string);
            return SCHEDULES_INVALID;
        }
        if (cJSON_IsNull(m)) {
            cJSON_DeleteItemFromObjectCaseSensitive(def, m->string);
        } else {
            put(def, m->string, cJSON_Duplicate(m, true));
        }
    }
    if (missed && strcmp(missed, "all") != 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(def, "missed_max");
    }
    return SCHEDULES_DONE;
}

enum schedules_end schedules_set(struct schedules *t, const struct schedules_edit *ed,
                                 struct schedules_edited *d, struct err *e)
{
    return edit(t, &(struct rule){.apply = apply_set}, ed, d, e);
}

/* ---- remove ---- */

static enum schedules_end apply_remove(UNUSED const struct schedules_edit *ed, cJSON *def,
                                       UNUSED int64_t now_s, UNUSED cJSON **note,
                                       UNUSED struct err *e)
{
    while (def->child) {
        cJSON_Delete(cJSON_DetachItemViaPointer(def, def->child));
    }
    return SCHEDULES_DONE;
}

enum schedules_end schedules_remove(struct schedules *t, const struct schedules_edit *ed,
                                    struct schedules_edited *d, struct err *e)
{
    return edit(t, &(struct rule){.apply = apply_remove, .must_exist = true, .forget = true}, ed, d,
                e);
}

/* ---- pause, resume ---- */

static cJSON *new_note(const struct schedules_edit *ed, const char *what, int64_t now_s)
{
    cJSON *note = cJSON_CreateObject();

    cJSON_AddStringToObject(note, "what", what);
    cJSON_AddStringToObject(note, "schedule", ed->name);
    put_number(note, "at", now_s);
    return note;
}

static enum schedules_end apply_pause(const struct schedules_edit *ed, cJSON *def, int64_t now_s,
                                      cJSON **note, UNUSED struct err *e)
{
    cJSON *pause = cJSON_CreateObject();

    put_text(pause, "reason", ed->reason);
    put_text(pause, "by", ed->by);
    put_number(pause, "since", now_s);
    put(def, "paused", pause);
    *note = new_note(ed, "pause", now_s);
    put_text(*note, "reason", ed->reason);
    put_text(*note, "by", ed->by);
    return SCHEDULES_DONE;
}

enum schedules_end schedules_pause(struct schedules *t, const struct schedules_edit *ed,
                                   struct schedules_edited *d, struct err *e)
{
    return edit(t, &(struct rule){.apply = apply_pause, .must_exist = true}, ed, d, e);
}

/* Slots of the pause do not count any more, also when no beat was there to skip them. */
static enum schedules_end apply_resume(const struct schedules_edit *ed, cJSON *def, int64_t now_s,
                                       cJSON **note, UNUSED struct err *e)
{
    if (!json_has(def, "paused")) {
        return SCHEDULES_SAME;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(def, "paused");
    put_number(def, "since", now_s + 1);
    *note = new_note(ed, "resume", now_s);
    return SCHEDULES_DONE;
}

enum schedules_end schedules_resume(struct schedules *t, const struct schedules_edit *ed,
                                    struct schedules_edited *d, struct err *e)
{
    return edit(t, &(struct rule){.apply = apply_resume, .must_exist = true}, ed, d, e);
}

/* ---- run ---- */

struct message {
    const struct msg_new *n;
    const char *bytes;
    size_t len;
};

/* The message counts as the schedule's last one, so the next slot looks at it. */
static struct script run_script = {
    .name = "schedules.run",
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

static bool push(struct schedules *t, const struct schedule *s, const struct message *m,
                 const char *by, struct err *e)
{
    const struct msg_new *n = m->n;
    char list[BROKER_LIST_SIZE], ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE];
    char sent[2 * UUID_SIZE + BROKER_LIST_SIZE];
    const char *args[] = {
        list,  KEY_BEAT_SENT, KEY_BEAT_MESSAGE, ledger, KEY_COUNTERS, s->name, m->bytes,
        n->id, sent,          "{\"run\":true,", NULL};
    size_t lens[ARRAY_LEN(args)];
    struct buf tail;
    redisReply *r;

    MUST(msg_list_name(list, sizeof list, s->queue, s->priority));
    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", s->name);
    snprintf(sent, sizeof sent, " %s %s %s", n->id, n->tag, list);
    buf_init(&tail, 4 * KIB);
    buf_addf(&tail, ",\"id\":\"%s\",\"missed\":0,\"by\":", n->id);
    buf_add_json(&tail, by, strlen(by));
    buf_addch(&tail, '}');
    args[10] = tail.data ? tail.data : "}";
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        lens[i] = args[i] == m->bytes ? m->len : strlen(args[i]);
    }
    r = script_run(t->c, &run_script, 5, ARRAY_LEN(args), args, lens, e);
    buf_fini(&tail);
    freeReplyObject(r);
    return r != NULL;
}

/* The message goes out as n says; *e when it does not. */
static bool send_now(struct schedules *t, const struct schedule *s, const struct msg_new *n,
                     const char *by, struct err *e)
{
    struct message m = {.n = n};
    char *bytes = msg_build(n, &m.len);
    bool ok;

    if (!bytes) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    m.bytes = bytes;
    ok = push(t, s, &m, by, e);
    free(bytes);
    if (ok) {
        event_publish_sent(t->c, t->db, n);
    }
    return ok;
}

enum schedules_end schedules_run(struct schedules *t, const struct schedules_edit *ed,
                                 char id[UUID_SIZE], struct err *e)
{
    char tag[UUID_SIZE], origin[HOST_ORIGIN_SIZE], *text;
    struct schedule s;
    enum schedules_found found = schedules_get(t, ed->name, &s, &text, e);
    enum schedules_end end = SCHEDULES_DONE;

    free(text);
    if (found != SCHEDULES_STORED && found != SCHEDULES_BUILTIN) {
        end = found == SCHEDULES_NONE  ? SCHEDULES_MISSING
              : found == SCHEDULES_BAD ? SCHEDULES_INVALID
                                       : SCHEDULES_FAILED;
    } else {
        struct msg_new n = {.task = s.task,
                            .id = id,
                            .queue = s.queue,
                            .origin = host_origin(origin),
                            .tag = tag,
                            .args = s.args,
                            .kwargs = s.kwargs,
                            .priority = s.priority,
                            .expires_us = s.expires_s > 0 ? t->now_us + s.expires_s * 1000000 : 0,
                            .slot_unix_s = -1,
                            .group_index = -1};

        uuid_random(id);
        uuid_random(tag);
        end = send_now(t, &s, &n, ed->by, e) ? SCHEDULES_DONE : SCHEDULES_FAILED;
    }
    schedule_fini(&s);
    return end;
}
