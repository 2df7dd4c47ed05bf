#ifndef WORKER_FLOW_H
#define WORKER_FLOW_H

#include "common/follow.h"
#include "common/msg.h"
#include "common/uuid.h"

/*
 * What follows a task that has ended: its callbacks, the next step of its chain, the body of its
 * chord; after a failure its errbacks, and FAILURE for everything that will never run now, so
 * that nobody waits for it. Pure: makes the follow-ups (common/follow.h) of the step that
 * ends the task.
 *
 * A part of a chord must be counted in Redis before that step is built (broker_chord_part). So:
 *
 *     flow_succeed or flow_fail
 *     while flow_part(): count it in Redis, tell flow_counted()
 *     the items go into the step that ends the task
 *
 * That a chord fails may end a part of the chord around it; so one count may ask for another.
 * Every function returns false, with *e, when what follows cannot be sent (too much of it,
 * memory is out); the task has failed then, flow_init and flow_fail begin anew.
 */
#define FLOW_ITEMS_MAX 10000
#define FLOW_BYTES_MAX (16 * MIB)

struct flow_env {
    const char *queue; /* for messages that name none */
    const char *origin;
    const char *reply_to;
    int64_t now_us;
    void (*new_id)(char id[UUID_SIZE]);
    /* Of a task's messages that say none; NULL: 0. */
    int (*priority)(const void *ctx, const char *task);
    const void *priority_ctx;
};

/* A part of a chord that has ended. Texts are owned by the flow. */
struct flow_part {
    const char *group;
    const char *id;     /* the part's task id */
    char score[24];     /* its place among the parts: "3" or "+inf" */
    const char *member; /* [1, id, state, result] */
    const cJSON *body;  /* signature */
};

struct flow {
    struct follow *items; /* owned, with their texts */
    size_t count, capacity, bytes, copied;
    cJSON *children;   /* of the task's own result: what was sent, as Celery's result tuples */
    const char **ends; /* group ids of the chords that end here; owned */
    size_t end_count;
    /* Inside. */
    struct flow_part *parts;
    size_t part_count, part_next;
    cJSON *trees; /* array: what parts and bodies point into */
};

void flow_init(struct flow *f);
void flow_fini(struct flow *f);

/* result: the JSON of what it returned. */
bool flow_succeed(struct flow *f, const struct flow_env *env, const struct msg *m,
                  const char *result, struct err *e) MUST_CHECK;

struct flow_failure {
    const char *status;    /* "FAILURE" or "REVOKED" */
    const char *exception; /* JSON as in a result document */
    const char *traceback; /* NULL: none */
};
bool flow_fail(struct flow *f, const struct flow_env *env, const struct msg *m,
               const struct flow_failure *x, struct err *e) MUST_CHECK;

/* The next part that is to be counted, NULL: none is left. */
const struct flow_part *flow_part(const struct flow *f);

/* What Redis knows of the chord after the part was counted. */
struct flow_count {
    bool fired;           /* it has ended before */
    int64_t ready;        /* parts that have ended */
    int64_t size;         /* of the chord, -1: not known yet */
    const char *saved;    /* document of a complex group, NULL: none */
    const char **members; /* of all parts, in order; NULL unless complete */
    size_t member_count;
};
/* True when nothing hinders the task's end now; false when the size of the chord is not known:
 * ask again in a while. */
bool flow_is_counted(const struct flow_count *c);
bool flow_counted(struct flow *f, const struct flow_env *env, const struct msg *m,
                  const struct flow_count *c, struct err *e) MUST_CHECK;
/* The same when the chord is complete and cannot be ended with its results. */
bool flow_chord_failed(struct flow *f, const struct flow_env *env, const char *why,
                       struct err *e) MUST_CHECK;

#endif
