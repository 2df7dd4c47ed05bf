#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H

#include "common/lamport.h"
#include "common/rdsa.h"
#include "worker/news.h"

/*
 * What Celery's monitors are told: the life of this worker, always, and that of its tasks, when
 * they are on (TASK_EVENTS, remote control) and somebody listens. Events are a courtesy: what
 * cannot be published is counted and forgotten, and nothing waits for it.
 */
struct events;

struct events_load {
    int active;        /* tasks that run now */
    int64_t processed; /* messages received */
};

struct events_config {
    struct event_base *base;
    const char *node; /* name of this worker; borrowed */
    int db;
    bool on; /* task events */
    struct lamport *clock;
    struct events_load (*load)(void *ctx);
    void *ctx;
};

struct events *events_new(const struct events_config *config);
/* After its connection. */
void events_free(struct events *e);

/* The connection to publish on is up (again): this worker is online. */
void events_on_up(struct events *e, struct rdsa *talk);
/* This worker stops: it is offline, although tasks may go on for a while. */
void events_say_offline(struct events *e);
/* A heartbeat now, because somebody asks: it wants to know of tasks, too. */
void events_say_heartbeat(struct events *e);
/* Turns task events on or off; false when they were so already. */
bool events_switch(struct events *e, bool on);

/* Something has happened to a job. */
void events_on_news(struct events *e, const struct job_report *report);
/* A task that nobody held was revoked. */
void events_on_revoked(struct events *e, const char *id);

struct events_figures {
    int64_t sent, dropped; /* task events */
};
struct events_figures events_figures(const struct events *e);

#endif
