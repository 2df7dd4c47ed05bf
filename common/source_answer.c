#include "common/source_answer.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"

#define SAFE_INT INT64_C(9007199254740991) /* a JSON number keeps it */

/* Which texts a person has, and how large they may be. */
static const struct {
    const char *key;
    size_t offset;
    size_t size;
} TEXTS[] = {
    {"server", offsetof(struct source_person, server), SOURCE_TEXT_SIZE},
    {"name", offsetof(struct source_person, name), SOURCE_TEXT_SIZE},
    {"class", offsetof(struct source_person, cls), SOURCE_TEXT_SIZE},
    {"legion", offsetof(struct source_person, legion), SOURCE_TEXT_SIZE},
    {"source_id", offsetof(struct source_person, source_id), SOURCE_ID_SIZE},
};
static const struct {
    const char *key;
    size_t offset;
    int64_t min;
} NUMBERS[] = {
    {"level", offsetof(struct source_person, level), 0},
    {"power", offsetof(struct source_person, power), -1},
    {"item_level", offsetof(struct source_person, item_level), -1},
};

static cJSON *person_json(const struct source_person *p)
{
    cJSON *o = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        cJSON_AddStringToObject(o, TEXTS[i].key, (const char *)p + TEXTS[i].offset);
    }
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        int64_t v;

        memcpy(&v, (const char *)p + NUMBERS[i].offset, sizeof v);
        cJSON_AddNumberToObject(o, NUMBERS[i].key, (double)v);
    }
    cJSON_AddStringToObject(o, "mode", p->mode);
    cJSON_AddStringToObject(o, "stats", p->stats_payload);
    if (p->raw_payload) {
        cJSON_AddStringToObject(o, "raw", p->raw_payload);
    }
    return o;
}

char *source_answer_print(const struct source_reply *reply)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "outcome", source_outcome_name(reply->outcome));
    cJSON_AddStringToObject(o, "reason", reply->reason);
    cJSON_AddNumberToObject(o, "retry_after_ms", (double)reply->retry_after_ms);
    if (reply->person) {
        cJSON_AddItemToObject(o, "person", person_json(reply->person));
    }
    text = json_print(o);
    cJSON_Delete(o);
    return text;
}

static bool read_person(const cJSON *o, struct source_person *p)
{
    static const char *const MODES[] = {SOURCE_MODE_SHEET, SOURCE_MODE_PROFILE};
    const char *mode = json_get_str(o, "mode"), *stats = json_get_str(o, "stats");
    const char *raw = json_get_str(o, "raw");

    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        const char *text = json_get_str(o, TEXTS[i].key);

        if (!text || !text_copy((char *)p + TEXTS[i].offset, TEXTS[i].size, text)) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        int64_t v;

        if (!json_get_i64(o, NUMBERS[i].key, NUMBERS[i].min, SAFE_INT, &v)) {
            return false;
        }
        memcpy((char *)p + NUMBERS[i].offset, &v, sizeof v);
    }
    for (size_t i = 0; mode && i < ARRAY_LEN(MODES); i++) {
        p->mode = strcmp(mode, MODES[i]) == 0 ? MODES[i] : p->mode;
    }
    p->stats_payload = stats ? mem_strdup(stats) : NULL;
    p->raw_payload = raw ? mem_strdup(raw) : NULL;
    return p->mode && p->stats_payload;
}

static bool read_reply(const cJSON *o, struct source_answer *a)
{
    const char *outcome = json_get_str(o, "outcome"), *reason = json_get_str(o, "reason");
    int i = 0;

    while (outcome && i < SOURCE_OUTCOME_COUNT &&
           strcmp(outcome, source_outcome_name((enum source_outcome)i)) != 0) {
        i++;
    }
    if (!outcome || i == SOURCE_OUTCOME_COUNT || !reason ||
        !text_copy(a->reason, sizeof a->reason, reason) ||
        !json_get_i64(o, "retry_after_ms", 0, SAFE_INT, &a->reply.retry_after_ms)) {
        return false;
    }
    a->reply.outcome = (enum source_outcome)i;
    a->reply.reason = a->reason;
    if (i != SOURCE_FOUND) {
        return true;
    }
    a->reply.person = &a->person;
    return read_person(json_get_obj(o, "person"), &a->person);
}

bool source_answer_read(const char *text, struct source_answer *a, struct err *e)
{
    cJSON *o = json_parse(text, strlen(text), e);
    bool ok;

    *a = (struct source_answer){0};
    if (!o) {
        return false;
    }
    ok = read_reply(o, a);
    cJSON_Delete(o);
    if (!ok) {
        source_answer_fini(a);
        err_set(e, ERR_PERMANENT, "ValueError", "it lacks a field, or one is wrong");
    }
    return ok;
}

void source_answer_fini(struct source_answer *a)
{
    free(a->person.stats_payload);
    free(a->person.raw_payload);
    *a = (struct source_answer){0};
}
