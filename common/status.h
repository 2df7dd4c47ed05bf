#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include <libpq-fe.h>

#include "common/json.h"
#include "common/rds.h"

/*
 * What runs, what waits and how old the ranking is, as one document. Each part below fills in its
 * members; what could not be read is absent. Bounded: STATUS_WORKERS_MAX workers, STATUS_BEATS_MAX
 * beats, STATUS_RUNS_MAX runs.
 */
#define STATUS_WORKERS_MAX 1000
#define STATUS_BEATS_MAX   1000
#define STATUS_RUNS_MAX    5
#define STATUS_TIMEOUT_MS  3000

/* Whose status; our own settings. */
struct status_of {
    const char *task_queue;
    int64_t batch_interval_s; /* while no beat says another one */
};

/*
 * "redis": {"reachable", "version", "url"} or {"reachable": false, "error", "url"}; then "workers",
 * "beats", "schedule", "queue", "counters", "schedules", "other_queues", "retries". c NULL: it
 * could not be connected to, *e says why. False when Redis does not answer (*e).
 */
bool status_add_redis(cJSON *doc, const struct status_of *s, const char *url, redisContext *c,
                      struct err *e);

/*
 * "conservation": {"ok", "differences", "redis_lost"}. Costs more than the rest when something
 * does not add up. False and *e when Redis does not answer.
 */
bool status_add_conservation(cJSON *doc, redisContext *c, struct err *e);

/*
 * "postgresql": {"reachable", "version", "url"} or {"reachable": false, "error", "url"}, then
 * "runs" and "ranking". c NULL: as above.
 */
enum status_pg {
    STATUS_PG_OK,
    STATUS_PG_DOWN,
    STATUS_PG_REFUSED, /* the schema is not the one expected, or the answer an error */
};
enum status_pg status_add_pg(cJSON *doc, const char *url, PGconn *c, struct err *e);

/* Whether the ranking is stale and when the next is to be expected, out of the rest. */
void status_judge_ranking(cJSON *doc, const struct status_of *s);

/*
 * One worker's entry: what its heartbeat says (NULL: it is silent), with "boot", "alive", "held"
 * and, of each task that runs, "for_s". Shared by everything that lists workers.
 */
cJSON *status_worker(const redisReply *boot, const redisReply *heartbeat, int64_t held,
                     int64_t now_s);

/* ---- parts of status_add_redis, each in its file. False and *e when Redis does not answer; a key
 * of the wrong type only leaves its part out. ---- */

/*
 * "schedules": {"stored", "paused": [...]}, and into "schedule" what a timetable of the batch's own
 * says ("when", "paused", "gap_s": the longest time between slots about now); "other_queues".
 */
bool status_ask_jobs(cJSON *doc, redisContext *c, const struct status_of *s, struct err *e);
/*
 * "retries": [{"id", "timetable", "in_s"}], at most three of the tasks that wait for another
 * attempt. now_us by Redis' clock.
 */
bool status_ask_retries(cJSON *doc, redisContext *c, int64_t now_us, struct err *e);

#endif
