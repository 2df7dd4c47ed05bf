#include "worker/supervisor.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/notify.h"
#include "worker/checks.h"
#include "worker/consumer.h"
#include "worker/health.h"
#include "worker/preflight.h"
#include "worker/reload.h"
#include "worker/remote.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

struct supervisor {
    struct consumer_config cf;
    struct preflight *preflight;
    struct consumer *consumer; /* this and remote: NULL until Redis has been looked at */
    struct remote *remote;
    struct reload *reload;
    struct health *health;
    bool stopping;
    bool reloading; /* it stops, and starts anew */
    bool refused;   /* this Redis is no place to work with */
};

/* ---- signals; operations.md has the table ---- */

/* how: consumer_stop or consumer_stop_now. While Redis is looked at, there is nothing to stop. */
static void stop_consumer(struct supervisor *s, void (*how)(struct consumer *c))
{
    if (s->consumer) {
        how(s->consumer);
    } else {
        event_base_loopbreak(s->cf.base);
    }
}

static void say_offline(struct supervisor *s)
{
    if (s->remote) {
        remote_say_offline(s->remote);
    }
}

static void stop(void *ctx)
{
    struct supervisor *s = ctx;

    if (s->stopping) {
        return;
    }
    s->stopping = true;
    notify_stopping();
    say_offline(s);
    if (!s->reloading) {
        stop_consumer(s, consumer_stop);
    }
    s->reloading = false;
}

static void on_stop_signal(UNUSED evutil_socket_t sig, UNUSED short what, void *arg)
{
    struct supervisor *s = arg;

    if (s->stopping) {
        log_warn("worker.stopping_now", "reason=\"second signal\"");
        stop_consumer(s, consumer_stop_now);
        return;
    }
    stop(s);
}

static void on_quit_signal(UNUSED evutil_socket_t sig, UNUSED short what, void *arg)
{
    struct supervisor *s = arg;

    log_warn("worker.stopping_now", "reason=SIGQUIT");
    notify_stopping();
    s->stopping = true;
    s->reloading = false;
    say_offline(s);
    stop_consumer(s, consumer_stop_now);
}

static void on_reload_signal(UNUSED evutil_socket_t sig, UNUSED short what, void *arg)
{
    struct supervisor *s = arg;

    if (!s->stopping && !s->reloading) {
        reload_request(s->reload); /* while reloading: the new program reads everything anyway */
    }
}

static void on_reload_accepted(void *arg)
{
    struct supervisor *s = arg;

    if (!s->stopping && !s->reloading) {
        s->reloading = true;
        notify_reloading();
        stop_consumer(s, consumer_stop);
    }
}

static const struct {
    int number;
    event_callback_fn fn;
} SIGNALS[] = {
    {SIGTERM, on_stop_signal},
    {SIGINT, on_stop_signal},
    {SIGQUIT, on_quit_signal},
    {SIGHUP, on_reload_signal},
};

/* Before and after the loop: nothing is held, so there is nothing to do but to go. */
static void leave_at_once(UNUSED int sig)
{
    _exit(EXIT_OK);
}

static void handle_signals_simply(void)
{
    struct sigaction leave = {.sa_handler = leave_at_once};

    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &leave, NULL);
    sigaction(SIGINT, &leave, NULL);
    sigaction(SIGQUIT, &leave, NULL);
}

/* ---- the loop ---- */

enum loop_end { LOOP_DONE, LOOP_ANEW, LOOP_REFUSED, LOOP_NO_ADDRESS };

/* Redis has been looked at: work begins, or it must not. */
static void on_preflight(void *arg, bool safe)
{
    struct supervisor *s = arg;
    struct remote_config remote = {.base = s->cf.base,
                                   .settings = s->cf.settings,
                                   .redis = s->cf.redis,
                                   .on_shutdown = stop,
                                   .ctx = s};

    if (!safe) {
        s->refused = true;
        event_base_loopbreak(s->cf.base);
        return;
    }
    s->remote = remote_new(&remote);
    remote_fill(s->remote, &s->cf);
    s->consumer = consumer_new(&s->cf);
    remote_start(s->remote, s->consumer);
    health_attach(s->health, s->consumer, s->remote);
}

/* Runs until it is told to stop. */
static enum loop_end run_loop(struct event_base *base, const struct settings *s,
                              const struct rds_addr *redis)
{
    struct supervisor sup = {.cf = {.base = base, .settings = s, .redis = redis}};
    struct preflight_config look = {.base = base,
                                    .redis = redis,
                                    .allow_unsafe = s->allow_unsafe_redis,
                                    .on_end = on_preflight,
                                    .ctx = &sup};
    struct reload_config reload = {.base = base, .on_accepted = on_reload_accepted, .ctx = &sup};
    struct event *events[ARRAY_LEN(SIGNALS)];
    struct err e;

    sup.health = health_start(base, s, &e);
    if (!sup.health) {
        log_error("worker.no_address", "error=%s", LOGQ(e.text));
        return LOOP_NO_ADDRESS;
    }
    sup.preflight = preflight_start(&look);
    sup.reload = reload_new(&reload);
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        events[i] = evsignal_new(base, SIGNALS[i].number, SIGNALS[i].fn, &sup);
        MUST(events[i] && event_add(events[i], NULL) == 0);
    }
    reload_hold_signal(false);
    event_base_dispatch(base);
    reload_hold_signal(true);
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        event_free(events[i]);
    }
    reload_free(sup.reload);
    preflight_free(sup.preflight);
    if (sup.consumer) {
        remote_free(sup.remote);
        consumer_free(sup.consumer);
    }
    health_free(sup.health);
    return sup.refused ? LOOP_REFUSED : sup.reloading ? LOOP_ANEW : LOOP_DONE;
}

static enum loop_end run_once_through(const struct settings *s, const struct rds_addr *redis)
{
    struct event_base *base = event_base_new();
    enum loop_end end;

    MUST(base);
    log_info("worker.starting", "name=%s queue=%s concurrency=%" PRId64 " version=%s",
             LOGQ(s->worker_name), LOGQ(s->task_queue), s->concurrency, AION2RANK_VERSION);
    end = run_loop(base, s, redis);
    event_base_free(base);
    log_info("worker.stopped", "name=%s", LOGQ(s->worker_name));
    return end;
}

int supervisor_main(const struct settings *s)
{
    struct rds_addr redis;
    enum loop_end end;
    struct err e;

    if (!rds_parse_url(s->redis_url, &redis, &e)) {
        fprintf(stderr, "aion2-worker: %s\n", e.text);
        return EXIT_USAGE;
    }
    handle_signals_simply();
    if (!checks_schema_allows_start(s)) {
        return EXIT_CONFIG;
    }
    srandom((unsigned)getpid() ^ (unsigned)time(NULL)); /* jitter only */
    while ((end = run_once_through(s, &redis)) == LOOP_ANEW) {
        reload_exec(); /* or, if that fails, once more with what we have */
    }
    return end == LOOP_REFUSED ? EXIT_CONFIG : end == LOOP_NO_ADDRESS ? EXIT_FAILED : EXIT_OK;
}
