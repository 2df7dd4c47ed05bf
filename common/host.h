#ifndef COMMON_HOST_H
#define COMMON_HOST_H

#include "common/base.h"

#define HOST_NAME_SIZE   256
#define HOST_ORIGIN_SIZE 288

/* The machine's name, "localhost" when it has none that is valid UTF-8; text in out. */
const char *host_name(char out[HOST_NAME_SIZE]);
/* Who sends a task, as Celery clients spell it: "gen<pid>@<host>"; text in out. */
const char *host_origin(char out[HOST_ORIGIN_SIZE]);

#endif
