#ifndef API_DETAILS_H
#define API_DETAILS_H

#include "api/detail.h"
#include "common/err.h"

/*
 * The details of every character, in memory, by id: 80 bytes each and a slot. Any thread reads and
 * writes. An entry is in doubt when its character may have changed since it was read;
 * PostgreSQL is asked then, and the entry answers only where PostgreSQL does not.
 */
#define DETAILS_NAMES_MAX (1024u * 1024)      /* distinct legions */
#define DETAILS_TEXT_MAX  (64u * 1024 * 1024) /* bytes of payloads kept as text */
#define DETAILS_MAX       (32u * 1024 * 1024) /* as the ranking */

struct details;
struct details *details_new(void);
void details_free(struct details *s); /* NULL is fine */

/* Of server and name; tells whether an entry still belongs to who is asked for. */
uint32_t details_key(const char *server, size_t server_len, const char *name, size_t name_len);

enum details_found { DETAILS_NONE, DETAILS_DOUBT, DETAILS_SURE };
/*
 * *out (detail_fini() it) unless DETAILS_NONE: not there, of another name by now, or with a payload
 * that only PostgreSQL has.
 */
enum details_found details_get(struct details *s, int64_t id, uint32_t key,
                               struct detail *out) MUST_CHECK;

/* d was read just now. Out of memory or over a maximum: the character is not kept. */
void details_put(struct details *s, const struct detail *d, uint32_t key);
void details_remove(struct details *s, int64_t id);
/* The same, unless it was put since the last doubt. */
void details_remove_doubted(struct details *s, int64_t id);
/* It changed and was not read yet. */
void details_doubt(struct details *s, int64_t id);
/* The same of everybody. */
void details_doubt_all(struct details *s);
/* The number of the last such doubt. */
uint32_t details_epoch(struct details *s);
/* Everybody was read since that doubt: who was not is gone. */
void details_sweep(struct details *s, uint32_t since);
uint32_t details_count(struct details *s);

/* Where a character was at the beginning of a day of the history. */
#define DETAILS_DAY_SIZE 11 /* "2026-11-23" */
struct details_place {
    char day[DETAILS_DAY_SIZE];
    uint32_t rank, server_rank;
};
/* Places are of this day from now on; those of another one are forgotten. */
void details_begin_day(struct details *s, const char *day);
/* Of who is there; others are passed over. */
void details_put_place(struct details *s, int64_t id, uint32_t rank, uint32_t server_rank);
/* False: not known. */
bool details_get_place(struct details *s, int64_t id, struct details_place *out) MUST_CHECK;

/* ---- for storing them (details_file.h) ---- */

/* Somebody as a whole. */
struct details_item {
    struct detail d;
    uint32_t key;
    bool has_place; /* of details_day() */
    uint32_t rank, server_rank;
};
typedef void (*details_fn)(void *ctx, const struct details_item *it);
/*
 * Tells everybody, in pieces: some from *at on, which is 0 at first. False after the last piece. fn
 * holds up writers; between two pieces somebody may come or go.
 */
bool details_each(struct details *s, uint32_t *at, details_fn fn, void *ctx);
/* Back from a file: in doubt, and not where somebody of that id is there. */
void details_restore(struct details *s, const struct details_item *it);
/* The day that places are of; "": none. */
void details_day(struct details *s, char out[DETAILS_DAY_SIZE]);
/* Grows with every change worth storing. */
uint64_t details_changes(struct details *s);

/* Grows with every change of somebody's legion. */
uint64_t details_legion_changes(struct details *s);
/*
 * The number of the character's legion (equal numbers, equal legions), 0 without one or when it is
 * not known. For many characters between details_lock() and details_unlock(), which hold up the
 * writer.
 */
void details_lock(struct details *s);
void details_unlock(struct details *s);
uint32_t details_legion(const struct details *s, int64_t id);
const char *details_legion_name(const struct details *s, uint32_t legion);

#endif
