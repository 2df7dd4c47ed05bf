#include "worker/remote.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/pidbox.h"
#include "common/text.h"
#include "worker/control.h"
#include "worker/events.h"
#include "worker/job.h"
#include "worker/published.h"
#include "worker/revoke.h"

struct remote {
    struct remote_config cf;
    struct lamport clock;
    struct events *events;
    struct revoke *revoke;
    struct published *published;
    struct control *control; /* NULL before remote_start */
    struct consumer *consumer;
    struct rdsa *talk;   /* says */
    struct rdsa *listen; /* hears requests */
    char *node;
    char channel[PIDBOX_CHANNEL_SIZE];
    const char *channels[1];
};

/* ---- what the parts ask for ---- */

static void count_running(void *ctx, const struct job *j)
{
    *(int *)ctx += j->state == JOB_RUNNING;
}

static struct events_load load(void *ctx)
{
    const struct remote *r = ctx;
    struct events_load l = {0};

    if (r->consumer) {
        consumer_each_job(r->consumer, count_running, &l.active);
        l.processed = consumer_stats(r->consumer)->taken;
    }
    return l;
}

static void on_revoked_changed(void *ctx)
{
    struct remote *r = ctx;

    if (r->consumer) {
        consumer_recheck_revoked(r->consumer);
    }
}

static void on_delayed_dropped(void *ctx, const char *id)
{
    struct remote *r = ctx;

    events_on_revoked(r->events, id);
}

static void on_shutdown(void *ctx)
{
    struct remote *r = ctx;

    r->cf.on_shutdown(r->cf.ctx);
}

/* ---- connections ---- */

static void on_talk_up(void *ctx)
{
    struct remote *r = ctx;

    events_on_up(r->events, r->talk);
}

/* What was revoked before we heard requests stands in Redis; what comes now is heard. */
static void on_listen_up(void *ctx)
{
    struct remote *r = ctx;

    revoke_load(r->revoke, r->talk);
    control_hello(r->control);
}

/* Before the first task: on the same connection, so that the answer comes before any message. */
static void on_connected(void *ctx, struct rdsa *conn)
{
    struct remote *r = ctx;

    revoke_load(r->revoke, conn);
}

static void on_news(void *ctx, const struct job_report *report)
{
    struct remote *r = ctx;

    if (report->news == NEWS_STARTED && report->job->task) {
        task_state_of(report->job->task)->total++;
    }
    events_on_news(r->events, report);
    published_on_news(r->published, report);
}

static void on_message(void *ctx, const char *channel, const char *bytes, size_t len)
{
    struct remote *r = ctx;

    control_on_message(r->control, channel, bytes, len);
}

static void connect_both(struct remote *r)
{
    struct rdsa_config talk = {.base = r->cf.base,
                               .addr = r->cf.redis,
                               .role = "talk",
                               .quiet = true,
                               .errors_are_answers = true,
                               .like = consumer_redis(r->consumer),
                               .on_up = on_talk_up,
                               .ctx = r};
    struct rdsa_config listen = talk;

    r->talk = rdsa_new(&talk);
    revoke_set_talk(r->revoke, r->talk);
    published_set_talk(r->published, r->talk);
    pidbox_channel(r->channel, r->cf.redis->db);
    r->channels[0] = r->channel;
    listen.role = "listen";
    listen.errors_are_answers = false;
    listen.like = r->talk; /* whoever is heard can be answered */
    listen.on_up = on_listen_up;
    listen.channels = r->channels;
    listen.channel_count = 1;
    listen.on_message = on_message;
    r->listen = rdsa_new(&listen);
}

void remote_start(struct remote *r, struct consumer *consumer)
{
    r->consumer = consumer;
    connect_both(r);
    r->control = control_new(&(struct control_config){.base = r->cf.base,
                                                      .settings = r->cf.settings,
                                                      .node = r->node,
                                                      .redis = r->cf.redis,
                                                      .talk = r->talk,
                                                      .clock = &r->clock,
                                                      .revoke = r->revoke,
                                                      .events = r->events,
                                                      .consumer = consumer,
                                                      .on_shutdown = on_shutdown,
                                                      .ctx = r});
}

/* ---- life ---- */

/* A name that is no UTF-8 would make every message of ours one that others stumble over. */
static char *node_name(const struct settings *s)
{
    char *name = mem_strdup(s->worker_name);

    text_make_utf8(name);
    return name;
}

struct remote *remote_new(const struct remote_config *config)
{
    struct remote *r = mem_alloc(sizeof *r);

    r->cf = *config;
    r->node = node_name(config->settings);
    r->events = events_new(&(struct events_config){.base = config->base,
                                                   .node = r->node,
                                                   .db = config->redis->db,
                                                   .on = config->settings->task_events,
                                                   .clock = &r->clock,
                                                   .load = load,
                                                   .ctx = r});
    r->revoke =
        revoke_new(&(struct revoke_config){.base = config->base,
                                           .result_expires_s = config->settings->result_expires_s,
                                           .on_change = on_revoked_changed,
                                           .on_dropped = on_delayed_dropped,
                                           .ctx = r});
    r->published = published_new(config->base, *config->settings->probe.listen != '\0');
    return r;
}

void remote_fill(struct remote *r, struct consumer_config *cf)
{
    cf->is_revoked = revoke_has;
    cf->revoked_ctx = r->revoke;
    cf->on_connected = on_connected;
    cf->connected_ctx = r;
    cf->on_news = on_news;
    cf->news_ctx = r;
}

int64_t remote_published_us(const struct remote *r)
{
    return published_at_us(r->published);
}

void remote_say_offline(struct remote *r)
{
    events_say_offline(r->events);
}

void remote_free(struct remote *r)
{
    if (r->listen) {
        rdsa_free(r->listen);
        rdsa_free(r->talk);
        control_free(r->control);
    }
    published_free(r->published);
    events_free(r->events);
    revoke_free(r->revoke);
    free(r->node);
    free(r);
}
