#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctype.h>

#include "common/clock.h"
#include "common/keys.h"
#include "worker/control_parts.h"
#include "worker/job.h"
#include "worker/pool.h"
#include "worker/revoked.h"
#include "worker/task.h"

/* How things look in answers: the members and shapes that Celery's tools and Flower read. */

#define REVOKED_SHOWN 10000      /* ids in an answer, the newest */
#define ARGUMENTS_MAX (64 * KIB) /* bytes of a message whose arguments are shown as they are */

/* ---- tasks ---- */

static void add_arguments(cJSON *o, const struct msg *m, bool as_text)
{
    char repr[MSG_REPR_SIZE];

    if (as_text) {
        cJSON_AddStringToObject(o, "args", msg_args_repr(m, repr));
        cJSON_AddStringToObject(o, "kwargs", msg_kwargs_repr(m, repr));
        return;
    }
    cJSON_AddItemToObject(o, "args",
                          m->args ? cJSON_Duplicate(m->args, true) : cJSON_CreateArray());
    cJSON_AddItemToObject(o, "kwargs",
                          m->kwargs ? cJSON_Duplicate(m->kwargs, true) : cJSON_CreateObject());
}

static void add_delivery_info(cJSON *o, const struct msg *m)
{
    cJSON *info = cJSON_AddObjectToObject(o, "delivery_info");

    cJSON_AddStringToObject(info, "exchange", m->exchange ? m->exchange : "");
    cJSON_AddStringToObject(info, "routing_key", m->routing_key ? m->routing_key : "");
    cJSON_AddNumberToObject(info, "priority", m->priority);
    cJSON_AddNullToObject(info, "redelivered");
}

/* since_us, pid: 0 when it does not run. */
static cJSON *task_object(const struct control *c, const struct msg *m, bool as_text,
                          int64_t since_us, int pid)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "id", m->id);
    cJSON_AddStringToObject(o, "name", m->task);
    add_arguments(o, m, as_text);
    cJSON_AddStringToObject(o, "type", m->task);
    cJSON_AddStringToObject(o, "hostname", c->cf.node);
    cJSON_AddItemToObject(o, "time_start",
                          since_us ? cJSON_CreateNumber((double)since_us / 1e6)
                                   : cJSON_CreateNull());
    /* A message stays held until its task has ended: it is never acknowledged before. */
    cJSON_AddFalseToObject(o, "acknowledged");
    add_delivery_info(o, m);
    cJSON_AddItemToObject(o, "worker_pid", pid ? cJSON_CreateNumber(pid) : cJSON_CreateNull());
    return o;
}

cJSON *view_task(const struct control *c, const struct job *j, bool safe)
{
    bool runs = j->state == JOB_RUNNING;
    int pid = runs ? pool_job_pid(consumer_pool(c->cf.consumer), j->number) : 0;

    return task_object(c, &j->msg, safe || j->len > ARGUMENTS_MAX, runs ? j->started_wall_us : 0,
                       pid);
}

cJSON *view_scheduled(const struct control *c, const char *member, size_t len, int64_t due_ms)
{
    struct err e;
    struct msg m = {0};
    cJSON *v = json_parse(member, len, &e), *o = cJSON_CreateObject();
    const char *text = json_get_str(v, "m");
    char iso[CLOCK_ISO_SIZE];

    if (text) {
        (void)msg_parse(text, strlen(text), &m, &e); /* what could be read is shown */
    }
    cJSON_AddStringToObject(o, "eta", clock_iso(due_ms * 1000, "+00:00", iso));
    cJSON_AddNumberToObject(o, "priority", 6); /* of Celery's timer: always this */
    cJSON_AddItemToObject(o, "request", task_object(c, &m, len > ARGUMENTS_MAX, 0, 0));
    msg_fini(&m);
    cJSON_Delete(v);
    return o;
}

/* ---- revoked ids ---- */

struct shown {
    cJSON *v;
    int left;
    bool stamps;
};

