#ifndef WORKER_CHILD_H
#define WORKER_CHILD_H

#include "worker/progress.h"
#include "worker/settings.h"
#include "worker/task.h"
#include "worker/turn.h"

/*
 * The inside of a child process. Frames on a socket pair, both ways: a head and JSON.
 *   down  {"id","task","worker","args","kwargs","retries","slot"}
 *   up    {"ok":true,"result":...} or {"ok":false,"class":"retryable","type":"...","text":"..."},
 *         with "wait_s" where a retry makes no sense earlier
 * The child says CHILD_READY (without a text) when it has started, and again when what a task left
 * for after its answer is done.
 */
#define CHILD_FD         3 /* the socket */
#define CHILD_SHARE_FD   4 /* memory shared with the supervisor: struct child_share */
#define CHILD_FIGURES_FD 5 /* memory shared with everybody: figures.h */
#define CHILD_FRAME_MAX  (64 * MIB)
#define CHILD_RESULT_MAX (16 * MIB)

enum child_says {
    CHILD_JOB, /* down */
    CHILD_READY,
    CHILD_OK,
    CHILD_FAILED,
};

/* Both ends are the same program on the same machine, so it is sent as it lies in memory. */
struct child_head {
    uint32_t len; /* of the JSON that follows */
    uint8_t what; /* enum child_says */
    uint8_t more; /* OK, FAILED: the task does something yet, CHILD_READY will follow */
    uint16_t unused;
    uint32_t seq;    /* jobs given to this child, counted; OK, FAILED: of the one answered */
    uint32_t run_us; /* OK, FAILED: how long it ran */
    uint64_t job;    /* the supervisor's number for it */
};

struct child_share {
    turn_word turn;          /* which jobs have begun, which were taken back */
    _Atomic uint64_t cancel; /* number of the job that is asked to stop, 0: none */
    struct progress_share progress;
};

/* Text before and after the result's JSON in the answer of a task that returned. */
#define CHILD_OK_BEFORE "{\"ok\":true,\"result\":"
#define CHILD_OK_AFTER  "}"

/*
 * Runs one task after the other until the supervisor closes the socket or dies (then the kernel
 * kills us at once, whatever the task is doing). Returns the exit code.
 */
int child_main(const struct settings *s, int64_t supervisor_pid);

/* A frame's JSON for the answer of a task: result (borrowed), or NULL and *e. Caller frees. */
char *child_answer(const cJSON *result, const struct err *e);

#endif
