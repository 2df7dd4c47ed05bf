#include "api/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/figures.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"

struct health {
    const struct api_settings *settings;
    struct loader *loader;
    struct loop **loops;
    int count;
    struct probe *probe; /* NULL: nobody can ask */
};

bool health_is_live(const struct health *h, char why[PROBE_WHY_SIZE])
{
    int64_t now_ms = clock_mono_ms();

    for (int i = 0; i < h->count; i++) {
        int64_t still_ms = now_ms - loop_turned_ms(h->loops[i]);

        if (still_ms > HEALTH_TURN_MS) {
            snprintf(why, PROBE_WHY_SIZE, "serving thread %d has stood still for %" PRId64 " s", i,
                     still_ms / 1000);
            return false;
        }
    }
    return true;
}

/* Unix us; METRIC_UNKNOWN: there is none. */
static int64_t made_us(const struct health *h)
{
    struct image *img = loader_image(h->loader);
    int64_t us = img ? img->head->generated_us : METRIC_UNKNOWN;

    image_unref(img);
    return us;
}

static bool is_ready(const struct health *h, char why[PROBE_WHY_SIZE])
{
    if (made_us(h) != METRIC_UNKNOWN || loader_state(h->loader) == LOADER_EMPTY) {
        return true;
    }
    snprintf(why, PROBE_WHY_SIZE, "no ranking is loaded");
    return false;
}

static bool check(void *ctx, enum probe_kind kind, char why[PROBE_WHY_SIZE])
{
    const struct health *h = ctx;

    switch (kind) {
    case PROBE_LIVE:
        return health_is_live(h, why);
    case PROBE_READY:
        return is_ready(h, why);
    case PROBE_FRESH:
        return probe_is_fresh(&h->settings->probe, h->settings->batch_interval_s, made_us(h), why);
    case PROBE_KINDS:
        break;
    }
    MUST(!"a known probe");
}

static void collect(void *ctx)
{
    const struct health *h = ctx;

    figures_collect(h->loader, h->settings->batch_interval_s);
}

struct health *health_start(const struct api_settings *s, struct loader *l, struct loop **loops,
                            int count, struct err *e)
{
    struct health *h = mem_alloc(sizeof *h);
    struct probe_config probe = {
        .listen = s->probe.listen, .check = check, .collect = collect, .ctx = h};

    h->settings = s;
    h->loader = l;
    h->loops = loops;
    h->count = count;
    if (*s->probe.listen && !(h->probe = probe_start(&probe, e))) {
        free(h);
        return NULL;
    }
    return h;
}

void health_stop(struct health *h)
{
    if (h) {
        probe_stop(h->probe);
        free(h);
    }
}
