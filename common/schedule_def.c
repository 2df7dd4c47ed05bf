#include <stdio.h>
#include <string.h>

#include "common/schedule.h"
#include "common/text.h"

/*
 * A schedule's definition as it stands in Redis: a JSON object whose members are a table of
 * readers. What is not in the table is refused, so that a misspelt member is not silently without
 * effect.
 */
struct field {
    const char *name;
    bool (*read)(const struct field *f, const cJSON *v, struct schedule *s, struct err *e);
    size_t offset; /* of what the reader fills in */
    size_t size;
    double min, max;
};

/* Seconds since 1970 up to the year 9999. */
#define TIME_MAX_S 253402300799.0

static const char *const MISSED[] = {"latest", "skip", "all"};
static const char *const OVERLAP[] = {"skip", "queue", "cancel"};

const char *schedule_missed_name(enum schedule_missed m)
{
    return MISSED[m];
}

const char *schedule_overlap_name(enum schedule_overlap o)
{
    return OVERLAP[o];
}

static bool refuse(struct err *e, const struct field *f, const char *expected)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "field \"%s\": expected %s", f->name, expected);
}

static bool read_text(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    const char *text = cJSON_GetStringValue(v);

    if (!text || *text == '\0' || strlen(text) >= f->size || text_has_control(text, strlen(text))) {
        char expected[80];

        snprintf(expected, sizeof expected, "a text of 1 to %zu bytes without control characters",
                 f->size - 1);
        return refuse(e, f, expected);
    }
    memcpy((char *)s + f->offset, text, strlen(text) + 1);
    return true;
}

static bool read_number(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    int64_t n;

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= f->min && v->valuedouble <= f->max) ||
        v->valuedouble != (double)(int64_t)v->valuedouble) {
        char expected[80];

        snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", f->min, f->max);
        return refuse(e, f, expected);
    }
    n = (int64_t)v->valuedouble;
    if (f->size == sizeof(int)) {
        *(int *)((char *)s + f->offset) = (int)n;
    } else {
        *(int64_t *)((char *)s + f->offset) = n;
    }
    return true;
}

static bool read_choice(const struct field *f, const cJSON *v, const char *const names[3],
                        int *choice, struct err *e)
{
    const char *text = cJSON_GetStringValue(v);
    char expected[64];

    for (int i = 0; text && i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *choice = i;
            return true;
        }
    }
    snprintf(expected, sizeof expected, "%s, %s or %s", names[0], names[1], names[2]);
    return refuse(e, f, expected);
}

static bool read_missed(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    int choice = 0;
    bool ok = read_choice(f, v, MISSED, &choice, e);

    s->missed = (enum schedule_missed)choice;
    return ok;
}

static bool read_overlap(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    int choice = 0;
    bool ok = read_choice(f, v, OVERLAP, &choice, e);

    s->overlap = (enum schedule_overlap)choice;
    return ok;
}

static bool read_cron(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    const char *text = cJSON_GetStringValue(v);

    if (!text) {
        return refuse(e, f, "a text with five fields");
    }
    if (!cron_parse(text, &s->cron, e)) {
        return err_prefix(e, "field \"cron\"");
    }
    snprintf(s->cron_text, sizeof s->cron_text, "%s", text);
    s->every_s = 0;
    return true;
}

static bool read_every(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    s->cron_text[0] = '\0';
    s->zone[0] = '\0';
    return read_number(f, v, s, e);
}

static bool read_zone(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    const char *text = cJSON_GetStringValue(v);

    if (!text) {
        return refuse(e, f, "the name of a time zone");
    }
    if (!zone_check(text, e)) {
        return err_prefix(e, "field \"tz\"");
    }
    snprintf(s->zone, sizeof s->zone, "%s", text);
    return true;
}

static bool keep_copy(const cJSON *v, cJSON **out, struct err *e)
{
    cJSON_Delete(*out);
    *out = cJSON_Duplicate(v, true);
    return *out || err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a schedule");
}

static bool read_args(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    return cJSON_IsArray(v) ? keep_copy(v, &s->args, e) : refuse(e, f, "an array");
}

static bool read_kwargs(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    return cJSON_IsObject(v) ? keep_copy(v, &s->kwargs, e) : refuse(e, f, "an object");
}

#define TEXT(name, member)                                                                         \
    {                                                                                              \
        name, read_text, offsetof(struct schedule, member), sizeof((struct schedule *)0)->member,  \
            0, 0                                                                                   \
    }
#define NUMBER(name, member, min, max)                                                             \
    {                                                                                              \
        name, read_number, offsetof(struct schedule, member),                                      \
            sizeof((struct schedule *)0)->member, min, max                                         \
    }
#define OTHER(name, read)                                                                          \
    {                                                                                              \
        name, read, 0, 0, 0, 0                                                                     \
    }

static const struct field PAUSE_FIELDS[] = {
    TEXT("reason", pause.reason),
    TEXT("by", pause.by),
    NUMBER("since", pause.since_s, 0, TIME_MAX_S),
};

static bool read_members(const cJSON *obj, const struct field *fields, size_t n, struct schedule *s,
                         struct err *e)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, obj)
    {
        size_t i = 0;

        while (i < n && strcmp(fields[i].name, v->string) != 0) {
            i++;
        }
        if (i == n) {
            return err_set(e, ERR_PERMANENT, "ValueError",
                           "field \"%.60s\": there is no such field", v->string);
        }
        if (cJSON_GetObjectItemCaseSensitive(obj, v->string) != v) {
            return err_set(e, ERR_PERMANENT, "ValueError", "field \"%s\": it is there twice",
                           v->string);
        }
        if (!fields[i].read(&fields[i], v, s, e)) {
            return false;
        }
    }
    return true;
}

