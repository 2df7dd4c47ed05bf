#ifndef COMMON_SOURCE_SITE_H
#define COMMON_SOURCE_SITE_H

#include "common/buf.h"
#include "common/plaync.h"
#include "common/source.h"

/*
 * Addresses of the official site, which differ between its services; the settings may name others.
 * Pure. Everything that goes into a query is percent-encoded here, once.
 */
struct source_site {
    const char *search_url;
    const char *base_url;
    const char *lang;
    const char *shard; /* of the global service, NULL elsewhere */
    bool needs_race;
};
void source_site_init(struct source_site *site, const struct source_settings *s);

#define SOURCE_SEARCH_SIZE 100 /* rows of a page */
/* False when the address is too long. */
bool source_site_search(const struct source_site *site, struct buf *url, const char *name,
                        int server_id, int page);
bool source_site_info(const struct source_site *site, struct buf *url,
                      const struct plaync_key *who);
bool source_site_equipment(const struct source_site *site, struct buf *url,
                           const struct plaync_key *who);
bool source_site_item(const struct source_site *site, struct buf *url, const struct plaync_key *who,
                      const struct plaync_slot *slot);
bool source_site_board(const struct source_site *site, struct buf *url,
                       const struct plaync_key *who, int board_id);

#endif
