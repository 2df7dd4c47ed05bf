/* Whether each of our keys holds what it should: a step that meets another type is refused. */
#include <string.h>

#include "common/keys.h"
#include "ctl/doctor.h"

#define STAYS                                                                                      \
    "While it is there, steps that need it are refused and sent again; nothing is lost. Look at "  \
    "it, keep it under another name (RENAME) if somebody needs it, and it mends itself."

static const struct {
    const char *key, *type;
} KEYS[] = {
    {KEY_DEAD, "list"},         {KEY_QUARANTINE, "list"},
    {KEY_DELAYED, "zset"},      {KEY_COUNTERS, "hash"},
    {KEY_WORKERS, "set"},       {KEY_LOSSES, "hash"},
    {KEY_RECOVERIES, "hash"},   {KEY_REVOKED, "zset"},
    {KEY_SCHEDULES, "hash"},    {KEY_SCHEDULES_REV, "string"},
    {KEY_BEATS, "hash"},        {KEY_BEAT_LAST, "hash"},
    {KEY_BEAT_GAP, "hash"},     {KEY_BEAT_SENT, "hash"},
    {KEY_BEAT_MESSAGE, "hash"}, {KEY_BEAT_PERIODS, "list"},
    {KEY_BEAT_NOTES, "list"},   {KEY_SOURCE, "hash"},
    {KEY_UNACKED, "hash"},      {KEY_UNACKED_INDEX, "zset"},
};

/* True when all of them could be looked at. */
static bool look(struct doctor *d, redisContext *c, int *wrong)
{
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        struct err e;
        redisReply *r = rds_command(c, &e, "TYPE %s", KEYS[i].key);

        if (!r) {
            doctor_say(d, "keys", DOCTOR_UNSEEN, NULL, "TYPE %s: %s", KEYS[i].key, e.text);
            return false;
        }
        if (strcmp(r->str, "none") != 0 && strcmp(r->str, KEYS[i].type) != 0) {
            doctor_say(d, "keys", DOCTOR_PROBLEM, STAYS, "%s is a %s, and should be a %s",
                       KEYS[i].key, r->str, KEYS[i].type);
            (*wrong)++;
        }
        freeReplyObject(r);
    }
    return true;
}

void doctor_keys(struct doctor *d, redisContext *c)
{
    int wrong = 0;

    if (look(d, c, &wrong) && wrong == 0) {
        doctor_say(d, "keys", DOCTOR_OK, NULL, "each holds what it should");
    }
}
