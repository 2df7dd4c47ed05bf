#include "worker/event_news.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/event.h"
#include "worker/job.h"

#define TEXT_MAX         (16 * KIB) /* of an exception, of a traceback */
#define RESULT_BYTES_MAX (64 * KIB) /* a longer result is shown as the JSON it is */

/* ---- members ---- */

static void add_name(struct buf *out, const char *name)
{
    buf_addf(out, ", \"%s\": ", name);
}

/* At most max bytes, cut between characters; NULL: null. */
static void add_clipped(struct buf *out, const char *name, const char *text, size_t max)
{
    size_t len = text ? strlen(text) : 0;

    add_name(out, name);
    if (!text) {
        buf_addstr(out, "null");
        return;
    }
    if (len > max) {
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;) {
            len--;
        }
    }
    buf_add_json(out, text, len);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    add_clipped(out, name, text, TEXT_MAX);
}

static void add_bool(struct buf *out, const char *name, bool v)
{
    buf_addf(out, ", \"%s\": %s", name, v ? "true" : "false");
}

static void add_time(struct buf *out, const char *name, int64_t wall_us)
{
    char iso[CLOCK_ISO_SIZE];

    add_text(out, name, wall_us == MSG_NO_TIME ? NULL : clock_iso(wall_us, "+00:00", iso));
}

static void begin(struct buf *out, const struct event_head *h, const char *type)
{
    buf_addf(out, "{\"type\": \"%s\"", type);
    add_text(out, "hostname", h->node);
    buf_addf(out, ", \"pid\": %ld, \"clock\": %" PRId64 ", \"timestamp\": %" PRId64 ".%06d",
             (long)getpid(), h->clock, h->wall_us / 1000000, (int)(h->wall_us % 1000000));
}

/* ---- tasks ---- */

static void add_received(struct buf *out, const struct job_report *r)
{
    const struct msg *m = &r->job->msg;
    char repr[MSG_REPR_SIZE];

    add_text(out, "name", m->task);
    add_text(out, "args", msg_args_repr(m, repr));
    add_text(out, "kwargs", msg_kwargs_repr(m, repr));
    add_text(out, "root_id", m->root_id[0] ? m->root_id : m->id);
    add_text(out, "parent_id", m->parent[0] ? m->parent : NULL);
    buf_addf(out, ", \"retries\": %d", m->retries);
    add_time(out, "eta", m->eta_us);
    add_time(out, "expires", m->expires_us);
}

static void add_nothing(UNUSED struct buf *out, UNUSED const struct job_report *r)
{
}

/* Celery shows a result as Python does: 'text', None, True. */
static void add_succeeded(struct buf *out, const struct job_report *r)
{
    size_t len = r->text ? strlen(r->text) : 0;
    char repr[MSG_REPR_SIZE];
    struct err e;
    cJSON *v = len > 0 && len <= RESULT_BYTES_MAX ? json_parse(r->text, len, &e) : NULL;

    if (v) {
        add_text(out, "result", msg_repr_value(v, repr));
    } else {
        add_clipped(out, "result", r->text, MSG_REPR_SIZE);
    }
    cJSON_Delete(v);
    /* JSON has no infinity, and whoever adds it up wants a number. */
    buf_addf(out, ", \"runtime\": %.6f", isfinite(r->runtime_s) ? r->runtime_s : 0.0);
}

static void add_failed(struct buf *out, const struct job_report *r)
{
    add_text(out, "exception", r->text ? r->text : "");
    add_text(out, "traceback", r->traceback ? r->traceback : "");
}

static void add_revoked(struct buf *out, const struct job_report *r)
{
    add_bool(out, "terminated", r->terminated);
    if (r->terminated) {
        buf_addf(out, ", \"signum\": %d", r->signum);
    } else {
        add_text(out, "signum", NULL);
    }
    add_bool(out, "expired", r->expired);
}

static void add_rejected(struct buf *out, const struct job_report *r)
{
    add_bool(out, "requeue", r->requeue);
}

static const struct {
    const char *type;
    void (*add)(struct buf *out, const struct job_report *r);
} NEWS[] = {
    [NEWS_RECEIVED] = {"task-received", add_received},
    [NEWS_STARTED] = {"task-started", add_nothing},
    [NEWS_SUCCEEDED] = {"task-succeeded", add_succeeded},
    [NEWS_FAILED] = {"task-failed", add_failed},
    [NEWS_RETRIED] = {"task-retried", add_failed},
    [NEWS_REVOKED] = {"task-revoked", add_revoked},
    [NEWS_REJECTED] = {"task-rejected", add_rejected},
};

void event_news(struct buf *out, const struct event_head *h, const struct job_report *r)
{
    begin(out, h, NEWS[r->news].type);
    add_text(out, "uuid", r->job->msg.id);
    NEWS[r->news].add(out, r);
    buf_addch(out, '}');
}

void event_revoked(struct buf *out, const struct event_head *h, const char *id)
{
    begin(out, h, "task-revoked");
    add_text(out, "uuid", id);
    add_revoked(out, &(struct job_report){.news = NEWS_REVOKED});
    buf_addch(out, '}');
}

/* ---- the worker ---- */

/* freq is a number whatever happens: without it, stock workers log an error every 5 s. */
void event_worker(struct buf *out, const struct event_head *h, const char *type,
                  const struct events_load *load)
{
    double avg[3] = {0, 0, 0};

    if (getloadavg(avg, 3) != 3) {
        avg[0] = avg[1] = avg[2] = 0;
    }
    begin(out, h, type);
    buf_addf(out, ", \"freq\": %d.0, \"active\": %d, \"processed\": %" PRId64, EVENT_FREQ_S,
             load->active, load->processed);
    buf_addf(out, ", \"loadavg\": [%.2f, %.2f, %.2f]", avg[0], avg[1], avg[2]);
    buf_addstr(out, ", \"sw_ident\": \"aion2rank\", \"sw_ver\": \"" AION2RANK_VERSION
                    "\", \"sw_sys\": \"Linux\"}");
}
