#ifndef API_PACKED_H
#define API_PACKED_H

#include "common/buf.h"
#include "common/stats.h"

#define PACKED_VALUE_BYTES 3
#define PACKED_VALUE_MAX   0xffffffu

/*
 * A stats_payload as most are, in a few bytes: exactly the eight known keys with plain whole
 * numbers up to PACKED_VALUE_MAX, and perhaps "mode". What is packed prints as PostgreSQL prints
 * the jsonb.
 */
enum packed_mode { PACKED_NO_MODE, PACKED_SHEET, PACKED_PROFILE };

struct packed_stats {
    uint32_t value[STAT_COUNT];
    enum packed_mode mode;
};

/* text as PostgreSQL prints it. False: not of that kind. */
bool packed_parse(const char *text, size_t len, struct packed_stats *out) MUST_CHECK;
/* Gives the bytes again that were parsed. */
void packed_print(struct buf *b, const struct packed_stats *p);

#endif
