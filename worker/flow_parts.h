#ifndef WORKER_FLOW_PARTS_H
#define WORKER_FLOW_PARTS_H

#include "common/signature.h"
#include "worker/flow.h"

/*
 * The inside of flow.h. A signature is prepared first (flow_prepare.c): a copy of it in which every
 * task has an id and knows what it is part of; then sent (flow_send.c). flow_chord.c is about
 * the parts of a chord and its end, flow_fail.c about what will never run.
 */

/* What is built, and where it goes. */
struct flow_build {
    struct flow *flow;
    const struct flow_env *env;
    const char *guard; /* group id of the chord whose end sends this, "": none */
    struct err *e;
};

/* ---- items (flow.c) ---- */

/* Takes bytes (NULL: they are too long, or memory was out; nobody can tell). */
bool flow_add(struct flow_build *b, enum follow_kind kind, const char *key, char *bytes);
bool flow_no_memory(struct err *e);
bool flow_too_much(struct err *e);
/* A deep copy, the caller's; NULL when memory is out or too much has been copied already. */
cJSON *flow_copy(struct flow_build *b, const cJSON *v);

/* ---- preparing ---- */

/* What the last task of a signature is part of, and what goes with it. */
struct membership {
    const char *id;        /* for the last task, when it has none; NULL: a new one */
    const char *group;     /* NULL: none */
    int64_t index;         /* -1: none */
    const cJSON *chord;    /* body; NULL: none. Referred to, not copied */
    const cJSON *links;    /* callbacks of the last task; NULL: none */
    const cJSON *errbacks; /* of every task */
};
/*
 * A copy of sig (kept by the flow) that can be sent. rest: steps that come after it, the next one
 * last; NULL: none. of may be NULL: part of nothing. NULL when memory is out.
 */
cJSON *flow_prepare(struct flow_build *b, const cJSON *sig, const cJSON *rest,
                    const struct membership *of);

/* ---- result tuples (flow_tuple.c) ---- */

/* Of a prepared signature. Takes parent (NULL: none). */
cJSON *flow_result_tuple(const cJSON *sig, cJSON *parent);
/* [[id, parent], members]. Takes both. */
cJSON *flow_tuple(const char *id, cJSON *parent, cJSON *members);

/* ---- sending ---- */

struct flow_call {
    const cJSON *args;  /* put before the signature's own; NULL: none */
    const char *parent; /* ids */
    const char *root;
};
/* Sends a prepared signature. trail: result tuples of what was sent are added; NULL: none. */
bool flow_send(struct flow_build *b, const cJSON *sig, const struct flow_call *call, cJSON *trail);
/* Prepares and sends. */
bool flow_apply(struct flow_build *b, const cJSON *sig, const cJSON *rest,
                const struct flow_call *call, cJSON *trail);
/* Several at once: a group without a name. */
bool flow_apply_all(struct flow_build *b, const cJSON *sigs, const struct flow_call *call,
                    cJSON *trail);

/* ---- chords ---- */

struct flow_part_of {
    const char *group;
    const char *id;
    int64_t index; /* -1: none */
    const cJSON *body;
};
/* A part is to be counted; result: JSON. */
bool flow_add_part(struct flow_build *b, const struct flow_part_of *of, const char *state,
                   const char *result);

/* ---- failing ---- */

/* Everything in the signature will never run. */
bool flow_fail_signature(struct flow_build *b, const cJSON *sig, const struct flow_failure *x);
/* Errbacks are told the id of the task that failed. sigs: array, one signature or NULL. */
bool flow_call_errbacks(struct flow_build *b, const cJSON *sigs, const char *id, const char *root,
                        cJSON *trail);

#endif
