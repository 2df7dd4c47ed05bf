#ifndef API_QUOTA_H
#define API_QUOTA_H

#include "common/command.h"
#include "common/net.h"

/*
 * How often a client may search: so many times in any 60 seconds, counted in Redis for the whole
 * deployment or, while Redis is away, in a table of this process by the same rule. What is refused
 * does not count.
 */
#define QUOTA_WINDOW_MS 60000
#define QUOTA_LIMIT_MAX 1000
#define QUOTA_CLIENTS   4096        /* in the table, fewer with a high limit: */
#define QUOTA_TIMES_MAX (256 * KIB) /* searches that it remembers in all */

struct quota_answer {
    bool allowed;
    int64_t limit;
    int64_t remaining; /* further ones that would be allowed at once */
    int64_t reset_ms;  /* until one more is; when none remains, that is when to come back */
};

/* ---- in Redis ---- */

extern struct script *const QUOTA_SCRIPTS[];
extern const size_t QUOTA_SCRIPT_COUNT;

/* Counts one, if it is allowed. client: net_client_text(). */
void quota_ask(struct command *c, const char *client, int64_t limit);
/* Of the reply to quota_ask; false: it is none of ours. */
bool quota_read(const redisReply *r, int64_t limit, struct quota_answer *out) MUST_CHECK;

/* ---- of this process ---- */

struct quota_table;
struct quota_table *quota_table_new(int64_t limit);
void quota_table_free(struct quota_table *t); /* NULL is fine */
/* Counts one, if it is allowed. When the table is full, who searched least recently is forgotten.
 */
struct quota_answer quota_take(struct quota_table *t, const char *client, int64_t now_ms);
int quota_table_clients(const struct quota_table *t);

#endif