static bool read_pause(const struct field *f, const cJSON *v, struct schedule *s, struct err *e)
{
    if (!cJSON_IsObject(v)) {
        return refuse(e, f, "an object with reason, by and since");
    }
    s->pause.on = true;
    return read_members(v, PAUSE_FIELDS, ARRAY_LEN(PAUSE_FIELDS), s, e) ||
           err_prefix(e, "field \"paused\"");
}

static const struct field FIELDS[] = {
    TEXT("task", task),
    OTHER("args", read_args),
    OTHER("kwargs", read_kwargs),
    TEXT("queue", queue),
    NUMBER("priority", priority, 0, 9),
    {"every", read_every, offsetof(struct schedule, every_s), sizeof(int64_t), 1,
     SCHEDULE_EVERY_MAX_S},
    OTHER("cron", read_cron),
    OTHER("tz", read_zone),
    OTHER("missed", read_missed),
    NUMBER("missed_max", missed_max, 1, SCHEDULE_MISSED_MAX),
    OTHER("overlap", read_overlap),
    NUMBER("expires", expires_s, 1, SCHEDULE_EVERY_MAX_S),
    NUMBER("since", since_s, 0, TIME_MAX_S),
    OTHER("paused", read_pause),
};

static bool check_timetable(const cJSON *def, const struct schedule *s, struct err *e)
{
    struct cron_zone z = zone_of(s->zone);
    int64_t slot_s;

    if (json_has(def, "every") && json_has(def, "cron")) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "field \"cron\": either every or cron, not both");
    }
    if (s->every_s == 0 && s->cron_text[0] == '\0') {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "field \"every\": missing; either every or cron is needed");
    }
    if (s->every_s > 0 && json_has(def, "tz")) {
        return err_set(e, ERR_PERMANENT, "ValueError", "field \"tz\": only cron has a time zone");
    }
    return s->every_s > 0 || cron_next(&s->cron, &z, 0, &slot_s) ||
           err_set(e, ERR_PERMANENT, "ValueError", "field \"cron\": no such day ever comes");
}

/* Slots made up for one after the other would overlap themselves. */
static bool check_policies(const cJSON *def, struct schedule *s, struct err *e)
{
    if (s->missed != SCHEDULE_ALL) {
        return !json_has(def, "missed_max") ||
               err_set(e, ERR_PERMANENT, "ValueError",
                       "field \"missed_max\": only with \"missed\": \"all\"");
    }
    if (!json_has(def, "overlap")) {
        s->overlap = SCHEDULE_OVERLAP_QUEUE;
    }
    if (s->missed_max == 0) {
        s->missed_max = SCHEDULE_MISSED_MAX;
    }
    return s->overlap == SCHEDULE_OVERLAP_QUEUE ||
           err_set(e, ERR_PERMANENT, "ValueError",
                   "field \"overlap\": \"missed\": \"all\" sends several at once and needs "
                   "\"queue\"");
}

static void start_from(const char *name, const struct schedule_defaults *d, struct schedule *s)
{
    for (size_t i = 0; schedule_builtin(i, d, s); i++) {
        if (strcmp(s->name, name) == 0) {
            return;
        }
    }
    *s = (struct schedule){.missed = SCHEDULE_LATEST, .overlap = SCHEDULE_OVERLAP_SKIP};
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->queue, sizeof s->queue, "%s", d->queue);
}

bool schedule_name_ok(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-");

    return len > 0 && len < SCHEDULE_NAME_SIZE && name[len] == '\0';
}

bool schedule_from_json(const char *name, const cJSON *def, const struct schedule_defaults *d,
                        struct schedule *s, struct err *e)
{
    *s = (struct schedule){0};
    if (!schedule_name_ok(name)) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "the name: expected 1 to %d letters, digits and ._:-",
                       SCHEDULE_NAME_SIZE - 1);
    }
    if (!cJSON_IsObject(def)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "not a JSON object");
    }
    start_from(name, d, s);
    if (!read_members(def, FIELDS, ARRAY_LEN(FIELDS), s, e)) {
        goto bad;
    }
    if (s->every_s == 0 && s->zone[0] == '\0') {
        snprintf(s->zone, sizeof s->zone, "UTC");
    }
    if (s->task[0] == '\0') {
        err_set(e, ERR_PERMANENT, "ValueError", "field \"task\": missing");
        goto bad;
    }
    if (check_timetable(def, s, e) && check_policies(def, s, e)) {
        return true;
    }
bad:
    schedule_fini(s);
    return false;
}

bool schedule_parse(const char *name, const char *json, size_t len,
                    const struct schedule_defaults *d, struct schedule *s, struct err *e)
{
    cJSON *def;
    bool ok;

    *s = (struct schedule){0};
    if (len > SCHEDULE_TEXT_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "longer than %d bytes", SCHEDULE_TEXT_MAX);
    }
    def = json_parse(json, len, e);
    ok = def && schedule_from_json(name, def, d, s, e);
    cJSON_Delete(def);
    return ok;
}

void schedule_fini(struct schedule *s)
{
    cJSON_Delete(s->args);
    cJSON_Delete(s->kwargs);
    *s = (struct schedule){0};
}
