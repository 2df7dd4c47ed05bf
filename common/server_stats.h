#ifndef COMMON_SERVER_STATS_H
#define COMMON_SERVER_STATS_H

#include "common/json.h"
#include "common/pg.h"

/*
 * What each run has found out about the servers (view server_stats): averages, how many characters
 * they are of, and the lowest score of each tier. NULL and *e on failure.
 */
#define SERVER_STATS_POINTS_MAX 500

/*
 * Of the live ranking: {"run", "generated_at", "servers": [{"server", "sample_size", "averages",
 * "tiers": {"S1": {"min_score", "count"}, ...}}, ...]}; run null: there is none yet.
 */
cJSON *server_stats_now(PGconn *c, struct err *e) MUST_CHECK;

/*
 * Of one server over the runs that are kept, the newest first: {"server", "points": [{"run", "at",
 * "sample_size", "averages", "tiers"}, ...], "next_before": run or null}. before: only of earlier
 * runs, 0: all. "LookupError" when no run knows the server.
 */
cJSON *server_stats_history(PGconn *c, const char *server, int64_t before, int64_t limit,
                            struct err *e) MUST_CHECK;

#endif
