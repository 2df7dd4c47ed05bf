#ifndef WORKER_RELOAD_H
#define WORKER_RELOAD_H

#include <event2/event.h>

#include "common/base.h"

/*
 * SIGHUP: the program is started anew in place (execve of the file it was started from, so that a
 * replaced one is picked up), with the same process id, arguments and environment; --env-file is
 * read again. Before anything stops, a trial process (--trial) looks whether the program
 * would start and work with its settings.
 */
struct reload;

struct reload_config {
    struct event_base *base;
    /* The trial went well: stop what runs, then call reload_exec. */
    void (*on_accepted)(void *ctx);
    void *ctx;
};

/* Notes how we were started. Before anything changes the environment; once. */
void reload_remember(char **argv);

struct reload *reload_new(const struct reload_config *config);
/* A trial that is under way is ended. */
void reload_free(struct reload *r);
/* Begins the trial; while one is under way, another follows it. What is refused is logged. */
void reload_request(struct reload *r);

/* Does not return, unless that failed (which is logged); then everything is as before. */
void reload_exec(void);

/* The signal waits (true) or comes (false). What waits outlives reload_exec. */
void reload_hold_signal(bool hold);

#endif
