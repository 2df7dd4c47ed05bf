#ifndef COMMON_ALERT_STORE_H
#define COMMON_ALERT_STORE_H

#include "common/json.h"
#include "common/rds.h"

/*
 * The document of alert.h in Redis: the hash aion2:alerts with `rev`, raised by every change, and
 * `doc`. Whoever changes it says which one was read; somebody else's change in between wins.
 */
struct alert_store {
    char rev[24];
    cJSON *doc;    /* owned; an empty object when there is none, or one that cannot be read */
    int64_t now_s; /* Redis' clock */
};

/* False and *e when Redis fails; the store is as before then. */
bool alert_load(redisContext *c, struct alert_store *s, struct err *e) MUST_CHECK;

enum alert_saved { ALERT_SAVED, ALERT_OUTRUN, ALERT_NOT_SAVED };
/* ALERT_OUTRUN: it has changed meanwhile, load it again. ALERT_NOT_SAVED: *e says why. */
enum alert_saved alert_save(redisContext *c, struct alert_store *s, struct err *e);
void alert_store_fini(struct alert_store *s);

#endif
