#ifndef API_SEARCHER_PARTS_H
#define API_SEARCHER_PARTS_H

#include <pthread.h>

#include "api/pgpool.h"
#include "api/searcher.h"
#include "common/rdsa.h"
#include "common/source.h"

/* The inside of the searcher: searcher.c (who may search), flight.c (what a search does). */

TAILQ_HEAD(search_jobs, search_job);
TAILQ_HEAD(flights, flight);

/* Everything but the first line belongs to its thread. */
struct searcher {
    struct mailbox *inbox;
    const struct api_settings *settings;
    struct details *details;
    pthread_t thread;
    struct event_base *base;
    struct rds_addr redis_addr;
    struct rdsa *redis;
    struct pgpool *pg;
    struct source *source;
    struct quota_table *quota; /* NULL: no limit */
    struct search_jobs jobs;   /* that are not in a flight yet */
    struct flights flights;
    struct mail stop;
    bool stopping;
    bool counts_alone; /* Redis is away, and it was said */
};

/* The job's last step: its answer goes out. */
void search_job_end(struct search_job *j, enum search_end end);

/* Joins those who wait for the same character, or begins to look it up. */
void flight_board(struct searcher *s, struct search_job *j);
/* Who cannot wait longer gets what is known by now; the flight goes on. */
void flight_leave(struct search_job *j);
/* At the end of the searcher: nothing calls back any more. */
void flight_crash(struct flight *f);

#endif
