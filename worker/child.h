#ifndef WORKER_CHILD_H
#define WORKER_CHILD_H

#include "worker/settings.h"
#include "worker/task.h"

/*
 * The inside of a child process. Frames on a socket pair, both ways: 4 bytes of length, little
 * endian, and JSON.
 *   down  {"id","task","worker","args","kwargs","retries","slot"}
 *   up    {"ok":true,"result":...} or {"ok":false,"class":"retryable","type":"...","text":"..."},
 *         and CHILD_READY when what the task left for afterwards is done, too
 */
#define CHILD_FD         3
#define CHILD_READY      "{}"
#define CHILD_FRAME_MAX  (64 * MIB)
#define CHILD_RESULT_MAX (16 * MIB)

/*
 * Runs one task after the other until the supervisor closes the socket or dies (then the kernel
 * kills us at once, whatever the task is doing). Returns the exit code.
 */
int child_main(const struct settings *s, int64_t supervisor_pid);

/* A frame's JSON for the answer of a task: result (borrowed), or NULL and *e. Caller frees. */
char *child_answer(const cJSON *result, const struct err *e);

#endif
