#ifndef API_FIGURES_H
#define API_FIGURES_H

#include "api/loader.h"

/*
 * What the api counts for /metrics; docs/metrics.md has the names. Every serving thread counts in
 * numbers of its own, which are added up when somebody asks: a request costs no shared cache line.
 */

/* threads: that serve; each calls figures_thread() once. */
void figures_open(int threads);
void figures_thread(void);

/* A request is answered. route: its row in ROUTES, ROUTE_COUNT: none. us below 0: not known. */
void figures_request(size_t route, int status, int64_t us);
/* Clients of this thread: so many more than told before. */
void figures_connections(int more);

/* A query got a connection after so long, or ended without one (see the names in figures.c). */
void figures_pool_wait(int64_t us);
enum figures_query { QUERY_ANSWERED, QUERY_FAILED, QUERY_TIMED_OUT, QUERY_REFUSED };
void figures_pool_end(enum figures_query how);
/* More or fewer queries wait. */
void figures_pool_waiting(int more);

/* A generation was read into memory, in us; or it could not be. */
void figures_image_loaded(int64_t us);
void figures_image_failed(void);

/* Sets what is only looked up when somebody asks. */
void figures_collect(struct loader *l, int64_t interval_s);

#endif
