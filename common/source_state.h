#ifndef COMMON_SOURCE_STATE_H
#define COMMON_SOURCE_STATE_H

#include "common/json.h"
#include "common/rds.h"

/*
 * How the source does, as the gate before it (source_gate.h) has it in Redis: {"at", "state":
 * "working" | "failing" | "resting" | "unused", "failures" (in a row), "asked", "ok", "busy",
 * "failed", "last_ok"?, "last_busy"?, "last_failed"? (unix seconds), "rest_s"?, "rest_reason"?,
 * "queue_ms" (how far ahead moments are reserved)}. failing: not resting yet. NULL and *e when
 * Redis fails.
 */
cJSON *source_state(redisContext *c, struct err *e) MUST_CHECK;

#endif
