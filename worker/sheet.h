#ifndef WORKER_SHEET_H
#define WORKER_SHEET_H

#include "common/source.h"
#include "worker/task.h"

/*
 * Tasks that have characters read in full at the source (common/source.h), at its pace.
 *
 * source.fetch_sheet, kwargs {"server": ..., "name": ...}: what comes is stored as mode "sheet", by
 * one statement. Whatever goes wrong leaves a stored sheet as it is and notes why; of a character
 * without one, what was read before it went wrong is stored. The result says what became of it:
 * {"status":"success"|"not_found","server","name",...}. A source that rests or answers nothing
 * sensible is asked again later, not before it says.
 */
cJSON *sheet_task(const struct task_request *req, struct err *e);

/*
 * source.refresh_stalest: sends source.fetch_sheet for those of the top of each board that were
 * asked for least lately. Bounds: SOURCE_REFRESH_*; kwargs win over them: {"top": 100, "count": 8,
 * "age_s": 86400}. Result: {"status":"success","sent":N,"lately":N}.
 */
cJSON *sheet_refresh_task(const struct task_request *req, struct err *e);

/* ---- for sheet*.c ---- */

/* Asks the source for a sheet and waits for the answer. */
struct sheet_answer {
    enum source_outcome outcome;
    struct source_person person; /* its texts are owned: sheet_answer_fini() */
    bool has_person;
    int64_t wait_s;   /* RESTING, CROWDED: nobody may ask for so long */
    char reason[400]; /* for people */
};
/* False and *e: the task was asked to stop, Redis does not answer, ... */
bool sheet_ask(const struct task_request *req, const struct source_who *who,
               struct sheet_answer *out, struct err *e) MUST_CHECK;
void sheet_answer_fini(struct sheet_answer *a);

#endif
