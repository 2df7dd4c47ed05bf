#include "common/crash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

bool crash_armed;

static char wanted[64];
static int64_t left = 1;

void crash_init(void)
{
    const char *spec = getenv("CRASH_AT");
    const char *colon = spec ? strchr(spec, ':') : NULL;
    size_t len = colon ? (size_t)(colon - spec) : spec ? strlen(spec) : 0;

    if (len == 0 || len >= sizeof wanted || (colon && !text_to_i64(colon + 1, 1, 1000000, &left))) {
        return;
    }
    memcpy(wanted, spec, len);
    wanted[len] = '\0';
    crash_armed = true;
}

void crash_here(const char *point)
{
    if (strcmp(point, wanted) == 0 && --left == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

void crash_in_step(const char *step, const char *stage)
{
    char point[sizeof wanted];

    snprintf(point, sizeof point, "%s.%s", step, stage);
    crash_here(point);
}
