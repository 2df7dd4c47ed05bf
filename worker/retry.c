#include "worker/retry.h"

#include <stdio.h>

#include "common/clock.h"

#define DELAY_MAX_S    86400
#define PLAN_SHOWN_MAX 8

int64_t retry_delay_s(int64_t base_s, int retries)
{
    int64_t delay_s = base_s;

    MUST(base_s >= 0 && retries >= 0);
    for (int i = 0; i < retries && delay_s < DELAY_MAX_S; i++) {
        delay_s *= 2;
    }
    return delay_s < DELAY_MAX_S ? delay_s : DELAY_MAX_S;
}

bool retry_wanted(enum err_class cls, int retries, int max_retries)
{
    return cls == ERR_RETRYABLE && retries < max_retries;
}

const char *retry_plan(char out[RETRY_PLAN_SIZE], int64_t base_s, int retries, int max_retries,
                       int64_t now_us)
{
    int64_t delay_s = retry_delay_s(base_s, retries);
    char iso[CLOCK_ISO_SIZE];
    int n = snprintf(out, RETRY_PLAN_SIZE, "attempt %d of %d failed; next at %s (%" PRId64 " s)",
                     retries + 1, max_retries + 1, clock_iso(now_us + delay_s * 1000000, "Z", iso),
                     delay_s);

    for (int i = retries + 1; i < max_retries && i <= retries + PLAN_SHOWN_MAX; i++) {
        MUST(n > 0 && n < RETRY_PLAN_SIZE);
        n += snprintf(out + n, RETRY_PLAN_SIZE - (size_t)n, "%s %" PRId64 " s",
                      i == retries + 1 ? ", then" : ",", retry_delay_s(base_s, i));
    }
    return out;
}
