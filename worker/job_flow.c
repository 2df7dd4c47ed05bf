#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/job_parts.h"

#define CHORD_WAIT_MS 10000 /* for the size of a chord whose sender is still at it */
/* A chord that becomes complete while we wait may be about to be ended by a Python worker that
 * counted the last part: only after so many looks nobody will. */
#define COMPLETE_LOOKS 10

void job_end_fini(struct job_end *end)
{
    if (end->flow) {
        flow_fini(end->flow);
    }
    free(end->flow);
    free(end->result);
    free(end->traceback);
    free(end->dead);
    *end = (struct job_end){0};
}

static int priority_of_task(const void *settings, const char *name)
{
    const struct task *t = task_find(name, settings);

    return t ? t->priority : 0;
}

static struct flow_env env_of(const struct job *j, const struct settings *s)
{
    return (struct flow_env){.queue = s->task_queue,
                             .origin = s->worker_name,
                             .reply_to = j->who.boot,
                             .now_us = clock_wall_us(),
                             .new_id = uuid_random,
                             .priority = priority_of_task,
                             .priority_ctx = s};
}

static bool succeeded(const struct job *j)
{
    return strcmp(j->end.status, "SUCCESS") == 0;
}

/* ---- the step ---- */

/* Says it. Without a result, memory being out, nothing is said and the message comes again. */
static void build_step(struct job *j, const struct settings *s)
{
    struct job_end *x = &j->end;
    struct broker_hold h = {.tag = j->tag, .id = j->msg.id};
    struct result_who who = {.id = j->msg.id, .group = j->msg.group, .parent = j->msg.parent};
    struct result_doc d = {.status = x->status,
                           .result = x->result,
                           .traceback = x->traceback,
                           .children = x->flow ? x->flow->children : NULL,
                           .done_us = clock_wall_us()};
    char *doc = result_document(&who, &d);
    struct broker_end end = {.doc = j->msg.ignore_result ? NULL : doc,
                             .success = succeeded(j),
                             .expires_s = s->result_expires_s,
                             .dead = x->dead,
                             .follows = x->flow ? x->flow->items : NULL,
                             .follow_count = x->flow ? (int)x->flow->count : 0};

    job_begin_step(j, JOB_ENDING);
    broker_finish(&j->cmd, &j->who, &h, &end);
    j->cmd.failed |= !doc;
    free(doc);
    job_end_fini(x);
}

static void count_part(struct job *j, const struct settings *s, const struct flow_part *p)
{
    struct broker_part part = {.group = p->group,
                               .id = p->id,
                               .score = p->score,
                               .member = p->member,
                               .len = strlen(p->member),
                               .expires_s = s->result_expires_s,
                               .again = j->end.waits};

    job_begin_step(j, JOB_COUNTING);
    broker_chord_part(&j->cmd, &part);
}

static void go_on(struct job *j, const struct settings *s)
{
    const struct flow_part *p = j->end.flow ? flow_part(j->end.flow) : NULL;

    if (p) {
        count_part(j, s, p);
    } else {
        build_step(j, s);
    }
}

/* ---- what follows ---- */

static bool has_flow(const struct msg *m)
{
    return m->callbacks || m->errbacks || m->chain || (m->chord && m->group[0] != '\0');
}

static bool build_flow(struct job *j, const struct settings *s, struct err *e)
{
    struct flow_env env = env_of(j, s);
    struct flow_failure x = {
        .status = j->end.status, .exception = j->end.result, .traceback = j->end.traceback};

    return succeeded(j) ? flow_succeed(j->end.flow, &env, &j->msg, j->end.result, e)
                        : flow_fail(j->end.flow, &env, &j->msg, &x, e);
}

/* The work is done, and what should follow cannot be sent: that is a failure its sender sees. When
 * not even the failure can be told to all, it is told to who asks for this task. */
