#ifndef WORKER_MSG_SHIM_H
#define WORKER_MSG_SHIM_H
#include <stdio.h>
#include <stdlib.h>
#include "common/msg.h"
#define MSG_REPR_SIZE 1028
static inline const char *shim(const cJSON *v, const char *empty, char *out)
{
    char *t = v ? json_print(v) : NULL;
    snprintf(out, MSG_REPR_SIZE, "%s", t ? t : empty);
    free(t);
    return out;
}
#define msg_args_repr(m, out) shim((m)->args, "()", out)
#define msg_kwargs_repr(m, out) shim((m)->kwargs, "{}", out)
#define msg_repr_value(v, out) shim(v, "None", out)
#endif
