#ifndef COMMON_PAYLOAD_H
#define COMMON_PAYLOAD_H

#include "common/base.h"
#include "common/stats.h"

/*
 * Reads the eight stats out of one stats_payload, in a single pass, without allocating. Any bytes
 * may come in; text need not end with NUL.
 *
 * A payload whose "mode" is "profile" is on another scale and is no stats at all, whatever else is
 * in it.
 *
 * Which numbers are negative, above 1e12 or whole is decided on the decimal digits, exactly; the
 * value is then the nearest double. Of a key that comes twice the last one counts, as in jsonb.
 */
/* Nesting that is followed; a payload that PostgreSQL passes on in full is never so deep. */
#define PAYLOAD_DEPTH_MAX 1024

enum payload_kind {
    PAYLOAD_EMPTY,   /* {}: no stats yet */
    PAYLOAD_PROFILE, /* seen, not read in full: never scored */
    PAYLOAD_STATS,   /* *stats is filled in; a missing key is 0 */
    PAYLOAD_BAD      /* *fault is filled in */
};

struct payload_stats {
    double value[STAT_COUNT];
    unsigned fractional; /* bit 1 << stat: the number is not whole */
};

struct payload_fault {
    const char *stat; /* key, "" when the payload as a whole is at fault; static text */
    char reason[96];  /* valid UTF-8, what was found */
};

/* With several faulty stats the first in the order of enum stat_key is told. */
enum payload_kind payload_parse(const char *text, size_t len, struct payload_stats *stats,
                                struct payload_fault *fault);

#endif
