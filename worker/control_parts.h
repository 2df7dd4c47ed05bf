#ifndef WORKER_CONTROL_PARTS_H
#define WORKER_CONTROL_PARTS_H

#include "common/json.h"
#include "common/uuid.h"
#include "worker/control.h"

/*
 * The inside of remote control, shared by control.c (requests and answers), control_look.c (methods
 * that tell something), control_do.c (methods that change something) and control_view.c (how things
 * look in answers).
 */
struct control {
    struct control_config cf;
    int64_t started_ms; /* monotonic */
    int64_t complained_ms;
    int complaints; /* about wrong requests since then */
    int pending;    /* answers that are owed, or on their way */
    size_t pending_bytes;
    struct event *hello_timer;
    char hello_key[UUID_SIZE]; /* where the others answer our greeting */
};

/* An answer that is owed. Exactly one of the functions answer_* must be called, now or later; it is
 * gone then. */
struct answer;

void answer_value(struct answer *a, cJSON *value); /* takes it; NULL: memory was out */
void answer_null(struct answer *a);
void answer_ok(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void answer_error(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As Python words it when a keyword argument was not given. */
void answer_missing(struct answer *a, const char *method, const char *argument);
/* When the answer is out, the worker is asked to stop. */
void answer_then_shut_down(struct answer *a);
struct control *answer_control(const struct answer *a);

/* args is an object, never NULL. */
typedef void (*control_fn)(struct control *c, const cJSON *args, struct answer *a);
struct control_method {
    const char *name;
    const char *alias; /* the name in old versions, NULL: none */
    control_fn fn;
};
extern const struct control_method CONTROL_LOOK[], CONTROL_DO[];
extern const size_t CONTROL_LOOK_COUNT, CONTROL_DO_COUNT;

/*
 * An argument that is a text or an array of texts, as Python takes both: calls fn for each. False
 * when it is anything else.
 */
bool control_each_text(const cJSON *v, void (*fn)(void *ctx, const char *text), void *ctx);
/* True, or a number that is not 0. */
bool control_is_true(const cJSON *args, const char *name);

/* control_hello.c */
void control_hello_init(struct control *c);

/* ---- control_view.c ---- */

struct job;

/* A task that this worker holds. safe: arguments as text. */
cJSON *view_task(const struct control *c, const struct job *j, bool safe);
/* A message that waits for its time. member: of the delayed set; may be one that is not ours. */
cJSON *view_scheduled(const struct control *c, const char *member, size_t len, int64_t due_ms);
/* Revoked ids, the newest; stamps: as Celery's workers tell them to each other. */
cJSON *view_revoked(const struct control *c, bool stamps);
cJSON *view_queue(const char *name);
cJSON *view_stats(const struct control *c);
cJSON *view_conf(const struct control *c, bool with_defaults);
/* For people; the caller's (free()), NULL when memory is out. */
char *view_report(const struct control *c);

#endif
