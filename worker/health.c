#include "worker/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "worker/figures.h"

struct health {
    const struct settings *settings;
    struct probe *probe;       /* NULL: nobody can ask */
    struct consumer *consumer; /* this and remote: NULL until Redis has been looked at */
    const struct remote *remote;
};

static bool is_ready(const struct health *h, char why[PROBE_WHY_SIZE])
{
    if (!h->consumer || !consumer_is_registered(h->consumer)) {
        snprintf(why, PROBE_WHY_SIZE, "not registered with Redis");
        return false;
    }
    if (consumer_is_stopping(h->consumer)) {
        snprintf(why, PROBE_WHY_SIZE, "stopping");
        return false;
    }
    return true;
}

static bool check(void *ctx, enum probe_kind kind, char why[PROBE_WHY_SIZE])
{
    const struct health *h = ctx;

    switch (kind) {
    case PROBE_LIVE:
        return true; /* this very call shows it */
    case PROBE_READY:
        return is_ready(h, why);
    case PROBE_FRESH:
        return probe_is_fresh(&h->settings->probe, h->settings->batch_interval_s,
                              h->remote ? remote_published_us(h->remote) : METRIC_UNKNOWN, why);
    case PROBE_KINDS:
        break;
    }
    MUST(!"a known probe");
}

static void collect(void *ctx)
{
    const struct health *h = ctx;

    figures_collect(h->consumer);
}

struct health *health_start(struct event_base *base, const struct settings *s, struct err *e)
{
    struct health *h = mem_alloc(sizeof *h);
    struct probe_config probe = {
        .listen = s->probe.listen, .base = base, .check = check, .collect = collect, .ctx = h};

    h->settings = s;
    figures_open(s);
    if (*s->probe.listen && !(h->probe = probe_start(&probe, e))) {
        free(h);
        return NULL;
    }
    return h;
}

void health_attach(struct health *h, struct consumer *c, const struct remote *r)
{
    h->consumer = c;
    h->remote = r;
}

void health_free(struct health *h)
{
    probe_stop(h->probe);
    free(h);
}
