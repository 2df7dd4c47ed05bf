#include "api/searcher.h"

#include <stdlib.h>
#include <string.h>

#include "api/searcher_parts.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/sheet_task.h"

/* ---- jobs ---- */

struct search_job *search_job_new(void)
{
    return mem_alloc(sizeof(struct search_job));
}

void search_job_free(struct search_job *j)
{
    detail_fini(&j->row.detail);
    free(j);
}

void search_job_end(struct search_job *j, enum search_end end)
{
    j->end = end;
    event_free(j->patience);
    j->patience = NULL;
    mailbox_post(j->answer_to, &j->mail);
}

static void on_patience(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct search_job *j = arg;

    /* While it is counted it cannot be given up: the answer from Redis is on its way. */
    if (j->flight) {
        flight_leave(j);
    }
}

/* ---- who may search ---- */

static void count_alone(struct search_job *j)
{
    struct searcher *s = j->searcher;

    if (!s->counts_alone) {
        s->counts_alone = true;
        log_warn("search.limits", "kept=\"by this process\" why=\"Redis is away\"");
    }
    j->quota = quota_take(s->quota, j->client, clock_mono_ms());
}

static void go_on(struct search_job *j)
{
    struct searcher *s = j->searcher;

    TAILQ_REMOVE(&s->jobs, j, next);
    if (s->stopping) {
        search_job_end(j, SEARCH_NO_DATABASE);
    } else if (j->limited && !j->quota.allowed) {
        search_job_end(j, SEARCH_LIMITED);
    } else {
        flight_board(s, j);
    }
}

static void on_counted(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct search_job *j = ctx;
    struct searcher *s = j->searcher;

    if (!quota_read(r, s->settings->search_rate, &j->quota)) {
        count_alone(j);
    } else if (s->counts_alone) {
        s->counts_alone = false;
        log_info("search.limits", "kept=\"in Redis\"");
    }
    go_on(j);
}

static void count(struct search_job *j)
{
    struct searcher *s = j->searcher;
    struct command c;

    j->limited = true;
    quota_ask(&c, j->client, s->settings->search_rate);
    rdsa_script(s->redis, &c, on_counted, j, 0);
    command_fini(&c);
}

static void on_mail(void *ctx, struct mail *m)
{
    struct searcher *s = ctx;
    struct search_job *j = (struct search_job *)m;

    if (m == &s->stop) {
        event_base_loopbreak(s->base);
        return;
    }
    j->searcher = s;
    j->patience = evtimer_new(s->base, on_patience, j);
    MUST(j->patience);
    loop_arm_ms(j->patience, SEARCHER_PATIENCE_MS);
    TAILQ_INSERT_TAIL(&s->jobs, j, next);
    if (s->quota) {
        count(j);
    } else {
        go_on(j);
    }
}

void searcher_ask(struct searcher *s, struct search_job *j)
{
    mailbox_post(s->inbox, &j->mail);
}

/* ---- life ---- */

static void on_redis_up(UNUSED void *ctx)
{
    log_info("search.redis", "state=up");
}

static void *run(void *arg)
{
    struct searcher *s = arg;

    event_base_dispatch(s->base);
    return NULL;
}

static struct event_base *new_base(void)
{
    struct event_config *cfg = event_config_new();
    struct event_base *base;

    MUST(cfg);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
    base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    MUST(base);
    return base;
}

static void tear_down(struct searcher *s)
{
    struct flight *f;
    struct mail *m;

    s->stopping = true;
    while ((m = mailbox_take(s->inbox))) {
        if (m != &s->stop) {
            struct search_job *j = (struct search_job *)m;

            j->end = SEARCH_NO_DATABASE;
            mailbox_post(j->answer_to, m);
        }
    }
    source_free(s->source);
    rdsa_free(s->redis); /* what is being counted ends */
    pgpool_free(s->pg);  /* and so does what waits for PostgreSQL */
    while ((f = TAILQ_FIRST(&s->flights))) {
        flight_crash(f);
    }
    mailbox_free(s->inbox);
    event_base_free(s->base);
    quota_table_free(s->quota);
    free(s);
}

static struct rdsa *connect_redis(struct searcher *s)
{
    const struct rdsa_config config = {
        .base = s->base,
        .addr = &s->redis_addr,
        .role = "search",
        .scripts = {{QUOTA_SCRIPTS, QUOTA_SCRIPT_COUNT},
                    {SHEET_TASK_SCRIPTS, SHEET_TASK_SCRIPT_COUNT},
                    {SOURCE_SCRIPTS, SOURCE_SCRIPT_COUNT}},
        .on_up = on_redis_up,
        .ctx = s,
    };

    return rdsa_new(&config);
}

struct searcher *searcher_start(const struct api_settings *settings, struct details *details,
                                struct err *e)
{
    struct searcher *s = mem_alloc(sizeof *s);

    TAILQ_INIT(&s->jobs);
    TAILQ_INIT(&s->flights);
    s->settings = settings;
    s->details = details;
    if (!rds_parse_url(settings->redis_url, &s->redis_addr, e)) {
        free(s);
        return NULL;
    }
    s->base = new_base();
    s->inbox = mailbox_new(s->base, on_mail, s);
    s->pg = pgpool_new(s->base, settings->database_url, PGC_WRITES);
    s->redis = connect_redis(s);
    s->quota = settings->search_rate ? quota_table_new(settings->search_rate) : NULL;
    s->source = source_new(
        &(struct source_config){.base = s->base, .settings = &settings->source, .rdsa = s->redis},
        e);
    if (!s->source) {
        tear_down(s);
        return NULL;
    }
    MUST(pthread_create(&s->thread, NULL, run, s) == 0);
    return s;
}

void searcher_stop(struct searcher *s)
{
    if (!s) {
        return;
    }
    mailbox_post(s->inbox, &s->stop);
    pthread_join(s->thread, NULL);
    tear_down(s);
}
