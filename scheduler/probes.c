#include "scheduler/probes.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/figures.h"

struct probes {
    const struct beat_config *cfg;
    const struct probe_settings *settings;
    struct fleet *fleet; /* this and probe: NULL, nobody can ask */
    struct probe *probe;
};

static bool is_young(int64_t at_ms, const char *what, char why[PROBE_WHY_SIZE])
{
    if (clock_mono_ms() - at_ms <= PROBES_TURN_MS) {
        return true;
    }
    snprintf(why, PROBE_WHY_SIZE, "%s for more than %d s", what, PROBES_TURN_MS / 1000);
    return false;
}

static bool check(void *ctx, enum probe_kind kind, char why[PROBE_WHY_SIZE])
{
    const struct probes *p = ctx;

    switch (kind) {
    case PROBE_LIVE:
        return is_young(figures_turned_ms(), "the loop has stood still", why);
    case PROBE_READY:
        return is_young(figures_used_redis_ms(), "Redis could not be used", why);
    case PROBE_FRESH:
        return probe_is_fresh(p->settings, p->cfg->defaults.batch_interval_s,
                              fleet_published_us(p->fleet), why);
    case PROBE_KINDS:
        break;
    }
    MUST(!"a known probe");
}

static void collect(UNUSED void *ctx)
{
    figures_collect();
}

struct probes *probes_start(const struct beat_config *cfg, const struct probe_settings *s,
                            struct err *e)
{
    struct probes *p = mem_alloc(sizeof *p);
    struct probe_config probe = {.listen = s->listen, .check = check, .collect = collect, .ctx = p};

    p->cfg = cfg;
    p->settings = s;
    figures_open();
    if (*s->listen == '\0') {
        return p;
    }
    p->fleet = fleet_start(&cfg->redis, cfg->defaults.queue);
    p->probe = probe_start(&probe, e);
    if (!p->probe) {
        probes_stop(p);
        return NULL;
    }
    return p;
}

void probes_stop(struct probes *p)
{
    probe_stop(p->probe);
    fleet_stop(p->fleet);
    free(p);
}
