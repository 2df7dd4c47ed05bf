#ifndef COMMON_SCHEDULES_EDIT_H
#define COMMON_SCHEDULES_EDIT_H

#include "common/schedules.h"
#include "common/uuid.h"

/*
 * Changing the table of schedules. Each change is made on what is stored and kept only while that
 * is still the same, so two people may do it at the same time. Beats notice within two seconds.
 */
enum schedules_end {
    SCHEDULES_DONE,
    SCHEDULES_SAME,    /* nothing to do: what is to be resumed is not paused */
    SCHEDULES_MISSING, /* there is no schedule of that name */
    SCHEDULES_INVALID, /* *e says what is wrong with it */
    SCHEDULES_FULL,    /* there are SCHEDULE_TABLE_MAX */
    SCHEDULES_BUSY,    /* others keep changing it */
    SCHEDULES_FAILED,  /* *e: Redis failed */
};

struct schedules_edit {
    const char *name;
    const char *by;     /* who does it */
    const char *reason; /* of a pause; NULL: none */
    /*
     * Of schedules_set: {"task", "every" or "cron" and "tz", "args", "kwargs", "queue", "priority",
     * "missed", "missed_max", "overlap", "expires"}; what it has not stays, what is null goes.
     */
    const cJSON *members;
};

/* The documents (as schedules_doc) from before and after a change; both may be NULL. */
struct schedules_edited {
    cJSON *before, *after;
};
void schedules_edited_fini(struct schedules_edited *d);

/* Makes one, or changes it. A new timetable counts from now on. d is for schedules_edited_fini in
 * any case; it may be NULL, as below. */
enum schedules_end schedules_set(struct schedules *t, const struct schedules_edit *ed,
                                 struct schedules_edited *d, struct err *e);
/* Forgets it with its state and ledger; what is built in is as it was built. */
enum schedules_end schedules_remove(struct schedules *t, const struct schedules_edit *ed,
                                    struct schedules_edited *d, struct err *e);
/* Its slots are skipped from now on, and the ledger says why. */
enum schedules_end schedules_pause(struct schedules *t, const struct schedules_edit *ed,
                                   struct schedules_edited *d, struct err *e);
/* Goes on with its next slot; those of the pause do not count any more. */
enum schedules_end schedules_resume(struct schedules *t, const struct schedules_edit *ed,
                                    struct schedules_edited *d, struct err *e);

/*
 * Sends its task now, whatever its timetable and its predecessor say. id: the task's. The next slot
 * sees it as its predecessor.
 */
enum schedules_end schedules_run(struct schedules *t, const struct schedules_edit *ed,
                                 char id[UUID_SIZE], struct err *e);

#endif
