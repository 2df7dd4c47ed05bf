#ifndef COMMON_KEYS_H
#define COMMON_KEYS_H

/* Names of our keys in Redis; docs/architecture.md says what each holds. */
#define KEY_WORKERS       "aion2:workers"
#define KEY_WORKER_PREFIX "aion2:worker:"
#define KEY_HELD_PREFIX   "aion2:held:"
#define KEY_BOOT_PREFIX   "aion2:boot:"
#define KEY_LOSSES        "aion2:losses"
#define KEY_RECOVERIES    "aion2:recoveries"
#define KEY_OVERSIZED     "aion2:oversized:"
#define KEY_DELAYED       "aion2:delayed"
#define KEY_QUARANTINE    "aion2:quarantine"
#define KEY_DEAD          "aion2:dead"
#define KEY_COUNTERS      "aion2:counters"
#define KEY_ALERTS        "aion2:alerts"
#define KEY_BEATS         "aion2:beats"
#define KEY_BEAT_LAST     "aion2:beat:last"
#define KEY_LEDGER_PREFIX "aion2:beat:ledger:"
#define KEY_BEAT_GAP      "aion2:beat:gap"
#define KEY_BEAT_SENT     "aion2:beat:sent"
#define KEY_BEAT_MESSAGE  "aion2:beat:message"
#define KEY_BEAT_PERIODS  "aion2:beat:periods"
#define KEY_BEAT_NOTES    "aion2:beat:notes"
#define KEY_SCHEDULES     "aion2:schedules"
#define KEY_SCHEDULES_REV "aion2:schedules:rev"
#define KEY_RESULT_PREFIX "celery-task-meta-"
#define KEY_GROUP_PREFIX  "celery-taskset-meta-" /* group id; chords add .s .j .t */
#define KEY_REVOKED       "aion2:revoked"
/* When the last ranking was made, unix us. */
#define KEY_PUBLISHED     "aion2:published"
#define KEY_SINGLE_PREFIX "aion2:single:"
/* Group id of a chord whose body has been sent: no part of it begins it anew. */
#define KEY_CHORD_PREFIX "aion2:chord:"
/* A message whose work is done although a Python client has put it back: dropped when taken. */
#define KEY_RESTORED_PREFIX "aion2:restored:"
/* The pace at which the source of characters is asked, and how it took it (source_gate.h). */
#define KEY_SOURCE "aion2:source"
/* region:server:name of a lookup: who carries it out, or its answer; and who was not found. */
#define KEY_SOURCE_LOOKUP_PREFIX "aion2:source:lookup:"
#define KEY_SOURCE_GONE_PREFIX   "aion2:source:gone:"

/* Somebody asked for this character's sheet lately. */
#define KEY_SHEET_PREFIX "aion2:source:sheet:"
/* Searches of a client within the last minute. */
#define KEY_SEARCHES_PREFIX "aion2:searches:"

/* kombu's record of what is held. */
#define KEY_UNACKED       "unacked"
#define KEY_UNACKED_INDEX "unacked_index"

/* kombu puts priorities 3, 6 and 9 into lists of their own: name, 06 16, step. */
#define KEY_PRIORITY_SEP   "\x06\x16"
#define KEY_PRIORITY_STEPS 4

/* The scoring batch, as clients name it, and its schedule. */
#define TASK_BATCH     "app.worker.calculate_power_and_rank_batch"
#define SCHEDULE_BATCH "batch"
/* Reads a character's equipment at the source; kwargs server, name. */
#define TASK_FETCH_SHEET "source.fetch_sheet"
/* Has the stalest of the top of each board read again. */
#define TASK_REFRESH_STALEST "source.refresh_stalest"
/* What removes old runs, history and dead letters. */
#define TASK_PRUNE     "maintenance.prune"
#define SCHEDULE_PRUNE "prune"

#endif
