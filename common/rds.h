#ifndef COMMON_RDS_H
#define COMMON_RDS_H

#include <hiredis/hiredis.h>

#include "common/err.h"

/*
 * REDIS_URL: redis://[user[:password]@]host[:port][/db] or redis+socket:///path[?db=n]; also
 * unix:///path. A user alone before "@" is taken as Redis clients do: redis://:password@host.
 */
struct rds_addr {
    char host[256]; /* empty when path is used */
    int port;
    char path[108];
    char user[128];
    char password[256];
    int db;
};
bool rds_parse_url(const char *url, struct rds_addr *a, struct err *e) MUST_CHECK;

/* Connects, authenticates, selects. timeout_ms holds for connecting and for every command. */
redisContext *rds_connect(const struct rds_addr *a, int timeout_ms, struct err *e) MUST_CHECK;

/*
 * One command, as redisCommandArgv with lengths. NULL and *e (retryable for connection errors,
 * LOADING, READONLY, MASTERDOWN, TRYAGAIN, BUSY, OOM; permanent otherwise) on any error, also on an
 * error reply. The caller frees with freeReplyObject.
 */
redisReply *rds_command_argv(redisContext *c, int argc, const char **argv, const size_t *lens,
                             struct err *e) MUST_CHECK;
/* The same with hiredis' format (%s, %b). */
redisReply *rds_command(redisContext *c, struct err *e, const char *fmt, ...) MUST_CHECK;
/* Redis' clock, us since the epoch. */
bool rds_time_us(redisContext *c, int64_t *now_us, struct err *e) MUST_CHECK;
/* The same from a reply to TIME; false when it is not one. */
bool rds_read_time(const redisReply *r, int64_t *now_us) MUST_CHECK;
/* Classifies an error reply's text. */
void rds_error_reply(const char *text, struct err *e);

#endif
