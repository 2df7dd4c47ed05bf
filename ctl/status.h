#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include <cjson/cJSON.h>

#include "ctl/ctl.h"
#include "ctl/term.h"

/*
 * aion2ctl status gathers everything into one JSON document (what --json prints) and prints that
 * for people. Each part below fills in its members of the document; what could not be read is
 * absent. Bounded: STATUS_WORKERS_MAX workers, STATUS_BEATS_MAX beats, STATUS_RUNS_MAX runs.
 */
#define STATUS_WORKERS_MAX 1000
#define STATUS_BEATS_MAX   1000
#define STATUS_RUNS_MAX    5
#define STATUS_TIMEOUT_MS  3000

/*
 * "redis": {"reachable", "version"} or {"reachable": false, "error"}, then "workers", "beats",
 * "schedule", "queue", "counters". False when Redis does not answer.
 */
bool status_ask_redis(cJSON *doc, const struct ctl_settings *s);

/*
 * The rest of what Redis knows of jobs: "schedules": {"stored", "paused": [...]}, and into
 * "schedule" what a timetable of the batch's own says ("when", "paused"), "other_queues",
 * "conservation": {"ok", "differences", "redis_lost"}. False and *e when Redis does not answer; a
 * key of the wrong type only leaves its part out.
 */
bool status_ask_jobs(cJSON *doc, redisContext *c, const struct ctl_settings *s, struct err *e);

/*
 * "retries": [{"id", "timetable", "in_s"}], at most three of the tasks that wait for another
 * attempt. now_us by Redis' clock. As status_ask_jobs otherwise.
 */
bool status_ask_retries(cJSON *doc, redisContext *c, int64_t now_us, struct err *e);

/*
 * "postgresql": {"reachable", "version", "ready"} or {"reachable": false, "error"}, then "runs" and
 * "ranking". CTL_OK, CTL_UNAVAILABLE, or CTL_FAILED when the schema is not the one expected.
 */
enum ctl_exit status_ask_pg(cJSON *doc, const struct ctl_settings *s);

/* One screen of TERM_COLUMNS columns. */
void status_print(const cJSON *doc, const struct term *t);

/* Adds a member that holds a whole number. */
void status_add_i64(cJSON *obj, const char *name, int64_t v);

#endif
