#ifndef API_DETAIL_H
#define API_DETAIL_H

#include <libpq-fe.h>

#include "api/packed.h"
#include "common/payload.h"

/* What is known of one character beside its place. */
#define DETAIL_TEXT_MAX (4 * KIB) /* longest stats_payload that is kept as text */
#define DETAIL_NAME_MAX 256       /* bytes of a class or legion */
#define DETAIL_NO_TIME  INT64_MIN
#define DETAIL_UNKNOWN  (-1) /* power, item level */

enum detail_stats {
    DETAIL_NO_STATS, /* SQL NULL */
    DETAIL_PACKED,
    DETAIL_TEXT,
    DETAIL_LONG /* too long to be kept: PostgreSQL has it */
};

/* How the stats were found out. */
enum detail_mode { DETAIL_NO_MODE, DETAIL_SHEET, DETAIL_PROFILE };

struct detail {
    int64_t id;
    int64_t power;
    int64_t fetched_us;
    int32_t level;
    int32_t item_level;
    bool failed_last; /* the last attempt to fetch it failed */
    enum detail_mode mode;
    enum detail_stats kind;
    struct packed_stats packed;
    char *text; /* DETAIL_TEXT: owned, NUL-terminated */
    size_t text_len;
    char cls[DETAIL_NAME_MAX + 1];
    char legion[DETAIL_NAME_MAX + 1]; /* "": none, or not known */
};

enum detail_state { DETAIL_LIVE, DETAIL_STALE, DETAIL_UNAVAILABLE };
/*
 * Unavailable: the last attempt to fetch it failed. Stale: never fetched (DETAIL_NO_TIME), or
 * longer ago than stale_after_s.
 */
enum detail_state detail_state_of(int64_t fetched_us, bool failed_last, int64_t now_us,
                                  int64_t stale_after_s);

/*
 * The columns of detail_read(), of characters AS c. stats: an expression that gives the payload's
 * text, or NULL where it is too long.
 */
#define DETAIL_COLUMNS(stats)                                                                      \
    "c.id, c.server, c.name, c.class, c.level, c.power, CASE WHEN isfinite(c.last_fetched_at) "    \
    "THEN (extract(epoch FROM c.last_fetched_at) * 1000000)::bigint END, "                         \
    "coalesce(c.fetch_failed_at > coalesce(c.last_fetched_at, '-infinity'), false), c.legion, "    \
    "c.item_level, CASE WHEN c.stats_payload IS NULL OR c.stats_payload = '{}' THEN NULL "         \
    "WHEN c.stats_payload -> 'mode' = '\"profile\"' THEN 'profile' ELSE 'sheet' END, "             \
    "c.stats_payload IS NOT NULL, " stats
/*
 * For what is shown: a payload whose text would be long is reduced, as 4 MB of jsonb can print as
 * gigabytes. What the scoring reads of it always comes.
 */
#define DETAIL_STATS_SHOWN                                                                         \
    "CASE WHEN pg_column_size(c.stats_payload) <= 4096 THEN "                                      \
    "CASE WHEN length(c.stats_payload::text) <= 65536 THEN c.stats_payload::text "                 \
    "ELSE stats_for_scoring(c.stats_payload)::text END "                                           \
    "ELSE stats_for_scoring(c.stats_payload)::text END "
/* The first of them; what follows them is the caller's. */
enum { DETAIL_COL_ID, DETAIL_COL_SERVER, DETAIL_COL_NAME, DETAIL_COLUMN_COUNT = 13 };

/* The row of a result. False: it holds what it cannot hold, or memory is out. detail_fini() it. */
bool detail_read(const PGresult *r, int row, struct detail *out) MUST_CHECK;
void detail_fini(struct detail *d);
/* A copy, detail_fini() it. Without memory for its text it has no stats. */
void detail_copy(struct detail *out, const struct detail *d);
/* The stats as the batch reads them; PAYLOAD_EMPTY without any, also when they are too long. */
enum payload_kind detail_read_stats(const struct detail *d, double out[STAT_COUNT],
                                    struct payload_fault *fault);
/* The payload as JSON, null without one. */
void detail_add_stats(struct buf *b, const struct detail *d);

#endif
