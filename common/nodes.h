#ifndef COMMON_NODES_H
#define COMMON_NODES_H

#include <signal.h>

#include "common/pidbox.h"
#include "common/rds.h"

/*
 * Asking the workers (ours and Celery's) something over pidbox, and collecting their answers.
 * Blocking.
 */
#define NODES_ANSWERS_MAX 10000
#define NODES_NAME_SIZE   512 /* of a node, with the NUL */

struct nodes_question {
    int db; /* of REDIS_URL: channels are named after it */
    const char *method;
    const char *arguments; /* JSON object as text */
    const char *node;      /* NULL: everybody */
    int64_t timeout_ms;
    const volatile sig_atomic_t *stop; /* not 0: do not wait any longer; may be NULL */
};

struct nodes_answers {
    cJSON *by_node;    /* {node: answer}; a second answer of the same name is "name#2" */
    int64_t listeners; /* connections that heard the question */
    bool stopped;
};

/*
 * Waits until everybody who heard the question has answered (with a node named: that one), at most
 * timeout_ms. The reply list and its binding are removed again. False and *e when Redis fails;
 * nodes_answers_fini in any case.
 */
bool nodes_ask(redisContext *c, const struct nodes_question *q, struct nodes_answers *a,
               struct err *e) MUST_CHECK;
void nodes_answers_fini(struct nodes_answers *a);

/* Tells without waiting for answers. */
bool nodes_tell(redisContext *c, const struct nodes_question *q, struct err *e) MUST_CHECK;

#endif
