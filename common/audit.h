#ifndef COMMON_AUDIT_H
#define COMMON_AUDIT_H

#include "common/json.h"
#include "common/rds.h"

/*
 * Conservation: every message that came in went out or is still there. The counters, which change
 * in the very steps that move messages, are compared with what is in the keys, all of it read in
 * one atomic step.
 */
#define AUDIT_BOOTS_MAX 10000

/*
 * The audit as a document:
 *   {"at": s, "ok": bool,
 *    "identities": [{"name", "in", "out", "there", "difference", "terms": {...}}, ...],
 *    "held": {"total", "stranded", "mirrored", "mirror_missing", "unindexed"},
 *    "unacked": {"entries", "ours", "others"}, "foreign": {"held", "delayed", "dead",
 *    "quarantine"}, "redis_lost": n, "workers": [{"boot", "held", "alive"}, ...]}
 * thorough: looks through all keys for what is held under boot ids that nobody knows; otherwise
 * only when something does not add up. difference is null while a database is older than the
 * counter: nothing can be said then. ok: every difference is 0, and nothing is held under a boot id
 * that no worker is registered with. NULL and *e when Redis fails.
 */
cJSON *audit_run(redisContext *c, bool thorough, struct err *e) MUST_CHECK;

/* ---- the parts of it, for tests ---- */

/* What is there, counted. */
struct audit_figures {
    int64_t held, delayed, dead, quarantine; /* those of ours, without the foreign ones */
    int64_t foreign_held, foreign_delayed, foreign_dead, foreign_quarantine;
};
/* The identities of counters (name -> number) and figures: an array as above. */
cJSON *audit_identities(const cJSON *counters, const struct audit_figures *f);
/* True when no difference is other than 0 or null. */
bool audit_balances(const cJSON *identities);

#endif