static void on_no_flow(struct job *j, const struct settings *s, const struct err *e)
{
    struct result_exception x = {.type = e->type, .text = e->text};

    log_error("task.flow_failed", JOB_LOG " error=%s", JOB_LOG_ARGS(j), LOGQ(e->text));
    if (e->cls == ERR_RETRYABLE) {
        job_begin_step(j, JOB_ENDING);
        j->cmd.failed = true; /* memory is out: the message comes again */
    } else if (succeeded(j)) {
        job_end_fini(&j->end);
        job_end_failure(j, s, &x);
    } else {
        flow_fini(j->end.flow);
        flow_init(j->end.flow);
        build_step(j, s);
    }
}

void job_finish(struct job *j, const struct settings *s)
{
    struct err e;

    if (!has_flow(&j->msg) || !j->end.result) {
        build_step(j, s);
        return;
    }
    j->end.flow = mem_alloc(sizeof *j->end.flow);
    flow_init(j->end.flow);
    if (build_flow(j, s, &e)) {
        go_on(j, s);
    } else {
        on_no_flow(j, s, &e);
    }
}

/* ---- chords ---- */

const char *job_chord(const struct job *j)
{
    const struct flow_part *p = j->end.flow ? flow_part(j->end.flow) : NULL;

    return p ? p->group : "";
}

static int64_t number_or(const char *text, int64_t fallback)
{
    char *end;
    long long v;

    if (!text) {
        return fallback;
    }
    v = strtoll(text, &end, 10);
    return *text != '\0' && *end == '\0' && v >= 0 && v <= INT32_MAX ? v : fallback;
}

/* NULL members: not complete, or memory is out. */
static struct flow_count count_of(const struct broker_chord *c, const char **members)
{
    struct flow_count out = {
        .fired = c->ended, .ready = c->parts, .size = number_or(c->size, -1), .saved = c->saved};

    if (out.size >= 0) {
        out.size += number_or(c->more, 0);
    }
    if (!c->members || !members) {
        return out;
    }
    for (size_t i = 0; i < c->members->elements; i++) {
        members[i] = c->members->element[i]->str;
    }
    out.members = members;
    out.member_count = c->members->elements;
    return out;
}

/* The sender writes the size behind the first parts: it may come yet, but not for ever. */
static bool is_worth_waiting(struct job *j, const struct flow_count *count, bool somebody_waits)
{
    int64_t now_ms = clock_mono_ms();

    if (flow_is_counted(count)) {
        return count->members && j->end.give_up_ms != 0 && ++j->end.complete_count < COMPLETE_LOOKS;
    }
    if (j->end.give_up_ms == 0) {
        j->end.give_up_ms = now_ms + CHORD_WAIT_MS;
    }
    if (somebody_waits || now_ms >= j->end.give_up_ms) {
        if (!somebody_waits) {
            log_warn("chord.size_unknown", JOB_LOG " group=%s", JOB_LOG_ARGS(j),
                     LOGQ(job_chord(j)));
        }
        return false;
    }
    return true;
}

void job_counted(struct job *j, const struct settings *s, const redisReply *r, bool somebody_waits)
{
    struct flow_env env = env_of(j, s);
    struct broker_chord chord;
    struct flow_count count;
    const char **members = NULL;
    struct err e;
    bool ok;

    if (!broker_read_chord(r, &chord) || chord.parts == -1) {
        log_warn("chord.broken", JOB_LOG " group=%s", JOB_LOG_ARGS(j), LOGQ(job_chord(j)));
        chord = (struct broker_chord){.ended = true};
    }
    if (chord.members) {
        members = mem_try_array(chord.members->elements + 1, sizeof *members);
    }
    count = count_of(&chord, members);
    if (is_worth_waiting(j, &count, somebody_waits)) {
        j->end.waits = true;
        count_part(j, s, flow_part(j->end.flow));
        free(members);
        return;
    }
    j->end.waits = false;
    j->end.give_up_ms = 0;
    j->end.complete_count = 0;
    if (chord.too_large || (chord.members && !members)) {
        ok = flow_chord_failed(j->end.flow, &env, "the results of its parts are too large", &e);
    } else {
        ok = flow_counted(j->end.flow, &env, &j->msg, &count, &e);
    }
    free(members);
    if (ok) {
        go_on(j, s);
    } else {
        on_no_flow(j, s, &e);
    }
}