static bool show_revoked(void *ctx, const struct revoked_entry *e)
{
    struct shown *s = ctx;
    cJSON *pair;
    char stamp[32];

    if (!s->stamps) {
        cJSON_AddItemToArray(s->v, cJSON_CreateString(e->id));
    } else {
        /* Celery takes nothing but a number with a fraction. */
        snprintf(stamp, sizeof stamp, "%" PRId64 ".%03d", e->at_ms / 1000, (int)(e->at_ms % 1000));
        pair = cJSON_AddArrayToObject(s->v, e->id);
        cJSON_AddItemToArray(pair, cJSON_CreateRaw(stamp));
        cJSON_AddItemToArray(pair, cJSON_CreateString(e->id));
    }
    return --s->left > 0;
}

cJSON *view_revoked(const struct control *c, bool stamps)
{
    struct shown s = {.v = stamps ? cJSON_CreateObject() : cJSON_CreateArray(),
                      .left = REVOKED_SHOWN,
                      .stamps = stamps};

    revoked_each(revoke_set(c->cf.revoke), show_revoked, &s);
    return s.v;
}

/* ---- queues ---- */

cJSON *view_queue(const char *name)
{
    static const char *const NULLS[] = {"queue_arguments", "binding_arguments",
                                        "consumer_arguments"};
    static const char *const MORE_NULLS[] = {"no_declare", "expires",          "message_ttl",
                                             "max_length", "max_length_bytes", "max_priority"};
    cJSON *o = cJSON_CreateObject();
    cJSON *x;

    cJSON_AddStringToObject(o, "name", name);
    x = cJSON_AddObjectToObject(o, "exchange");
    cJSON_AddStringToObject(x, "name", name);
    cJSON_AddStringToObject(x, "type", "direct");
    cJSON_AddNullToObject(x, "arguments");
    cJSON_AddTrueToObject(x, "durable");
    cJSON_AddFalseToObject(x, "passive");
    cJSON_AddFalseToObject(x, "auto_delete");
    cJSON_AddNullToObject(x, "delivery_mode");
    cJSON_AddFalseToObject(x, "no_declare");
    cJSON_AddStringToObject(o, "routing_key", name);
    for (size_t i = 0; i < ARRAY_LEN(NULLS); i++) {
        cJSON_AddNullToObject(o, NULLS[i]);
    }
    cJSON_AddTrueToObject(o, "durable");
    cJSON_AddFalseToObject(o, "exclusive");
    cJSON_AddFalseToObject(o, "auto_delete");
    cJSON_AddFalseToObject(o, "no_ack");
    cJSON_AddNullToObject(o, "alias");
    cJSON_AddArrayToObject(o, "bindings");
    for (size_t i = 0; i < ARRAY_LEN(MORE_NULLS); i++) {
        cJSON_AddNullToObject(o, MORE_NULLS[i]);
    }
    return o;
}

/* ---- stats ---- */

static void add_pid(void *ctx, const struct pool_child *child)
{
    cJSON_AddItemToArray(ctx, cJSON_CreateNumber(child->pid));
}

static void add_pool(const struct control *c, cJSON *o)
{
    const struct pool *pool = consumer_pool(c->cf.consumer);
    int64_t max_tasks = c->cf.settings->max_tasks_per_child;
    cJSON *p = cJSON_AddObjectToObject(o, "pool");
    cJSON *limits;

    cJSON_AddStringToObject(p, "implementation", "aion2rank:prefork");
    cJSON_AddNumberToObject(p, "max-concurrency", pool_size(pool));
    pool_each_child(pool, add_pid, cJSON_AddArrayToObject(p, "processes"));
    if (max_tasks > 0) {
        cJSON_AddNumberToObject(p, "max-tasks-per-child", (double)max_tasks);
    } else {
        cJSON_AddStringToObject(p, "max-tasks-per-child", "N/A");
    }
    cJSON_AddFalseToObject(p, "put-guarded-by-semaphore");
    limits = cJSON_AddArrayToObject(p, "timeouts"); /* each task has its own */
    cJSON_AddItemToArray(limits, cJSON_CreateNumber(0));
    cJSON_AddItemToArray(limits, cJSON_CreateNumber(0));
}

