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

int64_t retry_next_s(const struct retry_times *t)
{
    int64_t delay_s = retry_delay_s(t->base_s, t->retries);
    int64_t wait_s = t->wait_s < DELAY_MAX_S ? t->wait_s : DELAY_MAX_S;

    return wait_s > delay_s ? wait_s : delay_s;
}

static const char *next_at(const struct retry_times *t, char iso[CLOCK_ISO_SIZE])
{
    return clock_iso(t->now_us + retry_next_s(t) * 1000000, "Z", iso);
}

/* Waits after the next one, each behind `sep`; the first behind `first`. Returns the new length. */
static int add_waits(char out[RETRY_PLAN_SIZE], int n, const struct retry_times *t,
                     const char *const seps[2], const char *unit)
{
    for (int i = t->retries + 1; i < t->max_retries && i <= t->retries + PLAN_SHOWN_MAX; i++) {
        MUST(n > 0 && n < RETRY_PLAN_SIZE);
        n += snprintf(out + n, RETRY_PLAN_SIZE - (size_t)n, "%s%" PRId64 "%s",
                      seps[i == t->retries + 1 ? 0 : 1], retry_delay_s(t->base_s, i), unit);
    }
    return n;
}

const char *retry_plan(char out[RETRY_PLAN_SIZE], const struct retry_times *t)
{
    static const char *const SEPS[2] = {", then ", ", "};
    char iso[CLOCK_ISO_SIZE];
    int n = snprintf(out, RETRY_PLAN_SIZE, "attempt %d of %d failed; next at %s (%" PRId64 " s)",
                     t->retries + 1, t->max_retries + 1, next_at(t, iso), retry_next_s(t));

    add_waits(out, n, t, SEPS, " s");
    return out;
}

const char *retry_plan_json(char out[RETRY_PLAN_SIZE], const struct retry_times *t)
{
    static const char *const SEPS[2] = {",", ","};
    char iso[CLOCK_ISO_SIZE];
    int n = snprintf(out, RETRY_PLAN_SIZE,
                     "{\"attempt\":%d,\"attempts\":%d,\"next_at\":\"%s\",\"waits_s\":[%" PRId64,
                     t->retries + 1, t->max_retries + 1, next_at(t, iso), retry_next_s(t));

    n = add_waits(out, n, t, SEPS, "");
    MUST(n > 0 && n < RETRY_PLAN_SIZE - 2);
    snprintf(out + n, RETRY_PLAN_SIZE - (size_t)n, "]}");
    return out;
}
