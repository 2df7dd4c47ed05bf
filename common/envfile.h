#ifndef COMMON_ENVFILE_H
#define COMMON_ENVFILE_H

#include "common/err.h"

/*
 * A file with settings, a line NAME=value each, as systemd's EnvironmentFile= takes it:
 *   # a comment (or ;)
 *   TASK_QUEUE=celery
 *   WORKER_NAME="aion2 at \"home\""     quoted: \ before " \ $ ` stands for the character
 *   DATABASE_URL='host=/run/pg'         quoted: as it is
 * Spaces around a value that is not quoted do not count. Lines are not joined.
 */
#define ENVFILE_BYTES_MAX (64 * KIB)

/* Takes one setting; strings are borrowed. False stops with *e. */
typedef bool (*envfile_take_fn)(void *ctx, const char *name, const char *value, struct err *e);

/* Calls take for each line in order. On a line that cannot be read: false, *e names its number. */
bool envfile_parse(const char *text, size_t len, envfile_take_fn take, void *ctx,
                   struct err *e) MUST_CHECK;
/* Puts what the file says into the environment, over what is there; all of it or nothing. */
bool envfile_load(const char *path, struct err *e) MUST_CHECK;

#endif