static void add_broker(const struct control *c, cJSON *o)
{
    const struct rds_addr *a = c->cf.redis;
    const struct rds_place *first = a->sentinel_count > 0 ? &a->sentinels[0] : NULL;
    cJSON *b = cJSON_AddObjectToObject(o, "broker");
    char db[16];

    snprintf(db, sizeof db, "%d", a->db);
    cJSON_AddStringToObject(b, "hostname", first ? first->host : a->path[0] ? a->path : a->host);
    cJSON_AddItemToObject(b, "userid",
                          a->user[0] ? cJSON_CreateString(a->user) : cJSON_CreateNull());
    cJSON_AddStringToObject(b, "virtual_host", db);
    cJSON_AddNumberToObject(b, "port", first ? first->port : a->port);
    cJSON_AddFalseToObject(b, "insist");
    cJSON_AddFalseToObject(b, "ssl");
    cJSON_AddStringToObject(b, "transport", first ? "sentinel" : "redis");
    cJSON_AddNumberToObject(b, "connect_timeout", RDSA_CONNECT_MS / 1000);
    cJSON_AddObjectToObject(b, "transport_options");
    cJSON_AddNullToObject(b, "login_method");
    cJSON_AddNullToObject(b, "uri_prefix");
    cJSON_AddNumberToObject(b, "heartbeat", BROKER_HEARTBEAT_EVERY_MS / 1000);
    cJSON_AddStringToObject(b, "failover_strategy", "round-robin");
    cJSON_AddArrayToObject(b, "alternates");
}

static double seconds(const struct timeval *tv)
{
    return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

static void add_rusage(cJSON *o)
{
    struct rusage u = {0};
    cJSON *r = cJSON_AddObjectToObject(o, "rusage");

    getrusage(RUSAGE_SELF, &u);
    cJSON_AddNumberToObject(r, "utime", seconds(&u.ru_utime));
    cJSON_AddNumberToObject(r, "stime", seconds(&u.ru_stime));
    {
        const struct {
            const char *name;
            long v;
        } NUMBERS[] = {
            {"maxrss", u.ru_maxrss}, {"ixrss", u.ru_ixrss},     {"idrss", u.ru_idrss},
            {"isrss", u.ru_isrss},   {"minflt", u.ru_minflt},   {"majflt", u.ru_majflt},
            {"nswap", u.ru_nswap},   {"inblock", u.ru_inblock}, {"oublock", u.ru_oublock},
            {"msgsnd", u.ru_msgsnd}, {"msgrcv", u.ru_msgrcv},   {"nsignals", u.ru_nsignals},
            {"nvcsw", u.ru_nvcsw},   {"nivcsw", u.ru_nivcsw},
        };

        for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
            cJSON_AddNumberToObject(r, NUMBERS[i].name, (double)NUMBERS[i].v);
        }
    }
}

static void add_totals(const struct control *c, cJSON *o)
{
    cJSON *total = cJSON_AddObjectToObject(o, "total");
    const struct task *t;

    for (size_t i = 0; (t = task_at(i, c->cf.settings)) != NULL; i++) {
        if (task_state_of(t)->total > 0) {
            cJSON_AddNumberToObject(total, t->name, (double)task_state_of(t)->total);
        }
    }
}

