#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include "common/buf.h"
#include "common/json.h"

/*
 * Task messages as they stand on the queue's lists. Three forms are read, one struct comes out:
 *
 *   plain       {"task":NAME,"id"?,"args"?,"kwargs"?,"eta"?,"countdown"?,"expires"?,"priority"?,
 *                "retries"?,"ignore_result"?}       what redis-cli LPUSH needs
 *   protocol 2  Celery's default: headers, and a body [args, kwargs, embed]
 *   protocol 1  Celery's older form: the body is one object with every field
 *
 * Everything here is pure: no clock, no Redis.
 */
#define MSG_BYTES_MAX (16 * MIB) /* of a message, and of its body after decompression */
#define MSG_NAME_SIZE 256        /* id, task and the like, with the NUL */
#define MSG_NO_TIME   INT64_MIN
/* Number in headers (or in a plain message): the slot of the schedule that sent it, unix s. */
#define MSG_SLOT_MEMBER "aion2_slot"
/* Number in headers: when it was sent, unix s. Celery's messages do not tell. */
#define MSG_SENT_MEMBER "aion2_sent_at"

enum msg_form { MSG_PLAIN, MSG_CELERY_1, MSG_CELERY_2 };

struct msg {
    enum msg_form form;
    char id[MSG_NAME_SIZE]; /* "": a plain message that has none yet */
    char task[MSG_NAME_SIZE];
    char group[MSG_NAME_SIZE];   /* "": none */
    char parent[MSG_NAME_SIZE];  /* "": none */
    char root_id[MSG_NAME_SIZE]; /* first task of its workflow, "": itself */
    const cJSON *args;           /* array; NULL: none given */
    const cJSON *kwargs;         /* object; NULL: none given */
    int64_t eta_us;              /* unix time, MSG_NO_TIME: none */
    int64_t expires_us;
    int64_t countdown_ms;  /* from the moment it is taken, -1: none; plain only */
    int64_t expires_in_ms; /* the same for expires as a number of seconds */
    int64_t sent_us;       /* when it was sent, MSG_NO_TIME: it does not tell */
    int64_t slot_unix_s;   /* -1: none */
    int64_t hard_limit_s;  /* timelimit[0], 0: none */
    int64_t soft_limit_s;  /* timelimit[1], 0: none */
    int64_t group_index;   /* -1: none */
    int retries;
    int priority; /* as written; the list that it came from decides */
    bool ignore_result;
    /* What follows: checked signatures (signature.h). Arrays, not empty; NULL: none. */
    const cJSON *callbacks;
    const cJSON *errbacks;
    const cJSON *chain; /* the next step is the last element */
    const cJSON *chord; /* the body of the chord that it is part of */
    /* For people and monitors; NULL: none given. */
    const char *reply_to;
    const char *origin;
    const char *shadow; /* the name to show */
    const char *argsrepr;
    const char *kwargsrepr;
    const char *exchange;
    const char *routing_key;
    const char *delivery_tag;
    /* Owners of the memory that the pointers above point into. */
    cJSON *root;
    cJSON *body;
};

enum msg_verdict {
    MSG_OK,
    /* Readable but not for us: m->id is set, so its sender can be told (*e: type and text). */
    MSG_REFUSED,
    /* Nobody could be told: not JSON, no id to be read, ... (*e says what). */
    MSG_UNREADABLE,
};

/*
 * Reads a message. m is always left in a state for msg_fini. A plain message that is good except
 * for having no id is MSG_OK with an empty m->id; one that is bad and has no id is MSG_UNREADABLE.
 */
enum msg_verdict msg_parse(const char *bytes, size_t len, struct msg *m, struct err *e);
void msg_fini(struct msg *m);

/* It has no id, or times that count from now: it must be rewritten before anything else. */
bool msg_needs_adoption(const struct msg *m);
/*
 * Gives m the id (when it has none) and makes relative times absolute, in m and in its JSON.
 * Afterwards msg_print gives a message that means the same however often it is delivered.
 */
bool msg_adopt(struct msg *m, const char *id, int64_t now_ms, struct err *e) MUST_CHECK;
/*
 * The next attempt, as Celery writes it: retries set, not before eta_us (MSG_NO_TIME: at once), a
 * child of the attempt before. In m and its JSON.
 */
bool msg_set_retries(struct msg *m, int retries, int64_t eta_us, struct err *e) MUST_CHECK;
/* The message's text with every member it came with; the caller's (free()), NULL when out of memory
 * or longer than MSG_BYTES_MAX. */
char *msg_print(const struct msg *m, size_t *len);

/*
 * A protocol 2 message as a Celery client sends it. What is zero, NULL or "" is left empty, except
 * where noted. Text is the caller's (free()), NULL when out of memory or longer than
 * MSG_BYTES_MAX.
 */
struct msg_new {
    const char *task;
    const char *id;
    const char *queue;    /* for delivery_info */
    const char *origin;   /* "beat@host" */
    const char *reply_to; /* NULL: the id */
    const char *tag;      /* delivery tag (UUID_SIZE), NULL: a random one */
    const char *root;     /* NULL: the id */
    const char *parent;   /* NULL: none, as for the next three */
    const char *group;
    const char *shadow;
    const char *expires;   /* ISO 8601; NULL: expires_us decides */
    int64_t expires_us;    /* not after, unix time */
    int64_t sent_us;       /* now, for who wants to know how long it waits */
    int64_t expires_in_ms; /* for properties.expiration, with expires */
    const cJSON *args;     /* NULL: empty */
    const cJSON *kwargs;
    const cJSON *callbacks; /* arrays of signatures, NULL: none */
    const cJSON *errbacks;
    const cJSON *chain;
    const cJSON *chord;      /* a signature */
    const cJSON *headers;    /* object: more headers; none of Celery's own */
    const cJSON *hard_limit; /* numbers */
    const cJSON *soft_limit;
    const char *eta;     /* ISO 8601; NULL: eta_us decides */
    int64_t eta_us;      /* not before, unix time */
    int64_t group_index; /* only with group; -1: none */
    int64_t slot_unix_s; /* -1: none */
    int retries;
    int priority;
    bool ignore_result;
};
char *msg_build(const struct msg_new *n, size_t *len) MUST_CHECK;

/*
 * The arguments as Python shows them, clipped: "(2, 'x')" and "{'a': None}". What the message
 * brought is shown as it is. Always valid UTF-8. Returns out.
 */
#define MSG_REPR_SIZE 1028 /* 1,024 bytes and "..." */
const char *msg_args_repr(const struct msg *m, char out[MSG_REPR_SIZE]);
const char *msg_kwargs_repr(const struct msg *m, char out[MSG_REPR_SIZE]);
/* The same for JSON values; args may be NULL (empty). */
const char *msg_repr_args(const cJSON *args, char out[MSG_REPR_SIZE]);
const char *msg_repr_value(const cJSON *v, char out[MSG_REPR_SIZE]);

/*
 * The list for a priority 0..9: the queue's name, or name, 06 16 and the step. 0 is the most
 * urgent. False when it does not fit.
 */
bool msg_list_name(char *out, size_t cap, const char *queue, int priority) MUST_CHECK;

#endif
