#ifndef COMMON_QUEUES_H
#define COMMON_QUEUES_H

#include "common/json.h"
#include "common/rds.h"

/*
 * Queues looked at from outside: how much waits, for how long, who holds what. Nothing here takes a
 * message; queues_purge removes them.
 */
#define QUEUES_MAX         64   /* looked at in one go */
#define QUEUES_WORKERS_MAX 1000 /* shown */
#define QUEUES_PEEK_MAX    1000

/* Names of queues, without duplicates. Owned texts. */
struct queue_names {
    char *names[QUEUES_MAX];
    int n;
};
/* False when there are QUEUES_MAX already, or the name is none. */
bool queue_names_add(struct queue_names *q, const char *name);
void queue_names_fini(struct queue_names *q);

/*
 * {"at": s, "queues": [{"name", "ready", "oldest_s"?, "lists": [{"priority", "length", "oldest_s"?,
 * "task"?}, ...]}], "delayed": {"count", "next_in_s"?}, "held": {"count", "workers": [{"boot",
 * "name"?, "alive", "held", "oldest_s"?}, ...]}, "quarantine": n, "dead": n}
 *
 * Looks at the queues named and at those that living workers take from. oldest_s: how long the
 * message that is next has waited, where it says when it was sent (ours do); for workers, how long
 * the longest of their tasks has been running. A key that is no list has the length null. NULL and
 * *e when Redis fails.
 */
cJSON *queues_list(redisContext *c, const struct queue_names *names, struct err *e) MUST_CHECK;

/*
 * The next `limit` messages of a queue in the order in which they will be taken: {"at", "name",
 * "ready", "messages": [{"priority", "bytes", "task"?, "id"?, "retries"?, "eta"?, "age_s"?,
 * "fault"?}, ...]}. What is longer than 64 KiB is not looked into.
 */
cJSON *queues_peek(redisContext *c, const char *name, int64_t limit, struct err *e) MUST_CHECK;

/*
 * The next `limit` messages that wait for their time, the first one due first: {"at", "count",
 * "messages": [{"due_in_s", "queue"?, "bytes", "task"?, "id"?, "retries"?, "fault"?}, ...]}.
 */
cJSON *queues_delayed(redisContext *c, int64_t limit, struct err *e) MUST_CHECK;

/* Empties the queue's four lists in one step, counted as `purged`. -1 and *e on failure. */
int64_t queues_purge(redisContext *c, const char *name, struct err *e) MUST_CHECK;
/* How many messages wait in it; -1 and *e on failure. */
int64_t queues_length(redisContext *c, const char *name, struct err *e) MUST_CHECK;

/*
 * When the message was sent, in unix s, as far as it says (a member of ours, or the slot of its
 * schedule); -1: not. Pure.
 */
double queues_sent_at(const cJSON *message);

#endif
