#ifndef WORKER_RATE_H
#define WORKER_RATE_H

#include "common/err.h"

/*
 * A rate limit as Celery writes it: "10/s", "10/m", "10/h", a number alone counts as one a second;
 * "", "0" mean none. False and *e, worded as Python does, when it is none of these. Pure.
 */
bool rate_parse(const char *text, double *per_s, struct err *e) MUST_CHECK;

#endif
