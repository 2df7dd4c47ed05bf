#include "worker/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/batch_parts.h"
#include "worker/figures.h"

/* In this order; a step that sets batch.result is the last. */
static const struct {
    const char *name;
    bool (*run)(struct batch *b, struct err *e);
} STEPS[] = {
    {"connect", batch_connect},   {"claim", batch_claim}, {"lock", batch_lock},
    {"snapshot", batch_snapshot}, {"read", batch_read},   {"keep", batch_keep},
    {"score", batch_score},       {"write", batch_write}, {"attach", batch_attach},
    {"publish", batch_publish},
};

/* Ranks, percentile and tier of everybody, in ranking order. */
static bool place_everybody(struct batch *b)
{
    b->places = mem_try_array(b->people.ranked.count, sizeof *b->places);
    if (!b->places || !walk_init(&b->walk, &b->people, b->averages)) {
        return false;
    }
    for (uint32_t i = 0; i < b->order.count; i++) {
        uint32_t number = b->order.at[i];
        uint32_t ahead = b->order.at[score_ahead(i, b->order.count)];

        __builtin_prefetch(&b->people.ranked.at[ahead].score, 1);
        __builtin_prefetch(&b->people.ranked.at[ahead].tier, 1); /* often in the line after */
        __builtin_prefetch(&b->places[ahead], 1);
        b->places[number] = walk_place(&b->walk, number);
    }
    return true;
}

bool batch_score(struct batch *b, struct err *e)
{
    struct population *p = &b->people;

    if (!batch_begin_write(b, e)) {
        return false;
    }
    b->averages = mem_try_array(p->servers.count, sizeof *b->averages);
    if (!b->averages || !score_order_by_id(&b->order, p) ||
        !score_average(p, &b->order, b->averages)) {
        return batch_no_memory(e);
    }
    score_everybody(p, b->averages);
    population_drop_stats(p);
    return (score_order_by_rank(&b->order, p) && place_everybody(b)) || batch_no_memory(e);
}

static double seconds_since(int64_t start_us)
{
    return (double)((clock_mono_us() - start_us) / 1000) / 1000.0;
}

static bool run_steps(struct batch *b, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(STEPS) && !b->result; i++) {
        int64_t start = clock_mono_us();
        bool ok;

        progress_begin_phase(b->req->progress, b->req->number, STEPS[i].name);
        ok = !task_cancelled(b->req, e) && STEPS[i].run(b, e);
        b->phases[b->phase_count++] = (struct batch_phase){STEPS[i].name, seconds_since(start)};
        if (!ok) {
            return err_prefix(e, STEPS[i].name);
        }
        figures_batch_step(STEPS[i].name, clock_mono_us() - start);
    }
    return true;
}

static bool is_cancelled(void *batch)
{
    const struct batch *b = batch;
    struct err ignored;

    return task_cancelled(b->req, &ignored);
}

/* The same, and waits for PostgreSQL end when the task is to stop. */
static bool run_watched(struct batch *b, struct err *e)
{
    bool ok;

    pg_watch(is_cancelled, b);
    ok = run_steps(b, e);
    pg_watch(NULL, NULL);
    if (!ok && task_cancelled(b->req, e)) {
        /* whatever error the end came with, that is why */
        log_warn("batch.cancelled", "run=%" PRId64 " attempt=%d", b->run_id, b->attempt);
    }
    return ok;
}

static void log_done(const struct batch *b, double seconds)
{
    char phases[BATCH_PHASES_MAX * 32] = "";
    size_t len = 0;

    for (int i = 0; i < b->phase_count && len < sizeof phases; i++) {
        len += (size_t)snprintf(phases + len, sizeof phases - len, " %s=%.3f", b->phases[i].name,
                                b->phases[i].seconds);
    }
    log_info("batch.done",
             "run=%" PRId64 " attempt=%d processed=%" PRIu32 " failed=%" PRIu64 " servers=%" PRIu32
             " entries=%" PRIu32 " seconds=%.3f%s",
             b->run_id, b->attempt, b->people.scored, b->failed, b->servers, b->order.count,
             seconds, phases);
}

/*
 * The lock goes at once, so that the next batch may start, with the session or without it: one of a
 * run that failed is not kept.
 */
static void leave_session(struct batch *b, bool ok)
{
    struct err ignored;

    if (!b->unlocked && b->main && PQstatus(b->main) == CONNECTION_OK) {
        b->unlocked = pg_run(b->main, BATCH_UNLOCK_SQL, &ignored);
        if (!b->unlocked) {
            log_debug("batch.unlock", "text=%s",
                      LOGQ(ignored.text)); /* the session's end does it */
        }
    }
    if (ok && b->unlocked) {
        pg_keep_leave(b->main);
    } else {
        PQfinish(b->main);
    }
}

static void fini(struct batch *b, bool ok)
{
    leave_session(b, ok);
    walk_fini(&b->walk);
    free(b->places);
    order_fini(&b->order);
    free(b->averages);
    failures_fini(&b->failures);
    population_fini(&b->people);
}

static void count(struct batch *b, const cJSON *result)
{
    const char *status = json_get_str(result, "status");

    status = status ? status : is_cancelled(b) ? "cancelled" : "failed";
    figures_batch_end(status);
    if (b->published) {
        figures_batch_published(&(struct figures_batch){.scored = b->people.scored,
                                                        .failed = (int64_t)b->failed,
                                                        .entries = b->order.count,
                                                        .servers = b->servers});
    }
}

cJSON *batch_task(const struct task_request *req, struct err *e)
{
    struct batch b = {.req = req};
    int64_t start = clock_mono_us();
    cJSON *result = NULL;

    population_init(&b.people);
    failures_init(&b.failures);
    if (run_watched(&b, e)) {
        result = b.result;
    } else {
        log_error("batch.failed", "run=%" PRId64 " attempt=%d class=%s text=%s", b.run_id,
                  b.attempt, err_class_name(e->cls), LOGQ(e->text));
        cJSON_Delete(b.result);
    }
    if (!result && b.claimed) {
        batch_note_failure(&b, e);
    }
    if (b.published) {
        log_done(&b, seconds_since(start));
    }
    count(&b, result);
    fini(&b, result != NULL);
    return result;
}
