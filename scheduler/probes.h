#ifndef SCHEDULER_PROBES_H
#define SCHEDULER_PROBES_H

#include "common/probe.h"
#include "scheduler/beat.h"

/*
 * What a beat shows of itself on METRICS_LISTEN, from a thread of its own:
 *   /live   its loop has turned within PROBES_TURN_MS
 *   /ready  and Redis was of use within that time
 *   /fresh  the last ranking is young enough, as far as Redis knows
 */
#define PROBES_TURN_MS 15000

struct probes;

/* Without METRICS_LISTEN it shows nothing. NULL and *e when the address cannot be used. */
struct probes *probes_start(const struct beat_config *cfg, const struct probe_settings *s,
                            struct err *e) MUST_CHECK;
void probes_stop(struct probes *p);

#endif
