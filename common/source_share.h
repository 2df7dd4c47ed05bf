#ifndef COMMON_SOURCE_SHARE_H
#define COMMON_SOURCE_SHARE_H

#include "common/command.h"

/*
 * Equal lookups of several processes as one, in Redis. Whoever claims a lookup first carries it out
 * and publishes what came of it; the others look at it again until that is there. A claim whose
 * owner has died ends by itself. "No such character" is remembered longer, for everybody.
 */
#define SHARE_LEASE_MS  25000 /* more than a lookup takes at most */
#define SHARE_POLL_MS   200
#define SHARE_ANSWER_MS 2000 /* long enough for everybody who polls */
#define SHARE_GONE_MS   300000
#define SHARE_ID_SIZE   64

extern struct script SHARE_LUA_CLAIM, SHARE_LUA_PUBLISH;

/* Which lookup, and who. */
struct share {
    const char *region, *server, *name;
    const char *id; /* of this attempt, nobody else's */
};

enum share_claim {
    SHARE_MINE,   /* carry it out */
    SHARE_OTHERS, /* somebody does */
    SHARE_ANSWER, /* somebody has: out->answer */
    SHARE_GONE,   /* there was no such character a short time ago: out->answer is the reason */
};
/* Claims it, or renews the claim. */
void share_claim(struct command *c, const struct share *s);
/* What the reply to it says; SHARE_MINE when it is none of ours. answer: borrowed, may be NULL. */
enum share_claim share_read(const redisReply *r, const char **answer);

/*
 * Publishes an answer (a text) and gives the claim back. gone: it is a reason to be remembered, and
 * is told as SHARE_GONE. NULL: gives the claim back only. Does nothing when the claim was lost.
 */
void share_publish(struct command *c, const struct share *s, const char *answer, bool gone);

#endif
