#ifndef COMMON_SCRIPT_H
#define COMMON_SCRIPT_H

#include "common/rds.h"

/*
 * A Lua script as Redis runs it: one atomic step. The text is static; sha1 is filled in by the
 * first SCRIPT LOAD (it is the same on every server), and read and written by script_sha1_* only,
 * as several threads may have the same script.
 */
#define SCRIPT_SHA1_SIZE 41 /* hex digits and the NUL */
struct script {
    const char *name; /* for logs */
    const char *lua;
    char sha1[SCRIPT_SHA1_SIZE];
};

/*
 * Runs it on a blocking connection by EVALSHA, loading it when the server does not know it.
 * args: the keys first, then the arguments, n in all. NULL and *e on failure; freeReplyObject.
 * Threads with connections of their own may run the same script at the same time.
 */
redisReply *script_run(redisContext *c, struct script *s, int keys, int n, const char *const *args,
                       const size_t *lens, struct err *e) MUST_CHECK;

/* "" before the first SCRIPT LOAD. */
void script_sha1_get(const struct script *s, char out[SCRIPT_SHA1_SIZE]);
void script_sha1_set(struct script *s, const char sha1[SCRIPT_SHA1_SIZE]);
/* Makes the server know it, for callers that send EVALSHA themselves. */
bool script_load(redisContext *c, struct script *s, struct err *e) MUST_CHECK;

#endif
