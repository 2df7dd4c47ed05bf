#include <stdlib.h>
#include <string.h>

#include "common/broker_lua.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/consumer_parts.h"
#include "worker/figures.h"

/*
 * The steps of a job after its take: sent to Redis, said again after a reconnect, forgotten when
 * Redis has answered. Plain ends that come up in one turn of the loop go out as one step.
 */
#define MERGE_MAX 64

/* Parts that wait for the size of their chords; of more, the oldest wait no longer, so that they
 * never take all the room that there is for messages. */
#define SIZELESS_MAX 256

/* Ends that went out as one step. */
struct merged {
    struct consumer *consumer;
    int n;
    uint64_t numbers[MERGE_MAX];
};

/* ---- telling ---- */

void consumer_tell(struct consumer *c, const struct job *j, enum job_news news)
{
    struct job_report report = {.news = news, .job = j};

    figures_on_news(&report);
    if (c->cf.on_news) {
        c->cf.on_news(c->cf.news_ctx, &report);
    }
}

bool consumer_is_revoked(const struct consumer *c, const struct job *j)
{
    return c->cf.is_revoked && c->cf.is_revoked(c->cf.revoked_ctx, j->msg.id);
}

/* What the job's end is, once, when the step that ends it goes out for the first time. */
static void tell_end(struct consumer *c, struct job *j)
{
    int64_t *const counts[] = {[NEWS_SUCCEEDED] = &c->stats.succeeded,
                               [NEWS_FAILED] = &c->stats.failed,
                               [NEWS_RETRIED] = &c->stats.retried,
                               [NEWS_REVOKED] = &c->stats.revoked,
                               [NEWS_REJECTED] = &c->stats.requeued};

    if (j->told || j->report.news < NEWS_SUCCEEDED) {
        return;
    }
    j->told = true;
    ++*counts[j->report.news];
    j->report.job = j;
    figures_on_news(&j->report);
    if (c->cf.on_news) {
        c->cf.on_news(c->cf.news_ctx, &j->report);
    }
}

/* ---- answers ---- */

static void unqueue(struct consumer *c, struct job *j)
{
    if (j->in_endings) {
        TAILQ_REMOVE(&c->endings, j, ending);
        c->ending_count--;
        j->in_endings = false;
    }
}

void consumer_drop_job(struct consumer *c, struct job *j)
{
    unqueue(c, j);
    jobs_drop(&c->jobs, j);
}

static bool is_ours(const struct consumer *c, const struct job *j)
{
    return strcmp(j->who.boot, c->self.boot) == 0;
}

static void on_adopted(struct consumer *c, struct job *j, const redisReply *r)
{
    if (r->type != REDIS_REPLY_INTEGER || r->integer != 1) {
        log_warn("task.taken_over", JOB_LOG, JOB_LOG_ARGS(j));
        consumer_drop_job(c, j);
        return;
    }
    job_examine_adopted(j, c->cf.settings);
    consumer_admit(c, j);
}

static void on_loss_counted(struct consumer *c, struct job *j, const redisReply *r)
{
    int64_t losses = reply_is_number(r, 0) ? reply_number(r, 0) : 0;
    bool put_back = reply_is_number(r, 1) && reply_number(r, 1) == 1;

    if (losses >= BROKER_LOSSES_MAX && !put_back) {
        job_end_lost(j, c->cf.settings);
        consumer_go_on(c, j);
        return;
    }
    log_warn("task.lost", JOB_LOG " losses=%" PRId64 " put_back=%d", JOB_LOG_ARGS(j), losses,
             put_back);
    c->acked_ended += put_back && is_ours(c, j);
    c->stats.requeued += put_back;
    consumer_drop_job(c, j);
}

/* Whether another job waits for the size of the same chord. */
static bool somebody_waits(const struct consumer *c, const struct job *me)
{
    const struct job *j;

    if (c->jobs.in_state[JOB_COUNTING] < 2) {
        return false;
    }
    TAILQ_FOREACH(j, &c->jobs.all, all)
    {
        if (j != me && j->state == JOB_COUNTING && j->end.give_up_ms != 0 &&
            strcmp(job_chord(j), job_chord(me)) == 0) {
            return true;
        }
    }
    return false;
}

static void on_counted(struct consumer *c, struct job *j, const redisReply *r)
{
    job_counted(j, c->cf.settings, r, somebody_waits(c, j));
    if (j->state != JOB_COUNTING || !j->end.waits) {
        consumer_go_on(c, j);
    } else if (!evtimer_pending(c->recount_timer, NULL)) {
        loop_arm_ms(c->recount_timer, JOB_RECOUNT_MS);
    }
}

void consumer_on_recount(UNUSED evutil_socket_t fd, UNUSED short what, void *consumer)
{
    struct consumer *c = consumer;
    int too_many = c->jobs.in_state[JOB_COUNTING] - SIZELESS_MAX;

    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j; j = next) {
        next = TAILQ_NEXT(j, all);
        if (j->state == JOB_COUNTING && j->end.waits) {
            if (too_many-- > 0) {
                j->end.give_up_ms = clock_mono_ms();
            }
            consumer_go_on(c, j);
        }
    }
}

