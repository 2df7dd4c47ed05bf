#ifndef WORKER_SUPERVISOR_H
#define WORKER_SUPERVISOR_H

#include "worker/settings.h"

/*
 * Runs the worker until SIGTERM or SIGINT (a second one, or SIGQUIT: at once). SIGHUP must be held
 * (reload.h) when it is called. Returns the exit code.
 */
int supervisor_main(const struct settings *s);

/* 0 when a worker of this name has a heartbeat in Redis, 1 (and a line on stderr) otherwise. */
int supervisor_healthcheck(const struct settings *s);

#endif
