#ifndef API_DETAILS_FEED_H
#define API_DETAILS_FEED_H

#include <libpq-fe.h>

#include "api/details.h"

/*
 * Keeps the details store as PostgreSQL is: reads everybody in slices, hears on its channel who
 * changed and reads those again. For the loader's thread; every call is short, so that a new
 * ranking never waits for it.
 */
#define DETAILS_CHANNEL "aion2_characters"

struct details_feed;
struct details_feed *details_feed_new(struct details *store); /* borrowed */
void details_feed_free(struct details_feed *f);               /* NULL is fine */

/* A new connection: hears from now on, and reads everybody again. */
void details_feed_connect(struct details_feed *f, PGconn *pg);
/* The connection is lost: changes are missed, everybody is in doubt. */
void details_feed_lost(struct details_feed *f);
/* Ids with commas between them, or anything else: many, or all. */
void details_feed_notify(struct details_feed *f, const char *payload);
/* Everybody was read at least once. */
bool details_feed_is_complete(const struct details_feed *f);
/* One piece of work, if there is any. Returns after how many milliseconds there is more. */
int details_feed_step(struct details_feed *f, PGconn *pg);

#endif
