#ifndef COMMON_RDS_H
#define COMMON_RDS_H

#include <hiredis/hiredis.h>

#include "common/err.h"

/*
 * REDIS_URL:
 *   redis://[user[:password]@]host[:port][/db]
 *   redis+socket:///path[?db=n], also unix:///path
 *   redis+sentinel://[user:password@]host[:port],.../master[/db]
 *       [?sentinel_username=u&sentinel_password=p]
 * Everything may be percent-encoded. A user alone before "@" is taken as Redis clients do:
 * redis://:password@host.
 */
#define RDS_SENTINELS_MAX 8
#define RDS_NAME_SIZE     256

/* A host by name or by number. */
struct rds_place {
    char host[RDS_NAME_SIZE];
    int port;
};

struct rds_addr {
    char host[RDS_NAME_SIZE]; /* empty when path or sentinels are used */
    int port;
    char path[108];
    char user[128];
    char password[256];
    int db;
    char master[128]; /* its name among the Sentinels; "" without them */
    int sentinel_count;
    struct rds_place sentinels[RDS_SENTINELS_MAX];
    char sentinel_user[128];
    char sentinel_password[256];
};
bool rds_parse_url(const char *url, struct rds_addr *a, struct err *e) MUST_CHECK;

/* For logs and people, without secrets: "host:6379/0", "/run/redis.sock", "main of h1:26379,h2:1".
 * Returns out. */
#define RDS_TEXT_SIZE 512
const char *rds_addr_text(const struct rds_addr *a, char out[RDS_TEXT_SIZE]);

/*
 * Connects, authenticates, selects. timeout_ms holds for connecting and for every command. With
 * Sentinels it goes to the master they tell, and not to one that does not call itself master.
 */
redisContext *rds_connect(const struct rds_addr *a, int timeout_ms, struct err *e) MUST_CHECK;

/* ---- where it is ---- */

#define RDS_SENTINEL_MS 500 /* for connecting to one Sentinel, and for each of its answers */

/*
 * Asks the Sentinels in turn where the master is; first the one that answered last. Blocks, also
 * for looking up their names. False and *e (retryable) when none of them knows.
 */
bool rds_find_master(const struct rds_addr *a, struct rds_place *p, struct err *e) MUST_CHECK;
/* What they said was wrong: the next look begins with another one. */
void rds_distrust_sentinel(void);
/* The i-th Sentinel as something to connect to. */
void rds_sentinel_addr(const struct rds_addr *a, int i, struct rds_addr *out);
/* A connection to it, authenticated. */
redisContext *rds_connect_sentinel(const struct rds_addr *a, int i, struct err *e) MUST_CHECK;

/* Where to connect to, as numbers: asks Sentinels, looks up the name. Blocks. Not for sockets. */
bool rds_locate(const struct rds_addr *a, struct rds_place *p, struct err *e) MUST_CHECK;
/* The same when nothing has to be asked; false when something has. */
bool rds_locate_at_once(const struct rds_addr *a, struct rds_place *p);

/*
 * Whether the Sentinels tell another master than the one that is connected; it may live on for a
 * while, and what is written there is lost. Blocks. False without Sentinels, or without an answer.
 */
bool rds_has_moved(const struct rds_addr *a, const redisContext *c);

/*
 * For a new connection's socket: not inherited by other programs; a peer that has vanished shows
 * within RDS_SILENCE_MS (keepalive probes, and unacknowledged data).
 */
#define RDS_SILENCE_MS 8000
void rds_tune_socket(int fd);

/* ---- commands ---- */

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
/* Whether a reply to ROLE says "master". */
bool rds_read_is_master(const redisReply *r) MUST_CHECK;
/* The class of an error reply, by a table of how it begins. */
enum err_class rds_error_class(const char *text);
/* The same as *e. */
void rds_error_reply(const char *text, struct err *e);

#endif
