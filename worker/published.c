#include "worker/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/text.h"
#include "worker/figures.h"
#include "worker/job.h"

#define TELL_MS 5000

struct published {
    struct event *timer; /* NULL: nobody wants to know */
    struct rdsa *talk;
    int64_t at_us;
};

static void set(struct published *p, int64_t at_us)
{
    p->at_us = at_us;
    figures_set_published(at_us);
}

static void on_answer(void *ctx, UNUSED uint64_t number, const redisReply *r)
{
    struct published *p = ctx;
    int64_t at_us;

    if (r && r->type == REDIS_REPLY_STRING && text_to_i64(r->str, 0, INT64_MAX, &at_us)) {
        set(p, at_us);
    } else if (r && r->type == REDIS_REPLY_NIL) {
        set(p, METRIC_UNKNOWN);
    }
}

static void on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct published *p = arg;
    const char *argv[] = {"GET", KEY_PUBLISHED};

    loop_arm_ms(p->timer, PUBLISHED_LOOK_MS);
    if (p->talk && rdsa_is_up(p->talk)) {
        rdsa_command(p->talk, TELL_MS, on_answer, p, 0, ARRAY_LEN(argv), argv);
    }
}

struct published *published_new(struct event_base *base, bool look)
{
    struct published *p = mem_alloc(sizeof *p);

    p->at_us = METRIC_UNKNOWN;
    if (look) {
        p->timer = evtimer_new(base, on_timer, p);
        MUST(p->timer);
        loop_arm_ms(p->timer, 0);
    }
    return p;
}

void published_free(struct published *p)
{
    if (p->timer) {
        event_free(p->timer);
    }
    free(p);
}

void published_set_talk(struct published *p, struct rdsa *talk)
{
    p->talk = talk;
    if (talk && p->timer) {
        loop_arm_ms(p->timer, 0);
    }
}

int64_t published_at_us(const struct published *p)
{
    return p->at_us;
}

static void on_told(UNUSED void *ctx, UNUSED uint64_t number, UNUSED const redisReply *r)
{
    /* Lost while Redis is away: the next batch tells again. */
}

/* The moment of the ranking in a batch's result; false: it has published none. */
static bool read_result(const char *text, int64_t *at_us)
{
    struct err ignored;
    cJSON *o = text ? json_parse(text, strlen(text), &ignored) : NULL;
    const char *status = json_get_str(o, "status"), *at = json_get_str(o, "timestamp");
    bool made = status && at && strcmp(status, "success") == 0 && clock_parse_iso(at, at_us);

    cJSON_Delete(o);
    return made;
}

void published_on_news(struct published *p, const struct job_report *report)
{
    char number[24];
    const char *argv[] = {"SET", KEY_PUBLISHED, number};
    int64_t at_us;

    if (report->news != NEWS_SUCCEEDED || strcmp(report->job->msg.task, TASK_BATCH) != 0 ||
        !read_result(report->text, &at_us) || at_us < p->at_us) {
        return;
    }
    set(p, at_us);
    if (p->talk && rdsa_is_up(p->talk)) {
        snprintf(number, sizeof number, "%" PRId64, at_us);
        rdsa_command(p->talk, TELL_MS, on_told, p, 0, ARRAY_LEN(argv), argv);
    }
}
