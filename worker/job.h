#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include <sys/queue.h>

#include "common/broker.h"
#include "common/msg.h"
#include "common/result.h"
#include "worker/flow.h"
#include "worker/news.h"
#include "worker/pool.h"
#include "worker/settings.h"
#include "worker/task.h"

/*
 * A message that this worker holds, from the take to the answer of the step that ends the hold.
 * Nothing here talks to anybody: a function job_end_* prepares the command that ends the hold,
 * and the consumer sends it (again and again, until Redis has answered).
 */
enum job_state {
    JOB_TAKEN,
    JOB_ADOPTING, /* its rewritten message is on the way to Redis */
    JOB_CLAIMING, /* Redis is asked whether it may run now, see consumer_gate.c */
    JOB_WAITING,  /* it may not: until not_before_ms */
    JOB_READY,    /* waits for a free child */
    JOB_RUNNING,
    JOB_LOSING,   /* its child died: Redis counts how often that happened */
    JOB_COUNTING, /* it has ended as a part of a chord: Redis counts the parts */
    JOB_ENDING,   /* the step that ends the hold is on the way */
    JOB_STATES,
};

/* How it has ended, until the step is built that says so. */
struct job_end {
    const char *status;
    char *result; /* JSON; owned, as the next three; NULL: memory is out */
    char *traceback;
    char *dead;         /* letter, NULL: none */
    struct flow *flow;  /* what follows, NULL: nothing */
    int64_t give_up_ms; /* monotonic: the size of the chord is asked for until then; 0: not asked */
    int complete_count; /* times that the chord was seen complete while this waited */
    bool waits;         /* for the size to be known: ask again */
};

struct job {
    TAILQ_ENTRY(job) all, ready, ending; /* of the consumer's lists, as the next three members */
    struct job *chained;
    enum job_state noted;
    bool in_endings;
    uint64_t number;
    char tag[BROKER_TAG_SIZE];
    struct broker who; /* under which boot id it is held */
    enum job_state state;
    char *bytes; /* as held in Redis */
    size_t len;
    struct msg msg;
    const struct task *task;
    int64_t taken_ms;    /* Redis' clock */
    int64_t received_ms; /* monotonic */
    int64_t recoveries;  /* as in struct broker_taken */
    int64_t started_ms;  /* monotonic; 0: no child has begun it */
    int64_t started_wall_us;
    int64_t not_before_ms; /* monotonic; of WAITING */
    bool early;            /* its eta is to come: it ends by being delayed */
    bool claimed;          /* it is the only one of its task that runs */
    struct command cmd;    /* of ADOPTING, CLAIMING, LOSING, COUNTING, ENDING */
    /* How it ended, recorded with the ending (news below NEWS_SUCCEEDED: nothing to tell). The
     * texts belong to the job. */
    struct job_report report;
    char *report_text, *report_traceback;
    bool told;
    struct job_end end;
    struct pool_outcome *loss; /* of the child that died, NULL: none has */
};

TAILQ_HEAD(job_queue, job);

/* How every line of the log about a job begins. */
#define JOB_LOG         "id=%s task=%s attempt=%d"
#define JOB_LOG_ARGS(j) LOGQ((j)->msg.id), LOGQ((j)->msg.task), (j)->msg.retries + 1

/* Copies tag and bytes. NULL when memory is out. */
struct job *job_new(uint64_t number, const struct broker *who,
                    const struct broker_taken *t) MUST_CHECK;
void job_free(struct job *j);

/*
 * What to do with a fresh message, by Redis' clock: JOB_READY, JOB_ADOPTING (the command is
 * prepared) or JOB_ENDING (refused, expired, too early, unknown, ...).
 */
void job_examine(struct job *j, const struct settings *s, const struct broker_taken *t);
/* The rest of it, after the adoption. */
void job_examine_adopted(struct job *j, const struct settings *s);

/* The frame for the child; the caller's (free()), NULL when it is too long or memory is out. */
char *job_request(const struct job *j, const struct settings *s);
struct task_limits job_limits(const struct job *j);

/*
 * The endings. Each leaves the job in JOB_ENDING, or in JOB_COUNTING when it was a part of a chord.
 * What the child has answered: SUCCESS, RETRY or FAILURE.
 */
void job_end_answer(struct job *j, const struct settings *s, const struct pool_outcome *outcome);
void job_end_failure(struct job *j, const struct settings *s, const struct result_exception *x);
void job_end_requeue(struct job *j);
/* It may not run now: it comes back in so long, as it is. */
void job_end_postpone(struct job *j, int64_t in_ms);
/* Asks Redis whether a task of which only one may run, may run. */
void job_claim(struct job *j);
/* A child has begun it. */
bool job_has_begun(const struct job *j);
/* From the take to its begin, and from there to now; 0: it has not begun. For the log. */
int64_t job_waited_ms(const struct job *j);
int64_t job_ran_ms(const struct job *j);
/* Its `expires` is over by now. */
bool job_is_expired(const struct job *j);
/* Not to be run, or not any further: REVOKED with TaskRevokedError(why). */
struct job_revoke {
    const char *why; /* "revoked", "terminated", "expired" */
    bool expired;
    bool terminated;
    int signum;
};
extern const struct job_revoke JOB_REVOKED, JOB_EXPIRED;
void job_end_revoked(struct job *j, const struct settings *s, const struct job_revoke *r);
/* The child died: asks Redis to count and to put the message back. */
void job_lose(struct job *j, const struct pool_outcome *loss);
/* It died too often. */
void job_end_lost(struct job *j, const struct settings *s);
void job_end_time_limit(struct job *j, const struct settings *s, const struct pool_outcome *o);
/* Somebody had it ended while it ran: REVOKED. */
void job_end_terminated(struct job *j, const struct settings *s, int signum);

/*
 * Redis has counted the part. Afterwards the job is in JOB_ENDING; or in JOB_COUNTING still: with
 * the next part to be counted, or, when end.waits, with the same one, to be said again in
 * JOB_RECOUNT_MS. somebody_waits: another job here waits for this chord, one is enough.
 */
#define JOB_RECOUNT_MS 100
void job_counted(struct job *j, const struct settings *s, const redisReply *r, bool somebody_waits);
/* Group id of the chord whose parts are being counted. */
const char *job_chord(const struct job *j);

/* The document that says that a child has begun; the caller's (free()), NULL when memory is out. */
char *job_started_doc(const struct job *j, const struct settings *s, int pid);
/* Whether anybody wants that. */
bool job_tracks_start(const struct job *j, const struct settings *s);

#endif
