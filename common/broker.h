#ifndef COMMON_BROKER_H
#define COMMON_BROKER_H

#include "common/script.h"
#include "common/uuid.h"

/*
 * The steps of the job system, each one a Lua script and so atomic; docs/architecture.md tells what
 * each means. A step is built as a command that owns its arguments, so the same command runs on
 * a blocking connection (broker_run) or on the worker's asynchronous one, and can be sent again
 * after a reconnect: every step that ends a hold does nothing the second time.
 */
#define BROKER_HEARTBEAT_MS       10000 /* a worker silent for this long is dead */
#define BROKER_HEARTBEAT_EVERY_MS 2000
#define BROKER_LOSSES_MAX         2   /* children that may die of one task */
#define BROKER_RECOVERIES_MAX     10  /* workers that may die while holding one message */
#define BROKER_BATCH_MAX          100 /* messages moved or recovered by one step */
#define BROKER_QUARANTINE_MAX     1000
#define BROKER_DEAD_MAX           10000
#define BROKER_DEAD_BYTES_MAX     (64 * MIB) /* of memory, dead letters and quarantine each */
#define BROKER_QUEUE_MAX          200        /* bytes of a queue's name */
#define BROKER_TAG_SIZE           24
#define BROKER_ARGS_MAX           20

/* Who acts: a worker's boot id is new whenever it registers. */
struct broker {
    char queue[BROKER_QUEUE_MAX + 1];
    char boot[UUID_SIZE];
};

struct broker_cmd {
    struct script *script;
    int keys;
    int n;
    bool failed;                 /* memory was out while it was built */
    char *args[BROKER_ARGS_MAX]; /* owned; the keys first */
    size_t lens[BROKER_ARGS_MAX];
};
void broker_cmd_fini(struct broker_cmd *c);

/* Every script, to be loaded on a new connection. */
extern struct script *const BROKER_SCRIPTS[];
extern const size_t BROKER_SCRIPT_COUNT;

/* The four lists of the queue, most urgent first. out: BROKER_LIST_SIZE each. */
#define BROKER_LIST_SIZE (BROKER_QUEUE_MAX + 8)
void broker_list(const struct broker *b, int step, char out[BROKER_LIST_SIZE]);

/* A message's own numbers and texts, as the ending steps need them. */
struct broker_hold {
    const char *tag;
    const char *id; /* task id */
};

/* Registers the boot id and starts its heartbeat. Replies 1. */
void broker_register(struct broker_cmd *c, const struct broker *b, const char *info_json);
/*
 * Renews the heartbeat. known_tags: every tag the worker knows of, each followed by a space;
 * whatever else is held under its name goes back to its list (an answer that never came). Also puts
 * back what dead workers held, and does what broker_due does. Replies {0}: not registered (any
 * more), or {1, own messages put back, messages of dead workers, dead workers, moved, ms until the
 * next or -1}.
 */
void broker_heartbeat(struct broker_cmd *c, const struct broker *b, const char *info_json,
                      const char *known_tags);
/* Puts back everything held and leaves the register. Replies the number put back. */
void broker_unregister(struct broker_cmd *c, const struct broker *b);

/* Takes the next message and records it under tag: see struct broker_taken. */
void broker_take(struct broker_cmd *c, const struct broker *b, const char *tag);
enum broker_take_result {
    BROKER_TOOK,
    BROKER_EMPTY,
    BROKER_GONE,      /* the boot id is not registered (any more) */
    BROKER_OVERSIZED, /* one was longer than MSG_BYTES_MAX and is in quarantine now: take again */
    BROKER_NONSENSE,  /* the reply is not one of ours */
};
struct broker_taken {
    const char *list; /* borrowed from the reply, as the rest */
    const char *bytes;
    size_t len;
    int64_t now_ms;     /* Redis' clock */
    int64_t recoveries; /* workers that died while holding this very message */
};
enum broker_take_result broker_read_take(const redisReply *r, struct broker_taken *t);

/* Replaces the held bytes. Replies 1, or 0 when the tag is not held any more. */
void broker_adopt(struct broker_cmd *c, const struct broker *b, const char *tag, const char *bytes,
                  size_t len);

/*
 * Ends a hold. doc: the result document, NULL for none; dead: dead letter (JSON object without
 * "at"), NULL for none. When the hold is gone (another worker has the message), only a SUCCESS
 * is stored. A stored SUCCESS is never replaced. Replies 1, or 0 when the hold was gone.
 */
struct broker_end {
    const char *doc;
    bool success;
    int64_t expires_s;
    const char *dead;
};
void broker_finish(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                   const struct broker_end *end);
/*
 * Ends a hold; the message comes back later: in due_ms from now, or at due_ms of unix time. doc (a
 * RETRY document) may be NULL. Replies 1, or 0 when the hold was gone (nothing happens then).
 */
struct broker_later {
    const char *bytes;
    size_t len;
    int64_t due_ms;
    bool relative;
    const char *doc;
    int64_t expires_s;
};
void broker_retry(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later);
/* The same without a result document, for a message that came too early. */
void broker_delay(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later);
/* Back to the end of its list from which it is taken next. Replies 1 or 0. */
void broker_requeue(struct broker_cmd *c, const struct broker *b, const char *tag);
/*
 * A child died of it. Puts it back like requeue unless this is the BROKER_LOSSES_MAXth time:
 * then it stays held and the caller finishes it. Replies {losses, 1 if put back}; {0, 0}: gone.
 */
void broker_lost(struct broker_cmd *c, const struct broker *b, const struct broker_hold *h);
/* Ends a hold: nobody can read it. b64: the bytes. Replies 1 or 0. */
void broker_quarantine(struct broker_cmd *c, const struct broker *b, const char *tag,
                       const char *reason, const char *b64);

/* Moves what is due to its list. Replies {moved, ms until the next or -1}. */
void broker_due(struct broker_cmd *c);

/* Runs a command on a blocking connection. NULL and *e on failure; freeReplyObject. */
redisReply *broker_run(redisContext *c, const struct broker_cmd *cmd, struct err *e) MUST_CHECK;

/* Pushes a message as a client does. */
bool broker_push(redisContext *c, const char *queue, int priority, const char *bytes, size_t len,
                 struct err *e) MUST_CHECK;

#endif
