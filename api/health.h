#ifndef API_HEALTH_H
#define API_HEALTH_H

#include "api/loop.h"
#include "common/probe.h"

/*
 * What the api shows of itself on METRICS_LISTEN, from a thread of its own:
 *   /live   every serving thread's loop has turned within HEALTH_TURN_MS
 *   /ready  there is a ranking to serve, or PostgreSQL says that there is none yet
 *   /fresh  the ranking that is served is young enough
 */
#define HEALTH_TURN_MS 10000

struct health;

/* The loops are borrowed and must outlive it. Without METRICS_LISTEN it shows nothing. NULL and *e
 * when the address cannot be used. */
struct health *health_start(const struct api_settings *s, struct loader *l, struct loop **loops,
                            int count, struct err *e) MUST_CHECK;
void health_stop(struct health *h);
/* What /live says; why may be NULL. */
bool health_is_live(const struct health *h, char why[PROBE_WHY_SIZE]);

#endif
