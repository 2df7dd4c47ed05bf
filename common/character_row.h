#ifndef COMMON_CHARACTER_ROW_H
#define COMMON_CHARACTER_ROW_H

#include "common/err.h"
#include "common/source_person.h"

/*
 * What a source tells of a character, as a row of `characters`: SQL and its parameters, all of them
 * text, for a blocking connection and for an asynchronous one. `columns` is what the caller wants
 * to know of the row, which is called c.
 *
 * A fetch that finds the same data leaves updated_at alone (a trigger of the table).
 */
#define CHARACTER_ROW_PARAMS     11
#define CHARACTER_STATS_MAX      (64 * KIB)
#define CHARACTER_RAW_MAX        (4 * MIB)
#define CHARACTER_REASON_SIZE    601
#define CHARACTER_LEVEL_MAX      100000
#define CHARACTER_ITEM_LEVEL_MAX INT32_MAX

/*
 * Stores a success: one row, always. What the source does not know this time (power, item level,
 * class, its id) stays as it was. A profile replaces no sheet: another scale, which would take the
 * character off the board until the sheet comes.
 */
#define CHARACTER_ROW_UPSERT(columns)                                                              \
    "INSERT INTO characters AS c (server, name, class, level, power, item_level, legion, "         \
    "source_id, stats_payload, raw_payload, last_fetched_at) "                                     \
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp()) "                         \
    "ON CONFLICT (server, name) DO UPDATE SET "                                                    \
    "class = coalesce(nullif(excluded.class, ''), c.class), level = excluded.level, "              \
    "power = coalesce(excluded.power, c.power), "                                                  \
    "item_level = coalesce(excluded.item_level, c.item_level), legion = excluded.legion, "         \
    "source_id = coalesce(excluded.source_id, c.source_id), "                                      \
    "stats_payload = CASE WHEN " CHARACTER_ROW_KEEPS_SHEET                                         \
    " THEN c.stats_payload ELSE excluded.stats_payload END, "                                      \
    "raw_payload = CASE WHEN " CHARACTER_ROW_KEEPS_SHEET                                           \
    " THEN c.raw_payload ELSE coalesce(excluded.raw_payload, c.raw_payload) END, "                 \
    "last_fetched_at = excluded.last_fetched_at, fetch_failed_at = NULL, fetch_error = NULL "      \
    "RETURNING " columns

/* $11: what comes is a profile. Stats without a mode are of old, or imported: a sheet. */
#define CHARACTER_ROW_KEEPS_SHEET                                                                  \
    "$11::boolean AND coalesce(c.stats_payload, '{}') <> '{}' "                                    \
    "AND c.stats_payload -> 'mode' IS DISTINCT FROM '\"profile\"'"

/*
 * Notes that an attempt failed; what is stored stays. No row: there is none, and none is made.
 * $1 server, $2 name, $3 reason (character_row_reason()).
 */
#define CHARACTER_ROW_FAILED_PARAMS 3
#define CHARACTER_ROW_MARK_FAILED(columns)                                                         \
    "UPDATE characters AS c SET fetch_failed_at = clock_timestamp(), fetch_error = $3 "            \
    "WHERE c.server = $1 AND c.name = $2 RETURNING " columns

/* $1 server, $2 name. */
#define CHARACTER_ROW_SELECT_PARAMS 2
#define CHARACTER_ROW_SELECT(columns)                                                              \
    "SELECT " columns " FROM characters AS c WHERE c.server = $1 AND c.name = $2"

/* values are those of CHARACTER_ROW_UPSERT; NULL is SQL NULL. */
struct character_row {
    const char *values[CHARACTER_ROW_PARAMS];
    char level[24], power[24], item_level[24];
};

/*
 * Fills in the parameters, which borrow from *p and *row: neither may move. False and *e
 * (permanent): it holds what the table does not take, and the row must stay as it is.
 */
bool character_row_fill(struct character_row *row, const struct source_person *p,
                        struct err *e) MUST_CHECK;

/* A reason as it is stored: valid UTF-8 on one line, clipped at a whole character. */
const char *character_row_reason(const char *text, char out[CHARACTER_REASON_SIZE]);

#endif
