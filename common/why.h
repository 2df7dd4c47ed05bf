#ifndef COMMON_WHY_H
#define COMMON_WHY_H

#include "common/json.h"
#include "common/schedule.h"

/*
 * What became of a slot, out of what beats have written down. Pure. The ledger and the notes are
 * what Redis holds, newest first, already read as JSON; entries of another form are passed over.
 */
struct why_facts {
    const struct schedule *schedule;
    const char *zone;     /* times are shown in it, "" our own */
    const cJSON *ledger;  /* array: what became of slots */
    const cJSON *notes;   /* array: outages, steps of the clock, pauses */
    const cJSON *periods; /* array: when some beat was alive */
    int64_t now_s;
    int64_t last_s; /* last slot that was decided, -1: none */
    int beats;      /* alive now */
};

enum why_verdict {
    WHY_SENT,    /* on time, late or caught up */
    WHY_SKIPPED, /* paused, overlap, late */
    WHY_MISSED,  /* nobody was there to send it */
    WHY_WAITING, /* due, and not dealt with yet */
    WHY_FUTURE,
    WHY_UNKNOWN, /* nothing is known of it */
    WHY_NO_SLOT, /* there is none at or before that time */
};

#define WHY_TEXT_SIZE 1024
struct why {
    enum why_verdict verdict;
    int64_t slot_s;           /* -1: none */
    char text[WHY_TEXT_SIZE]; /* one sentence */
    char id[64];              /* of its task, or of the one that was in the way; "": none */
};

/* Tells of the slot at at_s, or of the last one before it. */
void why_tell(const struct why_facts *f, int64_t at_s, struct why *w);

/* "sent", "skipped", "missed", "waiting", "future", "unknown", "no-slot" */
const char *why_verdict_name(enum why_verdict v);

/* "3 ms", "7 s", "2 min 5 s", "3 h 12 min", "2 d 5 h"; text in out. */
#define WHY_SPAN_SIZE 48
const char *why_span(double seconds, char out[WHY_SPAN_SIZE]);

#endif
