#ifndef COMMON_BROKER_H
#define COMMON_BROKER_H

#include "common/command.h"
#include "common/follow.h"
#include "common/uuid.h"

/*
 * The steps of the job system, each one a Lua script and so atomic; docs/architecture.md tells what
 * each means. A step is built as a command that owns its arguments, so the same command runs on
 * a blocking connection (command_run) or on the worker's asynchronous one, and can be sent again
 * after a reconnect: every step that ends a hold does nothing the second time.
 */
#define BROKER_HEARTBEAT_MS       10000 /* a worker silent for this long is dead */
#define BROKER_HEARTBEAT_EVERY_MS 2000
#define BROKER_LOSSES_MAX         2   /* children that may die of one task */
#define BROKER_RECOVERIES_MAX     10  /* workers that may die while holding one message */
#define BROKER_BATCH_MAX          100 /* messages moved or recovered by one step */
#define BROKER_TAKE_MAX           512 /* messages taken by one step */
#define BROKER_TAKE_BYTES_MAX     (4 * MIB)
#define BROKER_QUARANTINE_MAX     1000
#define BROKER_DEAD_MAX           10000
#define BROKER_DEAD_BYTES_MAX     (64 * MIB) /* of memory, dead letters and quarantine each */
#define BROKER_FOLLOWS_MAX        10000      /* what may follow one task */
#define BROKER_FOLLOW_BYTES_MAX   (16 * MIB)
#define BROKER_PARTS_MAX          10000 /* of a chord, when it is complete */
#define BROKER_PART_BYTES_MAX     (16 * MIB)
#define BROKER_QUEUES_MAX         8
#define BROKER_QUEUE_MAX          200 /* bytes of a queue's name */
/* "<number>", or "<number>:<delivery tag>" when kombu's record has it, too. */
#define BROKER_TAG_SIZE 96

struct broker_queues {
    int count;
    char name[BROKER_QUEUES_MAX][BROKER_QUEUE_MAX + 1];
};

/* Who acts: a worker's boot id is new whenever it registers. */
struct broker {
    char boot[UUID_SIZE];
    const struct broker_queues *queues; /* borrowed; only broker_take looks at them */
};

/* Every script, to be loaded on a new connection. */
extern struct script *const BROKER_SCRIPTS[];
extern const size_t BROKER_SCRIPT_COUNT;

/* A list of a queue, step 0 (most urgent) to KEY_PRIORITY_STEPS - 1. */
#define BROKER_LIST_SIZE (BROKER_QUEUE_MAX + 8)
void broker_list(const char *queue, int step, char out[BROKER_LIST_SIZE]);

/* A message's own numbers and texts, as the ending steps need them. */
struct broker_hold {
    const char *tag;
    const char *id; /* task id */
};

/* Registers the boot id and starts its heartbeat. Replies 1. */
void broker_register(struct command *c, const struct broker *b, const char *info_json);
/*
 * Renews the heartbeat, and the scores of everything held in kombu's index. known: the number of
 * every hold the worker knows of ("7 ") or a range of them ("9-24 "); whatever else is held under
 * its name goes back to its list (an answer that never came). Also puts back what dead workers
 * held, and does what broker_due does. taken, ended: steps of this boot id that Redis has
 * acknowledged; Redis having done fewer has lost some.
 */
struct broker_beat {
    const char *info_json;
    const char *known;
    int64_t taken, ended; /* -1: not known */
};
void broker_heartbeat(struct command *c, const struct broker *b, const struct broker_beat *beat);
struct broker_beat_reply {
    bool registered;      /* false: not, or not any more; then only `lost` below has a meaning */
    int64_t put_back;     /* own messages of which the worker knew nothing */
    int64_t messages;     /* put back for dead workers */
    int64_t workers;      /* dead ones */
    int64_t moved;        /* due messages */
    int64_t next_ms;      /* until the next one is due, -1: none */
    int64_t lost;         /* acknowledged steps that Redis forgot */
    int64_t taken, ended; /* what Redis knows now */
};
/* False when the reply is not one of ours. */
bool broker_read_heartbeat(const redisReply *r, struct broker_beat_reply *out) MUST_CHECK;
/* Puts back everything held and leaves the register. Replies the number put back. */
void broker_unregister(struct command *c, const struct broker *b);

/*
 * Takes up to count messages and holds them under the numbers first, first + 1, ...: most urgent
 * first, and among lists of one priority in the order of the queues, beginning with queue number
 * `turn` modulo their count.
 */
struct broker_want {
    uint64_t first;
    int count;
    unsigned turn;
};
void broker_take(struct command *c, const struct broker *b, const struct broker_want *want);
enum broker_take_result {
    BROKER_TOOK,     /* at least one message, or one put aside: worth trying again */
    BROKER_EMPTY,    /* there was nothing */
    BROKER_GONE,     /* the boot id is not registered (any more) */
    BROKER_NONSENSE, /* the reply is not one of ours */
};
struct broker_batch {
    const redisReply *reply; /* borrowed */
    int count;               /* messages, see broker_batch_get */
    int64_t now_ms;          /* Redis' clock */
    int64_t oversized;       /* longer than MSG_BYTES_MAX, in quarantine now */
    int64_t copies;          /* dropped: put back by a Python client while one of ours had them */
};
enum broker_take_result broker_read_take(const redisReply *r, struct broker_batch *out);
struct broker_taken {
    const char *tag;  /* borrowed from the reply, as the rest */
    const char *list; /* the list it came from */
    const char *bytes;
    size_t len;
    int64_t now_ms;
    int64_t recoveries; /* workers that died while holding this very message */
};
/* Message i of the batch; false when that part of the reply is not one of ours. */
bool broker_batch_get(const struct broker_batch *batch, int i, struct broker_taken *t) MUST_CHECK;

