#ifndef WORKER_CHECKS_H
#define WORKER_CHECKS_H

#include "worker/settings.h"

/* Looks at the servers that a worker needs, without a worker. */

/* Before the start: waits while the schema is behind; false (logged) when it does not fit at all.
 */
bool checks_schema_allows_start(const struct settings *s) MUST_CHECK;

/*
 * For SIGHUP: would a worker with these settings work? 0, or 78 and a line on stderr. A server that
 * does not answer now is no reason against it.
 */
int checks_trial(const struct settings *s);

/* 0 when a worker of this name has a heartbeat in Redis, 1 (and a line on stderr) otherwise. */
int checks_health(const struct settings *s);

#endif
