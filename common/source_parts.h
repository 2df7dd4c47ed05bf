#ifndef COMMON_SOURCE_PARTS_H
#define COMMON_SOURCE_PARTS_H

#include "common/fetch.h"
#include "common/plaync.h"
#include "common/realm.h"
#include "common/source.h"
#include "common/source_gate.h"
#include "common/source_share.h"
#include "common/uuid.h"

/*
 * The inside of the source. A job is a lookup or a sheet that is under way, with everybody who
 * waits for it:
 *
 *   source.c        jobs and calls, their beginning and end
 *   source_flow.c   one lookup for equal ones of several processes; answers from Redis
 *   source_ask.c    one request of a site, through the gate
 *   source_dummy.c, source_plaync.c   the adapters
 */

struct source_job;
typedef void (*source_job_fn)(struct source_job *j);

/*
 * An adapter ends a job with source_job_end, once. late: it must do so now. stop: the job is given
 * up or has ended; frees what the adapter made for it.
 */
struct source_adapter {
    const char *name;
    bool any_server; /* beside those of the region */
    bool asks_site;
    source_job_fn lookup;
    source_job_fn sheet;
    source_job_fn late;
    source_job_fn stop;
};
extern const struct source_adapter SOURCE_DUMMY, SOURCE_PLAYNC;

/* ---- one request of a site ---- */

/* What came of it. BUSY: the site asked for quiet, and rests. */
struct source_asked {
    enum source_outcome outcome;
    int64_t retry_after_ms; /* RESTING, CROWDED */
    struct err err;         /* when not FOUND */
};
/* Reads a good answer; what it says of it is what the gate is told as well. */
typedef enum plaync_verdict (*source_read_fn)(struct source_job *j, const cJSON *doc,
                                              struct err *e);
typedef void (*source_asked_fn)(struct source_job *j, const struct source_asked *a);

struct source_ask {
    char url[FETCH_URL_MAX + 1];
    char id[GATE_ID_SIZE]; /* of this request at the gate */
    source_read_fn read;
    source_asked_fn done;
    struct fetch_call *call;
    struct gate_report report;
    struct source_asked asked;
    bool started; /* the gate waits to be told */
    bool tried;   /* it was answered with 503 once */
    bool again;   /* and is to be asked once more, when the gate has been told */
};
/* One at a time of a job. done is called later, from the loop, unless source_ask_stop. */
void source_ask(struct source_job *j, source_read_fn read, source_asked_fn done);
void source_ask_stop(struct source_job *j);

/* ---- jobs ---- */

/* Somebody who waits for a job. */
struct source_call {
    struct source_call *next, **link;
    struct source_job *job;
    source_fn fn;
    void *ctx;
};

typedef void (*source_redis_fn)(struct source_job *j, const redisReply *r);

struct source_job {
    struct source *src;
    struct source_job *next, **link;
    struct source_call *calls;
    bool sheet;
    bool ended;                    /* those who wait are being told */
    char server[SOURCE_TEXT_SIZE]; /* canonical */
    char name[SOURCE_TEXT_SIZE];
    char source_id[SOURCE_ID_SIZE];
    char *raw_before; /* NULL: none */
    struct event *timer;
    source_job_fn on_timer;
    struct event *deadline;
    uint64_t redis_number; /* of the answer that is waited for, 0: none */
    source_redis_fn redis_fn;
    char claim_id[SHARE_ID_SIZE];
    bool claimed; /* in Redis, so what comes of it is published there */
    struct source_ask ask;
    void *state; /* the adapter's */
};

/* "No such character" of this process, for when Redis is away. */
#define SOURCE_GONE_MAX 64
struct source_gone {
    uint64_t key; /* hash of server and name */
    int64_t until_ms;
};

/* What answers of Redis come back to; outlives a source that did not wait for them. */
struct source_anchor {
    struct source *src; /* NULL: gone */
    int waiting;
};

struct source {
    struct event_base *base;
    const struct source_settings *settings;
    const struct source_adapter *adapter;
    struct rdsa *rdsa;
    int64_t lookup_ms, sheet_ms;
    struct source_anchor *anchor;
    struct fetch *fetch; /* NULL: the adapter asks no site */
    struct source_job *jobs;
    int call_count;
    uint64_t last_number;
    char id[UUID_SIZE];
    int64_t born_ms;
    struct gate_local gate; /* while Redis is away */
    bool on_its_own;        /* and that was logged */
    bool untold; /* the gate of this process rests for a reason that Redis does not know */
    struct source_gone gone[SOURCE_GONE_MAX];
    unsigned gone_next;
};

/* Calls fn from the loop in ms; replaces what was planned before. */
void source_job_after(struct source_job *j, int64_t ms, source_job_fn fn);
/* Tells everybody who waits, and frees the job. */
void source_job_end(struct source_job *j, const struct source_reply *reply);
/* What a job that took too long ends with. */
extern const struct source_reply SOURCE_TOO_LATE;

/* ---- source_flow.c ---- */

enum source_redis { SOURCE_REDIS_NONE, SOURCE_REDIS_COMING, SOURCE_REDIS_UP };
/* COMING: a connection that has just been begun deserves a moment (SOURCE_REDIS_POLL_MS). */
#define SOURCE_REDIS_POLL_MS 20
enum source_redis source_redis_state(struct source *s);
/* Runs a command and frees it; fn, with NULL when no good answer came, unless the job ends before.
 */
void source_redis(struct source_job *j, struct command *c, source_redis_fn fn);
/* The same without waiting for the answer. */
void source_redis_tell(struct source *s, struct command *c);
/* A lookup begins: it is claimed, answered from Redis, or begun without. */
void source_lookup_begin(struct source_job *j);
/* It has ended (NULL: given up): others are told, too. */
void source_lookup_publish(struct source_job *j, const struct source_reply *reply);

/* {"attack":...,"mode":"sheet"}; owned by the caller (free()). */
char *source_stats_json(const int64_t stats[STAT_COUNT], const char *mode);

#endif
