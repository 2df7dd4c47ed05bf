#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/base.h"

/*
 * Why an operation failed, for the retry decision and for the log. Functions that can fail take a
 * struct err * as their last argument, return false (or NULL, or -1) and fill it in.
 */
enum err_class {
    ERR_NONE = 0,
    ERR_RETRYABLE, /* the same call may succeed later: connection lost, lock timeout, ... */
    ERR_PERMANENT, /* it never will: bad input, a broken constraint, ... */
    ERR_CANCELLED, /* told to stop */
    ERR_LOST,      /* the process that ran it died */
    ERR_CLASS_COUNT
};

struct err {
    enum err_class cls;
    char type[48];  /* short name for programs: "OperationalError", "ValueError", ... */
    char text[400]; /* one line of UTF-8 for people; never holds a secret */
    int64_t wait_s; /* RETRYABLE: it makes no sense earlier; 0: it does not say */
};

/*
 * Fills in *e (e may be NULL), with no wait, and returns false, so that "return err_set(...)" reads
 * well.
 */
bool err_set(struct err *e, enum err_class cls, const char *type, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Puts "what: " before the text. Returns false. */
bool err_prefix(struct err *e, const char *what);

/* "retryable", "permanent", ... */
const char *err_class_name(enum err_class cls);

#endif
