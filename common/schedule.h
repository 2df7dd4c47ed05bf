#ifndef COMMON_SCHEDULE_H
#define COMMON_SCHEDULE_H

#include "common/broker.h"
#include "common/cron.h"
#include "common/json.h"
#include "common/msg.h"
#include "common/uuid.h"
#include "common/zone.h"

/*
 * What is sent when. A schedule has slots; a slot is named by the unix second at which it begins.
 * Times are by Redis' clock.
 */

/* ---- slots of intervals: the multiples of the interval since the epoch. interval_s >= 1 ---- */

/* The slot that is on at now_us (negative times round down as well). */
int64_t schedule_slot_s(int64_t now_us, int64_t interval_s);

/* When the slot after the one at now_us begins; always later than now_us. */
int64_t schedule_next_us(int64_t now_us, int64_t interval_s);

/* The last slot sent began more than two intervals ago: no beat does its work. */
bool schedule_is_late(int64_t last_s, int64_t now_us, int64_t interval_s);

/* The task id of a slot: the same wherever and however often it is made. */
void schedule_task_id(const char *schedule, int64_t slot_s, char out[UUID_SIZE]);

/* ---- definitions ---- */

#define SCHEDULE_NAME_SIZE   65   /* letters, digits and "._:-", with the NUL */
#define SCHEDULE_TEXT_MAX    8192 /* bytes of one definition */
#define SCHEDULE_NOTE_SIZE   201  /* reason and name of who paused it, with the NUL */
#define SCHEDULE_EVERY_MAX_S 31622400
#define SCHEDULE_MISSED_MAX  100
#define SCHEDULE_TABLE_MAX   1000

/* What becomes of slots whose time went by without a beat or without Redis. */
enum schedule_missed {
    SCHEDULE_LATEST, /* the last of them is sent, late */
    SCHEDULE_SKIP,   /* none is */
    SCHEDULE_ALL,    /* each is, the last missed_max of them */
};

/* What becomes of a slot whose predecessor's task waits or runs. */
enum schedule_overlap {
    SCHEDULE_OVERLAP_SKIP,   /* it is skipped */
    SCHEDULE_OVERLAP_QUEUE,  /* it is sent all the same */
    SCHEDULE_OVERLAP_CANCEL, /* the predecessor is revoked and terminated, then it is sent */
};

struct schedule_pause {
    bool on;
    int64_t since_s;
    char by[SCHEDULE_NOTE_SIZE];
    char reason[SCHEDULE_NOTE_SIZE];
};

struct schedule {
    char name[SCHEDULE_NAME_SIZE];
    char task[MSG_NAME_SIZE];
    cJSON *args;   /* array or NULL; owned */
    cJSON *kwargs; /* object or NULL; owned */
    char queue[BROKER_QUEUE_MAX + 1];
    int priority;
    int64_t every_s; /* 0: the crontab decides */
    char cron_text[CRON_TEXT_SIZE];
    struct cron cron;
    char zone[ZONE_NAME_SIZE];
    enum schedule_missed missed;
    int missed_max;
    enum schedule_overlap overlap;
    int64_t expires_s; /* from when it is sent, 0: never */
    int64_t since_s;   /* earlier slots do not count, 0: all do */
    struct schedule_pause pause;
};

/* The slot after, or at or before, a moment. False when the timetable has none. */
bool schedule_next(const struct schedule *s, int64_t after_s, int64_t *slot_s) MUST_CHECK;
bool schedule_prev(const struct schedule *s, int64_t at_s, int64_t *slot_s) MUST_CHECK;

/* The schedules that every beat knows without being told: the scoring batch and the pruning. */
#define SCHEDULE_BUILTINS 2
struct schedule_defaults {
    const char *queue;
    int64_t batch_interval_s;
};
/* Fills *s; false when n is beyond the last one. Nothing of it needs schedule_fini. */
bool schedule_builtin(size_t n, const struct schedule_defaults *d, struct schedule *s);
bool schedule_is_builtin(const char *name);

bool schedule_name_ok(const char *name);

/*
 * Reads a definition. Strict: every member is known and right, and there is a timetable with slots;
 * *e names the field. A built-in schedule's members stand where the text has none. On success
 * the caller owns *s (schedule_fini); on failure it holds nothing.
 */
bool schedule_parse(const char *name, const char *json, size_t len,
                    const struct schedule_defaults *d, struct schedule *s,
                    struct err *e) MUST_CHECK;
/* The same from a parsed object; args and kwargs are copied. */
bool schedule_from_json(const char *name, const cJSON *def, const struct schedule_defaults *d,
                        struct schedule *s, struct err *e) MUST_CHECK;
void schedule_fini(struct schedule *s);

/* "latest", "skip", "all"; "skip", "queue", "cancel". */
const char *schedule_missed_name(enum schedule_missed m);
const char *schedule_overlap_name(enum schedule_overlap o);
/* "every 600 s" or "cron 0 4 * * * Europe/Berlin". Text in out. */
#define SCHEDULE_WHEN_SIZE (CRON_TEXT_SIZE + ZONE_NAME_SIZE + 16)
const char *schedule_when(const struct schedule *s, char out[SCHEDULE_WHEN_SIZE]);

#endif
