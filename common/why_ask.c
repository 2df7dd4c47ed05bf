#include "common/why_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/text.h"

/* ---- the time ---- */

/* "12:10" or "12:10:30": today in that zone. */
static bool read_clock(const char *text, const char *zone, int64_t now_s, int64_t *at_s)
{
    int hour = -1, minute = -1, second = 0, end = 0;
    struct tm tm;

    if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2) {
        return false;
    }
    if (text[end] == ':') {
        int more = 0;

        if (sscanf(text + end, ":%2d%n", &second, &more) != 1) {
            return false;
        }
        end += more;
    }
    if (text[end] != '\0' || strpbrk(text, "+- ") || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 59) {
        return false;
    }
    zone_local(zone, now_s, &tm);
    tm.tm_hour = hour;
    tm.tm_min = minute;
    tm.tm_sec = second;
    *at_s = zone_to_unix(zone, &tm);
    return true;
}

/* ISO 8601; seconds may be left out, and without an offset it is local time. */
static bool read_iso(const char *text, const char *zone, int64_t *at_s)
{
    char full[64];
    int64_t us;
    time_t wall;
    struct tm tm;
    bool offset;

    if (strlen(text) < 16 || strlen(text) > 40) {
        return false;
    }
    snprintf(full, sizeof full, "%.16s%s%s", text, text[16] == ':' ? "" : ":00", text + 16);
    if (!clock_parse_iso(full, &us)) {
        return false;
    }
    offset = strpbrk(text + 16, "Z+-") != NULL;
    wall = (time_t)(us / 1000000);
    MUST(gmtime_r(&wall, &tm));
    *at_s = offset ? wall : zone_to_unix(zone, &tm);
    return true;
}

bool why_read_time(const char *text, const char *zone, int64_t now_s, int64_t *at_s)
{
    return text_to_i64(text, 10000, INT64_C(253402300799), at_s) ||
           read_clock(text, zone, now_s, at_s) || read_iso(text, zone, at_s);
}

/* ---- what is known ---- */

/* The elements of a list that are JSON objects. */
static cJSON *read_list(struct schedules *t, const char *key, struct err *e)
{
    redisReply *r = rds_command(t->c, e, "LRANGE %s 0 -1", key);
    cJSON *all;

    if (!r) {
        return e->cls == ERR_PERMANENT ? cJSON_CreateArray() : NULL;
    }
    all = cJSON_CreateArray();
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        struct err ignored;
        cJSON *v = json_parse(r->element[i]->str, (size_t)r->element[i]->len, &ignored);

        if (!cJSON_IsObject(v) || !cJSON_AddItemToArray(all, v)) {
            cJSON_Delete(v);
        }
    }
    freeReplyObject(r);
    return all;
}

bool why_gather(struct schedules *t, const struct schedule *s, struct why_read *r, struct err *e)
{
    char ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE];

    *r = (struct why_read){.facts = {.schedule = s,
                                     .zone = schedules_zone(s),
                                     .now_s = t->now_us / 1000000,
                                     .beats = t->beats}};
    snprintf(ledger, sizeof ledger, KEY_LEDGER_PREFIX "%s", s->name);
    r->ledger = read_list(t, ledger, e);
    r->notes = r->ledger ? read_list(t, KEY_BEAT_NOTES, e) : NULL;
    r->periods = r->notes ? read_list(t, KEY_BEAT_PERIODS, e) : NULL;
    r->facts.ledger = r->ledger;
    r->facts.notes = r->notes;
    r->facts.periods = r->periods;
    return r->periods && schedules_last(t, s->name, &r->facts.last_s, e);
}

void why_fini(struct why_read *r)
{
    cJSON_Delete(r->ledger);
    cJSON_Delete(r->notes);
    cJSON_Delete(r->periods);
    *r = (struct why_read){0};
}

/* ---- documents ---- */

static cJSON *document(struct why *w, const char *name)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "schedule", name);
    if (w->slot_s >= 0) {
        cJSON_AddNumberToObject(doc, "slot", (double)w->slot_s);
    }
    cJSON_AddStringToObject(doc, "verdict", why_verdict_name(w->verdict));
    if (w->id[0]) {
        cJSON_AddStringToObject(doc, "id", w->id);
    }
    text_make_utf8(w->text); /* it may have been cut within a character */
    cJSON_AddStringToObject(doc, "text", w->text);
    return doc;
}

cJSON *why_doc(struct schedules *t, const struct schedule *s, int64_t at_s, struct err *e)
{
    cJSON *doc = NULL;
    struct why_read r;
    struct why w;

    if (why_gather(t, s, &r, e)) {
        why_tell(&r.facts, at_s, &w);
        doc = document(&w, s->name);
    }
    why_fini(&r);
    return doc;
}

cJSON *why_doc_last(struct schedules *t, const struct schedule *s, int count, struct err *e)
{
    cJSON *all = NULL;
    struct why_read r;
    struct why w;

    if (why_gather(t, s, &r, e)) {
        int64_t slot_s = r.facts.last_s;

        all = cJSON_CreateArray();
        for (int i = 0; i < count && slot_s >= 0; i++) {
            why_tell(&r.facts, slot_s, &w);
            if (w.slot_s < 0 || (w.verdict == WHY_UNKNOWN && i > 0)) {
                break;
            }
            cJSON_AddItemToArray(all, document(&w, s->name));
            slot_s = w.slot_s - 1;
        }
    }
    why_fini(&r);
    return all;
}
