#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/rds.h"
#include "common/text.h"
#include "worker/settings.h"
#include "worker/sheet.h"

#define REDIS_WAIT_MS 10000

/*
 * The source lives on a loop; here a task waits for one answer of it. Without Redis nobody is
 * asked: the pace of the whole deployment is kept there, and this can wait.
 */
struct asking {
    const struct task_request *req;
    const struct source_who *who;
    struct sheet_answer *out;
    struct err *e;
    struct event_base *base;
    struct rdsa *rdsa;
    struct source *source;
    struct source_call *call; /* NULL: not asked yet, or answered */
    struct event *look;       /* whether the task is to stop */
    struct event *give_up;    /* Redis does not come */
    bool answered;
};

static void keep_person(struct sheet_answer *out, const struct source_person *p)
{
    out->person = *p;
    out->person.stats_payload = p->stats_payload ? mem_strdup(p->stats_payload) : NULL;
    out->person.raw_payload = p->raw_payload ? mem_strdup(p->raw_payload) : NULL;
    out->has_person = true;
}

static void on_answer(void *ctx, const struct source_reply *reply)
{
    struct asking *a = ctx;

    a->call = NULL;
    a->answered = true;
    a->out->outcome = reply->outcome;
    a->out->wait_s = (reply->retry_after_ms + 999) / 1000;
    if (!text_copy(a->out->reason, sizeof a->out->reason, reply->reason)) {
        text_copy(a->out->reason, sizeof a->out->reason, "the source does not answer as it should");
    }
    if (reply->person) {
        keep_person(a->out, reply->person);
    }
    event_base_loopbreak(a->base);
}

static void on_redis(void *ctx)
{
    struct asking *a = ctx;

    event_del(a->give_up);
    if (a->call || a->answered) {
        return; /* it was away and is back */
    }
    a->call = source_sheet(a->source, a->who, on_answer, a, a->e);
    if (!a->call) {
        event_base_loopbreak(a->base);
    }
}

static void on_look(UNUSED evutil_socket_t fd, UNUSED short what, void *ctx)
{
    struct asking *a = ctx;

    if (task_cancelled(a->req, a->e)) {
        event_base_loopbreak(a->base);
    }
}

static void on_give_up(UNUSED evutil_socket_t fd, UNUSED short what, void *ctx)
{
    struct asking *a = ctx;

    err_set(a->e, ERR_RETRYABLE, "ConnectionError", "Redis does not answer");
    event_base_loopbreak(a->base);
}

static bool begin(struct asking *a, const struct rds_addr *addr)
{
    const struct rdsa_config redis = {.base = a->base,
                                      .addr = addr,
                                      .role = "source",
                                      .scripts = {{SOURCE_SCRIPTS, SOURCE_SCRIPT_COUNT}},
                                      .quiet = true,
                                      .on_up = on_redis,
                                      .ctx = a};
    struct source_config source = {.base = a->base, .settings = &a->req->settings->source};

    a->rdsa = rdsa_new(&redis);
    source.rdsa = a->rdsa;
    a->source = source_new(&source, a->e);
    a->look = event_new(a->base, -1, EV_PERSIST, on_look, a);
    a->give_up = evtimer_new(a->base, on_give_up, a);
    MUST(a->look && a->give_up);
    loop_arm_ms(a->look, TASK_WAIT_MS);
    loop_arm_ms(a->give_up, REDIS_WAIT_MS);
    return a->source != NULL;
}

static void end(struct asking *a)
{
    source_free(a->source);
    rdsa_free(a->rdsa);
    event_free(a->look);
    event_free(a->give_up);
    event_base_free(a->base);
}

bool sheet_ask(const struct task_request *req, const struct source_who *who,
               struct sheet_answer *out, struct err *e)
{
    struct asking a = {.req = req, .who = who, .out = out, .e = e};
    struct rds_addr addr;

    memset(out, 0, sizeof *out);
    if (!rds_parse_url(req->settings->redis_url, &addr, e)) {
        return false;
    }
    a.base = event_base_new();
    if (!a.base) {
        return err_set(e, ERR_RETRYABLE, "OSError", "no event loop can be made");
    }
    if (begin(&a, &addr)) {
        event_base_dispatch(a.base);
    }
    end(&a);
    return a.answered;
}

void sheet_answer_fini(struct sheet_answer *a)
{
    free(a->person.stats_payload);
    free(a->person.raw_payload);
    memset(a, 0, sizeof *a);
}
