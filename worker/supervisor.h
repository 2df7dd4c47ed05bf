#ifndef WORKER_SUPERVISOR_H
#define WORKER_SUPERVISOR_H

#include "worker/settings.h"

/*
 * Runs the worker until SIGTERM or SIGINT (a second one, or SIGQUIT: at once). SIGHUP must be held
 * (reload.h) when it is called. Returns the exit code.
 */
int supervisor_main(const struct settings *s);

#endif
