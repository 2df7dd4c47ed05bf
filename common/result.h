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
    const char *text; /* its only argument */
    int64_t number;   /* the argument when text is NULL */
};

char *result_success(const struct result_who *who, const cJSON *value, int64_t now_us);
/* status: "FAILURE" or "REVOKED". traceback may be NULL. */
char *result_failure(const struct result_who *who, const char *status,
                     const struct result_exception *x, const char *traceback, int64_t now_us);
/* The attempt failed and another follows; plan tells people when. */
char *result_retry(const struct result_who *who, const struct result_exception *x,
                   const char *plan);

/* A dead letter without "at" (the script adds it by Redis' clock). */
struct result_dead {
    const char *id;
    const char *task;
    const char *error;
    int retries;
    const char *bytes; /* the message as it was */
    size_t len;
};
char *result_dead_letter(const struct result_dead *d);

#endif
