#ifndef COMMON_RESULT_H
#define COMMON_RESULT_H

#include <cjson/cJSON.h>

#include "common/base.h"

/*
 * Result documents as a Celery client reads them from celery-task-meta-<id>. Pure. Every text is
 * the caller's (free()), NULL when memory is out.
 */
struct result_who {
    const char *id;
    const char *group;  /* "" or NULL: none */
    const char *parent; /* the same */
};

/* An exception that the client raises. */
struct result_exception {
    const char *type; /* a class of result.c's table; others become RuntimeError("type: text") */
    const char *text; /* its only argument; "": it has none */
    int64_t number;   /* the argument when text is NULL */
};
/* {"exc_type", "exc_message", "exc_module"} */
char *result_exception_json(const struct result_exception *x);
/* As Python shows it: ValueError('boom', 7). exception: such an object. Always UTF-8, clipped. */
#define RESULT_REPR_SIZE 512
const char *result_exception_repr(const cJSON *exception, char out[RESULT_REPR_SIZE]);

/* A whole document. Members in Celery's order; task_id and result are always there. */
struct result_doc {
    const char *status;
    const char *result;    /* JSON; NULL: memory was out, so there is no document */
    const char *traceback; /* NULL: null */
    const cJSON *children; /* array of result tuples; NULL: none */
    const char *retry;     /* JSON: a further member; NULL: none */
    int64_t done_us;       /* -1: not done */
};
char *result_document(const struct result_who *who, const struct result_doc *d);

char *result_success(const struct result_who *who, const cJSON *value, int64_t now_us);
/* status: "FAILURE" or "REVOKED". traceback may be NULL. */
char *result_failure(const struct result_who *who, const char *status,
                     const struct result_exception *x, const char *traceback, int64_t now_us);
/* The attempt failed and another follows; plan tells people when, plan_json programs ("retry"). */
char *result_retry(const struct result_who *who, const struct result_exception *x, const char *plan,
                   const char *plan_json);
/* A child has begun. */
char *result_started(const struct result_who *who, int pid, const char *worker);

/* A dead letter without "at" (the script adds it by Redis' clock). */
struct result_dead {
    const char *id;
    const char *task;
    const char *error;
    int retries;
    int signal;        /* that ended its process, 0: none */
    const char *log;   /* what its process said last; NULL or "": nothing known */
    const char *bytes; /* the message as it was */
    size_t len;
};
char *result_dead_letter(const struct result_dead *d);

#endif
