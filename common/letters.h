#ifndef COMMON_LETTERS_H
#define COMMON_LETTERS_H

#include "common/buf.h"
#include "common/json.h"
#include "common/rds.h"

/*
 * The two lists of messages that were put aside: dead letters (tasks that failed for good) and
 * the quarantine (what nobody could read). Looked at in slices, oldest first, so that new ones at
 * the other end disturb nothing; each change is one atomic step with its counter.
 */
struct letters {
    const char *key;
    const char *what;            /* "dead letter" */
    const char *reason;          /* member that says why it is here */
    const char *counter_back;    /* of messages put back */
    const char *counter_dropped; /* of messages dropped */
    bool fresh;                  /* put back as a task that was never tried */
};
extern const struct letters LETTERS_DEAD, LETTERS_QUARANTINE;

#define LETTER_HANDLE_SIZE 17 /* 16 hex digits */
#define LETTER_HANDLE_MIN  6  /* digits that must be given of one */

/* One entry. Everything is borrowed from the reply and from doc. */
struct letter {
    const char *entry; /* as it stands in Redis */
    size_t len;
    const cJSON *doc;                /* NULL: not JSON; somebody else's */
    char handle[LETTER_HANDLE_SIZE]; /* made from the bytes: names an entry that has no id */
    int64_t at_s;                    /* -1: not said, as the texts below are NULL then */
    const char *id;
    const char *task;
    const char *reason;
    const char *list;      /* where the message came from */
    const char *oversized; /* the key that has the bytes */
    int64_t bytes;         /* of the message */
};

/* Which entries are meant: all conditions that are given. Pure. */
struct letter_filter {
    const char *const *names; /* task ids, or handles (the first digits are enough) */
    int name_count;
    const char *task;   /* shell pattern; NULL: any */
    const char *reason; /* part of the text, whatever the case; NULL: any */
    int64_t older_s;    /* 0: any age */
    /* Of a list only: entries older than this one. "": from the newest on. */
    char before[LETTER_HANDLE_SIZE];
    int64_t before_s;
};
bool letter_matches(const struct letter_filter *f, const struct letter *l, int64_t now_s);

/* Reads an entry; *doc is what l borrows from: cJSON_Delete when done with l. Pure. */
void letter_read(struct letter *l, const struct letters *which, const char *entry, size_t len,
                 cJSON **doc);
/* The message's bytes, decoded. False: they are not in the entry (oversized), or damaged. */
bool letter_bytes(const struct letter *l, struct buf *out) MUST_CHECK;
/* {"handle", "at", "id", "task", "reason", "queue", "bytes", ...} as far as they are known. */
cJSON *letter_json(const struct letter *l);

/*
 * Calls fn for every entry, oldest first; fn returns how it goes on. False and *e when Redis fails.
 */
enum letter_next {
    LETTER_NEXT, /* the entry is still there */
    LETTER_GONE, /* it was removed */
    LETTER_STOP,
};
typedef enum letter_next (*letter_fn)(void *ctx, const struct letter *l);
bool letters_each(redisContext *c, const struct letters *which, letter_fn fn, void *ctx,
                  struct err *e) MUST_CHECK;

/*
 * The newest `limit` entries that match, newest first: {"at", "total", "matched", "letters": [...],
 * "next"?}. next: there are older ones; given as f->before it continues after the last of these,
 * whatever came or went meanwhile. NULL and *e on failure.
 */
cJSON *letters_list(redisContext *c, const struct letters *which, const struct letter_filter *f,
                    int64_t limit, struct err *e) MUST_CHECK;

/*
 * The newest entries, at most LETTERS_NEWEST_MAX, whatever they hold: an array as "letters" above.
 * Their messages stay in Redis, so it costs little. NULL and *e on failure.
 */
#define LETTERS_NEWEST_MAX 50
cJSON *letters_newest(redisContext *c, const struct letters *which, int n,
                      struct err *e) MUST_CHECK;

/* Where a list goes on. False: the text is no "next" of a list. */
bool letters_read_before(const char *text, struct letter_filter *f) MUST_CHECK;

/*
 * The oldest entry that matches, in full: as letter_json, with all that the entry says beside, and
 * its message: "message" (text), or "b64" when that is none, at most `max` bytes ("truncated").
 * NULL with e->cls ERR_NONE: there is none; NULL and *e when Redis fails.
 */
cJSON *letters_one(redisContext *c, const struct letters *which, const struct letter_filter *f,
                   int64_t max, struct err *e) MUST_CHECK;

/* Puts the message back into its queue. What became of it: */
enum letter_end {
    LETTER_DONE,
    LETTER_VANISHED, /* somebody else was faster */
    LETTER_REFUSED,  /* *e says why: it cannot be put back */
    LETTER_FAILED,   /* *e: Redis failed */
};
/*
 * queue: where to, NULL: where it came from; fallback: when that is not known. Dead letters go
 * back with retries 0, without a time, and without an expiry that has passed; what is known of
 * children that died of it, and its stored FAILURE, are forgotten.
 */
struct letter_target {
    const char *queue;
    const char *fallback;
    int64_t now_us;
};
enum letter_end letter_put_back(redisContext *c, const struct letters *which,
                                const struct letter *l, const struct letter_target *to,
                                struct err *e);
/* Removes it, with the key of an oversized one. */
enum letter_end letter_drop(redisContext *c, const struct letters *which, const struct letter *l,
                            struct err *e);

/* Changes everything that matches, at most what was there when it began. */
struct letters_change {
    bool drop; /* else put back */
    bool dry_run;
    struct letter_target to;
};
struct letters_counts {
    int64_t total;   /* entries looked at */
    int64_t matched; /* of them */
    int64_t changed; /* with dry_run: would be */
    int64_t vanished;
    int64_t refused;
    struct err why; /* of the last refusal */
};
/* {"dry_run", "total", "matched", "changed", "vanished", "refused", "error"?} */
cJSON *letters_counts_json(const struct letters_counts *n, bool dry_run);
bool letters_change(redisContext *c, const struct letters *which, const struct letter_filter *f,
                    const struct letters_change *how, struct letters_counts *n,
                    struct err *e) MUST_CHECK;

#endif