/* Replaces the held bytes. Replies 1, or 0 when the tag is not held any more. */
void broker_adopt(struct command *c, const struct broker *b, const char *tag, const char *bytes,
                  size_t len);
/* Stores and publishes a STARTED document. Replies 1, or 0: not held, or something final is there.
 */
void broker_started(struct command *c, const struct broker *b, const struct broker_hold *h,
                    const char *doc, int64_t expires_s);
/*
 * Claims that only this hold runs the task. The claim ends with the hold. Replies 1, or 0 when
 * another hold has it, -1 when this hold is gone.
 */
void broker_single(struct command *c, const struct broker *b, const char *tag, const char *task);

/*
 * Ends a hold. doc: the result document, NULL for none; dead: dead letter (JSON object without
 * "at"), NULL for none. When the hold is gone (another worker has the message), only a SUCCESS
 * is stored, and nothing follows. A stored SUCCESS is never replaced. At most BROKER_FOLLOWS_MAX
 * follow, of BROKER_FOLLOW_BYTES_MAX in all, otherwise the command is failed.
 */
struct broker_end {
    const char *doc;
    bool success;
    int64_t expires_s;
    const char *dead;
    const struct follow *follows;
    int follow_count;
};
void broker_finish(struct command *c, const struct broker *b, const struct broker_hold *h,
                   const struct broker_end *end);
/* How a hold ended: the reply of every step that ends one. */
enum broker_ended {
    BROKER_ENDED_GONE = 0,     /* it was not there: another worker has the message */
    BROKER_ENDED = 1,          /* */
    BROKER_ENDED_RESTORED = 2, /* finish: and a Python client had put the message back meanwhile */
};
/*
 * Several finishes of one boot id as one step. Only those that broker_is_plain. all borrows from
 * the others, which must outlive it: command_fini_borrowed, not command_fini. Replies one number
 * each.
 */
bool broker_is_plain(const struct command *c);
void broker_merge(struct command *all, const struct command *const *cmds, int n);
/* What became of finish number i of the step (0 when it was not merged). */
enum broker_ended broker_read_ended(const redisReply *r, int i);

/*
 * Ends a hold; the message comes back later: in due_ms from now, or at due_ms of unix time. doc (a
 * RETRY document) may be NULL. Replies {1, ms until something is due}, or 0 when the hold was gone
 * (nothing happens then).
 */
struct broker_later {
    const char *bytes;
    size_t len;
    int64_t due_ms;
    bool relative;
    const char *doc;
    int64_t expires_s;
};
void broker_retry(struct command *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later);
/* The same without a result document, for a message that came too early. */
void broker_delay(struct command *c, const struct broker *b, const struct broker_hold *h,
                  const struct broker_later *later);
/* Back to the end of its list from which it is taken next. Replies 1 or 0. */
void broker_requeue(struct command *c, const struct broker *b, const char *tag);
/*
 * A child died of it. Puts it back like requeue unless this is the BROKER_LOSSES_MAXth time:
 * then it stays held and the caller finishes it. Replies {losses, 1 if put back}; {0, 0}: gone.
 */
void broker_lost(struct command *c, const struct broker *b, const struct broker_hold *h);
/* Ends a hold: nobody can read it. b64: the bytes. Replies 1 or 0. */
void broker_quarantine(struct command *c, const struct broker *b, const char *tag,
                       const char *reason, const char *b64);

/*
 * Adds a part to a chord: member (bytes) at score ("3", "+inf"), and the group's keys live on for
 * expires_s. Twice does no harm: what is there of the same task id gives way.
 */
struct broker_part {
    const char *group;
    const char *id;
    const char *score;
    const char *member;
    size_t len;
    int64_t expires_s;
    bool again; /* it was added before, and asks only what there is now */
};
void broker_chord_part(struct command *c, const struct broker_part *part);
struct broker_chord {
    bool ended;                /* it is over; nothing was added */
    int64_t parts;             /* that are there; -1: the key holds something else */
    const char *size;          /* .s and .t as they stand, NULL: not there; borrowed */
    const char *more;          /**/
    const char *saved;         /* the document of the group, NULL: none */
    const redisReply *members; /* array in the order of the scores; NULL: not complete yet */
    bool too_large; /* complete, but more than BROKER_PARTS_MAX or BROKER_PART_BYTES_MAX */
};
bool broker_read_chord(const redisReply *r, struct broker_chord *out) MUST_CHECK;

/* Moves what is due to its list. Replies {moved, ms until the next or -1}. */
void broker_due(struct command *c);

/* Pushes a message as a client does. */
bool broker_push(redisContext *c, const char *queue, int priority, const char *bytes, size_t len,
                 struct err *e) MUST_CHECK;

#endif
