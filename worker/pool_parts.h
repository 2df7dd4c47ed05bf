#ifndef WORKER_POOL_PARTS_H
#define WORKER_POOL_PARTS_H

#include <event2/bufferevent.h>
#include <sys/types.h>

#include "worker/child.h"
#include "worker/child_log.h"
#include "worker/pool.h"

/*
 * The pool's inside: pool.c (which child gets which job), pool_child.c (what a child says, its
 * limits), pool_process.c (its start and its end).
 */
struct pool_job {
    struct pool_job *next;
    uint64_t number;
    uint32_t seq; /* in the child that has it */
    bool told;    /* on_begin was called */
    int64_t soft_ms, hard_ms;
    size_t len;
    char frame[];
};
struct pool_jobs {
    struct pool_job *first, **end;
    int count;
};

enum child_state {
    STATE_ABSENT,   /* no process */
    STATE_STARTING, /* has not said that it is ready */
    STATE_WORKING,  /* takes jobs, has none or some */
    STATE_SETTLING, /* its task has answered and does what comes after the answer */
    STATE_LEAVING,  /* its socket is closed, it is about to end */
    STATE_KILLED,   /* by us */
};

/* What happens when a child's limit timer fires. */
enum limit { LIMIT_SOFT, LIMIT_HARD, LIMIT_SETTLING };

struct child {
    struct pool *pool;
    bool wanted; /* one of the pool's size; replaced when it ends */
    enum child_state state;
    bool retiring; /* ends when its task has */
    bool stopped;
    bool proven; /* it has answered once: its death is not a failure to start */
    bool over_limit;
    int term_signal; /* the running job is being ended with it; 0: it is not */
    enum limit limit_kind;
    pid_t pid;
    struct bufferevent *io;
    struct child_log *log;
    struct child_share *share;
    struct pool_jobs jobs; /* the first is the one that runs */
    uint32_t seq;          /* the last one sent */
    int64_t begun_us;      /* monotonic */
    int64_t tasks;
    int64_t rss_checked_us;
    int64_t started_wall_us;
    int respawn_ms;
    struct event *limit, *doom, *stop_limit, *respawn; /* doom: SIGKILL when it does not end */
};

struct pool {
    struct pool_config cf;
    struct event *sigchld;
    struct event *patience;   /* looks for tasks that are not short after all */
    struct pool_jobs waiting; /* taken back from children */
    int64_t run_us;           /* moving average of how long tasks take */
    int used;                 /* slots that have ever had a child */
    struct child children[POOL_SIZE_MAX];
};

/* pool.c */
void pool_jobs_init(struct pool_jobs *q);
void pool_jobs_push(struct pool_jobs *q, struct pool_job *j);
struct pool_job *pool_jobs_pop(struct pool_jobs *q);
/* Takes back what the child has not begun, to be given to others. */
void pool_take_back(struct child *c);
/* Gives what waits to whoever can take it; tells the owner when more can be taken. */
void pool_pump(struct pool *p);
void pool_note_run_us(struct pool *p, int64_t run_us);

/* pool_child.c */
/* Sends a job; the child is STATE_WORKING. */
void child_give(struct child *c, struct pool_job *j);
/* Handles every frame that has arrived. */
void child_read_frames(struct child *c);
/* SIGKILL; its end is reported when the kernel has told us of it. */
void child_kill(struct child *c);
/* It ends when its task has, at once when it has none. */
void child_retire(struct child *c);
/* Ends the job that it has begun. */
void child_terminate(struct child *c, int signum);
/* What the child holds now, by /proc; 0 when that cannot be read. */
int64_t child_rss_bytes(const struct child *c);

/* Timers of a child; arg: the child. */
void child_on_limit(evutil_socket_t fd, short what, void *arg);
void child_on_doom(evutil_socket_t fd, short what, void *arg);

/* pool_process.c */
/* Makes the slot's timers; once. */
void child_init(struct child *c, struct pool *p);
void child_fini(struct child *c);
/* The kernel says what has become of it. */
void child_changed(struct child *c, int status);

#endif