/* What Celery has no place for. */
static void add_own(const struct control *c, cJSON *o)
{
    const struct consumer_stats *s = consumer_stats(c->cf.consumer);
    struct events_figures events = events_figures(c->cf.events);
    cJSON *own = cJSON_AddObjectToObject(o, "aion2");
    const struct {
        const char *name;
        int64_t v;
    } NUMBERS[] = {
        {"taken", s->taken},          {"succeeded", s->succeeded},
        {"failed", s->failed},        {"retried", s->retried},
        {"revoked", s->revoked},      {"requeued", s->requeued},
        {"events_sent", events.sent}, {"events_dropped", events.dropped},
    };

    cJSON_AddStringToObject(own, "boot", consumer_broker(c->cf.consumer)->boot);
    cJSON_AddStringToObject(own, "version", AION2RANK_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        cJSON_AddNumberToObject(own, NUMBERS[i].name, (double)NUMBERS[i].v);
    }
}

cJSON *view_stats(const struct control *c)
{
    cJSON *o = cJSON_CreateObject();
    char clock[24];

    snprintf(clock, sizeof clock, "%" PRId64, c->cf.clock->n);
    add_totals(c, o);
    cJSON_AddNumberToObject(o, "pid", getpid());
    cJSON_AddStringToObject(o, "clock", clock); /* a text there, too */
    cJSON_AddNumberToObject(o, "uptime", (double)((clock_mono_ms() - c->started_ms) / 1000));
    add_pool(c, o);
    add_broker(c, o);
    cJSON_AddNumberToObject(o, "prefetch_count", consumer_stats(c->cf.consumer)->prefetch);
    add_rusage(o);
    add_own(c, o);
    return o;
}

/* ---- settings ---- */

struct conf_view {
    cJSON *o;
    bool with_defaults;
};

/* "TASK_QUEUE" becomes "aion2_task_queue", beside Celery's own names. */
static void add_setting(void *ctx, const struct conf_item *item, const char *value, bool from_env)
{
    struct conf_view *v = ctx;
    char name[80];

    if (!from_env && !v->with_defaults) {
        return;
    }
    snprintf(name, sizeof name, "aion2_%s", item->name);
    for (char *p = name; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    cJSON_AddStringToObject(v->o, name, value);
}

cJSON *view_conf(const struct control *c, bool with_defaults)
{
    const struct settings *s = c->cf.settings;
    struct conf_view v = {.o = cJSON_CreateObject(), .with_defaults = with_defaults};

    cJSON_AddStringToObject(v.o, "broker_url", conf_mask_url(s->redis_url));
    cJSON_AddStringToObject(v.o, "result_backend", conf_mask_url(s->redis_url));
    cJSON_AddStringToObject(v.o, "task_default_queue", s->task_queue);
    cJSON_AddNumberToObject(v.o, "worker_concurrency", (double)s->concurrency);
    cJSON_AddNumberToObject(v.o, "result_expires", (double)s->result_expires_s);
    cJSON_AddBoolToObject(v.o, "worker_send_task_events", s->task_events);
    cJSON_AddTrueToObject(v.o, "task_acks_late");
    cJSON_AddStringToObject(v.o, "timezone", "UTC");
    conf_each(SETTINGS_ITEMS, SETTINGS_COUNT, add_setting, &v);
    return v.o;
}

/* ---- report ---- */

static void add_line(void *ctx, const struct conf_item *item, const char *value, bool from_env)
{
    buf_addf(ctx, "%s: %s%s\n", item->name, value, from_env ? "" : " (default)");
}

char *view_report(const struct control *c)
{
    struct utsname u = {0};
    struct buf b;

    uname(&u);
    buf_init(&b, MIB);
    buf_addf(&b, "\nsoftware -> aion2rank:%s hiredis:%d.%d.%d cjson:%s libevent:%s\n",
             AION2RANK_VERSION, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, cJSON_Version(),
             event_get_version());
    buf_addf(&b, "platform -> system:%s release:%s arch:%s\n", u.sysname, u.release, u.machine);
    buf_addf(&b, "transport:redis results:redis node:%s\n\n", c->cf.node);
    conf_each(SETTINGS_ITEMS, SETTINGS_COUNT, add_line, &b);
    return buf_take(&b, NULL);
}