static void on_ended(struct consumer *c, struct job *j, enum broker_ended how)
{
    if (how == BROKER_ENDED_GONE) {
        log_warn("task.taken_over", JOB_LOG, JOB_LOG_ARGS(j));
    } else if (how == BROKER_ENDED_RESTORED) {
        log_warn("task.restored_by_other", JOB_LOG " tag=%s", JOB_LOG_ARGS(j), LOGQ(j->tag));
    }
    c->acked_ended += how != BROKER_ENDED_GONE && is_ours(c, j);
    consumer_drop_job(c, j);
}

static void on_step(void *ctx, uint64_t number, const redisReply *r)
{
    struct consumer *c = ctx;
    struct job *j = jobs_find(&c->jobs, number);

    if (!j || !r) {
        return; /* abandoned, or to be sent again when Redis is back */
    }
    switch (j->state) {
    case JOB_ADOPTING:
        on_adopted(c, j, r);
        break;
    case JOB_CLAIMING:
        consumer_on_claimed(c, j, r);
        break;
    case JOB_LOSING:
        on_loss_counted(c, j, r);
        break;
    case JOB_COUNTING:
        on_counted(c, j, r);
        break;
    case JOB_ENDING:
        if (j->cmd.script == &BROKER_LUA_POSTPONE && reply_is_number(r, 1)) {
            consumer_note_due(c, reply_number(r, 1));
        }
        on_ended(c, j, broker_read_ended(r, 0));
        break;
    case JOB_TAKEN:
    case JOB_WAITING:
    case JOB_READY:
    case JOB_RUNNING:
    case JOB_STATES:
        break;
    }
    consumer_pump(c);
    consumer_maybe_leave(c);
}

static void on_merged(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct merged *m = ctx;
    struct consumer *c = m->consumer;

    for (int i = 0; r && i < m->n; i++) {
        struct job *j = jobs_find(&c->jobs, m->numbers[i]);

        if (j && j->state == JOB_ENDING) {
            on_ended(c, j, broker_read_ended(r, i));
        }
    }
    free(m);
    if (r) {
        consumer_pump(c);
        consumer_maybe_leave(c);
    }
}

/* ---- sending ---- */

static void send_merged(struct consumer *c)
{
    struct merged *m = mem_alloc(sizeof *m);
    const struct command *cmds[MERGE_MAX];
    const char *boot = TAILQ_FIRST(&c->endings)->who.boot;
    struct command all;
    struct job *j;

    m->consumer = c;
    while (m->n < MERGE_MAX && (j = TAILQ_FIRST(&c->endings)) && strcmp(j->who.boot, boot) == 0) {
        unqueue(c, j);
        m->numbers[m->n] = j->number;
        cmds[m->n++] = &j->cmd;
    }
    broker_merge(&all, cmds, m->n);
    MUST(!all.failed); /* or they would wait for ever */
    rdsa_script(c->redis, &all, on_merged, m, 0);
    command_fini_borrowed(&all);
}

void consumer_on_flush(UNUSED evutil_socket_t fd, UNUSED short what, void *consumer)
{
    struct consumer *c = consumer;

    while (c->ending_count > 0) {
        send_merged(c);
    }
}

static void queue_end(struct consumer *c, struct job *j)
{
    if (j->in_endings) {
        return;
    }
    j->in_endings = true;
    TAILQ_INSERT_TAIL(&c->endings, j, ending);
    if (++c->ending_count == 1) {
        event_active(c->flush, EV_TIMEOUT, 0);
    }
}

static void send_step(struct consumer *c, struct job *j)
{
    if (j->cmd.failed) {
        /* No memory to say it. The next heartbeat does not name its tag: it goes back. */
        log_error("task.dropped", JOB_LOG " error=\"out of memory\"", JOB_LOG_ARGS(j));
        consumer_drop_job(c, j);
        return;
    }
    if (j->state == JOB_ENDING) {
        tell_end(c, j);
        if (broker_is_plain(&j->cmd)) {
            queue_end(c, j);
            return;
        }
    }
    j->end.waits = false; /* until this is answered: asked twice, the second answer would be late */
    if (c->registered || j->state == JOB_ENDING) {
        rdsa_script(c->redis, &j->cmd, on_step, c, j->number);
    }
}

static void on_started(UNUSED void *ctx, UNUSED uint64_t number, UNUSED const redisReply *r)
{
    /* Said once: what comes after it is worth more. */
}

void consumer_say_started(struct consumer *c, const struct job *j, int pid)
{
    struct broker_hold h = {.tag = j->tag, .id = j->msg.id};
    char *doc = job_started_doc(j, c->cf.settings, pid);
    struct command cmd;

    if (doc && c->registered) {
        broker_started(&cmd, &j->who, &h, doc, c->cf.settings->result_expires_s);
        rdsa_script(c->redis, &cmd, on_started, c, 0);
        command_fini(&cmd);
    }
    free(doc);
}

void consumer_go_on(struct consumer *c, struct job *j)
{
    if (j->state == JOB_READY && c->stopping) {
        job_end_requeue(j);
    }
    jobs_note(&c->jobs, j);
    if (j->state == JOB_READY) {
        consumer_run(c, j);
    } else if (j->state != JOB_TAKEN && j->state != JOB_WAITING && j->state != JOB_RUNNING) {
        send_step(c, j);
    }
}

void consumer_send_steps(struct consumer *c)
{
    for (struct job *j = TAILQ_FIRST(&c->jobs.all), *next; j; j = next) {
        next = TAILQ_NEXT(j, all);
        if (j->state != JOB_READY && j->state != JOB_RUNNING) {
            consumer_go_on(c, j);
        }
    }
}
