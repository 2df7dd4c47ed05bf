#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"
#include "worker/figures.h"
#include "worker/job_parts.h"
#include "worker/retry.h"

#define REPORT_RESULT_MAX (64 * KIB) /* of a result that listeners are told */

void job_begin_step(struct job *j, enum job_state state)
{
    command_fini(&j->cmd);
    j->state = state;
}

static struct broker_hold hold_of(const struct job *j)
{
    return (struct broker_hold){.tag = j->tag, .id = j->msg.id};
}

/* ---- what listeners are told ---- */

/* Takes text and traceback (either may be NULL). */
static void report(struct job *j, enum job_news news, char *text, char *traceback)
{
    free(j->report_text);
    free(j->report_traceback);
    j->report_text = text;
    j->report_traceback = traceback;
    j->report = (struct job_report){.news = news, .text = text, .traceback = traceback};
}

static char *exception_text(const char *exception_json)
{
    cJSON *v = exception_json ? json_parse(exception_json, strlen(exception_json), NULL) : NULL;
    char repr[RESULT_REPR_SIZE];
    char *text = strdup(result_exception_repr(v, repr));

    cJSON_Delete(v);
    return text;
}

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* ---- success ---- */

static void end_success(struct job *j, const struct settings *s, const struct pool_outcome *o)
{
    char *result = mem_try_array(o->value_len + 1, 1);

    log_info("task.succeeded", JOB_LOG " ms=%" PRId64 " wait_ms=%" PRId64, JOB_LOG_ARGS(j),
             o->run_us / 1000, job_waited_ms(j));
    if (result) {
        memcpy(result, o->value, o->value_len);
    }
    report(j, NEWS_SUCCEEDED,
           o->value_len <= REPORT_RESULT_MAX ? copy_or_null(result) : strdup("\"(large)\""), NULL);
    j->report.runtime_s = (double)o->run_us / 1e6;
    j->end.status = "SUCCESS";
    j->end.result = result;
    job_finish(j, s);
}

/* ---- failure ---- */

/* Why it failed, as a text for people where Celery has Python's traceback. */
static char *failure_text(const struct job *j, const struct settings *s, const char *error)
{
    const char *log = j->loss ? j->loss->log_tail : "";
    struct buf b;

    buf_init(&b, 16 * KIB);
    buf_addf(&b, "%s, task %s", s->worker_name, j->msg.task[0] ? j->msg.task : "(unknown)");
    if (j->task) {
        buf_addf(&b, ", attempt %d of %d", j->msg.retries + 1, j->task->max_retries + 1);
    }
    buf_addf(&b, "\n%s\n", error);
    if (*log) {
        buf_addf(&b, "Its process said last:\n%s", log);
    }
    return buf_take(&b, NULL);
}

static char *dead_letter(const struct job *j, const char *error)
{
    struct result_dead d = {.id = j->msg.id,
                            .task = j->msg.task,
                            .error = error,
                            .retries = j->msg.retries,
                            .signal = j->loss ? j->loss->signal : 0,
                            .log = j->loss ? j->loss->log_tail : NULL,
                            .bytes = j->bytes,
                            .len = j->len};

    return result_dead_letter(&d);
}

void job_end_failure(struct job *j, const struct settings *s, const struct result_exception *x)
{
    char error[512];

    if (x->text) {
        snprintf(error, sizeof error, "%s: %s", x->type, x->text);
    } else {
        snprintf(error, sizeof error, "%s: %" PRId64, x->type, x->number);
    }
    text_make_utf8(error);
    log_warn("task.failed", JOB_LOG " ms=%" PRId64 " wait_ms=%" PRId64 " error=%s", JOB_LOG_ARGS(j),
             job_ran_ms(j), job_waited_ms(j), LOGQ(error));
    j->end.status = "FAILURE";
    j->end.result = result_exception_json(x);
    j->end.traceback = failure_text(j, s, error);
    j->end.dead = dead_letter(j, error);
    report(j, NEWS_FAILED, exception_text(j->end.result), copy_or_null(j->end.traceback));
    if (!j->end.dead) { /* memory is out: nothing is said, the message comes again */
        free(j->end.result);
        j->end.result = NULL;
    }
    job_finish(j, s);
}

const struct job_revoke JOB_REVOKED = {.why = "revoked"};
const struct job_revoke JOB_EXPIRED = {.why = "expired", .expired = true};

void job_end_revoked(struct job *j, const struct settings *s, const struct job_revoke *r)
{
    struct result_exception x = {.type = "TaskRevokedError", .text = r->why};

    log_info("task.revoked", JOB_LOG " reason=%s", JOB_LOG_ARGS(j), r->why);
    report(j, NEWS_REVOKED, NULL, NULL);
    j->report.expired = r->expired;
    j->report.terminated = r->terminated;
    j->report.signum = r->signum;
    j->end.status = "REVOKED";
    j->end.result = result_exception_json(&x);
    job_finish(j, s);
}

void job_end_terminated(struct job *j, const struct settings *s, int signum)
{
    job_end_revoked(
        j, s, &(struct job_revoke){.why = "terminated", .terminated = true, .signum = signum});
}

/* ---- later ---- */

void job_end_delay(struct job *j)
{
    struct broker_hold h = hold_of(j);
    struct broker_later later = {
        .bytes = j->bytes, .len = j->len, .due_ms = (j->msg.eta_us + 999) / 1000};
    char iso[CLOCK_ISO_SIZE];

    log_info("task.delayed", JOB_LOG " eta=%s", JOB_LOG_ARGS(j),
             clock_iso(j->msg.eta_us, "Z", iso));
    job_begin_step(j, JOB_ENDING);
    broker_delay(&j->cmd, &j->who, &h, &later);
}

void job_end_postpone(struct job *j, int64_t in_ms)
{
    struct broker_hold h = hold_of(j);
    struct broker_later later = {
        .bytes = j->bytes, .len = j->len, .due_ms = in_ms, .relative = true};

    log_debug("task.postponed", JOB_LOG " ms=%" PRId64, JOB_LOG_ARGS(j), in_ms);
    job_begin_step(j, JOB_ENDING);
    broker_delay(&j->cmd, &j->who, &h, &later);
}

/* The message of the next attempt; NULL when it has become too long or memory is out. It says when
 * it is due, by the estimate of Redis' clock that is never late. */
static char *next_attempt(struct job *j, int64_t delay_s, size_t *len)
{
    int64_t now_ms = j->taken_ms + clock_mono_ms() - j->received_ms;
    struct err e;

    if (!msg_set_retries(&j->msg, j->msg.retries + 1, (now_ms + delay_s * 1000) * 1000, &e)) {
        return NULL;
    }
    return msg_print(&j->msg, len);
}

static void end_retry(struct job *j, const struct settings *s, const struct result_exception *x,
                      int64_t wait_s)
{
    struct retry_times t = {.base_s = task_retry_base_s(j->task, s),
                            .retries = j->msg.retries,
                            .max_retries = j->task->max_retries,
                            .now_us = clock_wall_us(),
                            .wait_s = wait_s};
    int64_t delay_s = retry_next_s(&t);
    char plan[RETRY_PLAN_SIZE], json[RETRY_PLAN_SIZE];
    struct broker_hold h = hold_of(j);
    struct result_who who = {.id = j->msg.id, .group = j->msg.group, .parent = j->msg.parent};
    struct broker_later later = {
        .due_ms = delay_s * 1000, .relative = true, .expires_s = s->result_expires_s};
    char *text, *doc, *exception;

    retry_plan(plan, &t);
    doc = result_retry(&who, x, plan, retry_plan_json(json, &t));
    text = next_attempt(j, delay_s, &later.len);
    if (!text) {
        j->msg.retries = t.retries;
        free(doc);
        job_end_failure(j, s, x);
        return;
    }
    /* The message is that of the next attempt by now. */
    log_warn("task.retry", JOB_LOG " error=%s plan=%s", LOGQ(j->msg.id), LOGQ(j->msg.task),
             j->msg.retries, LOGQ(x->text), LOGQ(plan));
    exception = result_exception_json(x);
    report(j, NEWS_RETRIED, exception_text(exception), strdup(plan));
    free(exception);
    later.bytes = text;
    later.doc = j->msg.ignore_result ? NULL : doc;
    job_begin_step(j, JOB_ENDING);
    broker_retry(&j->cmd, &j->who, &h, &later);
    j->cmd.failed |= !doc;
    free(text);
    free(doc);
}

void job_end_requeue(struct job *j)
{
    report(j, NEWS_REJECTED, NULL, NULL);
    j->report.requeue = true;
    job_begin_step(j, JOB_ENDING);
    broker_requeue(&j->cmd, &j->who, j->tag);
}

void job_end_quarantine(struct job *j, const char *reason)
{
    struct buf b64;
    bool ok;

    log_error("task.quarantined", "bytes=%zu reason=%s", j->len, LOGQ(reason));
    figures_quarantined(1);
    buf_init(&b64, 2 * MSG_BYTES_MAX);
    ok = b64_encode(&b64, j->bytes, j->len);
    job_begin_step(j, JOB_ENDING);
    broker_quarantine(&j->cmd, &j->who, j->tag, reason, b64.data ? b64.data : "");
    j->cmd.failed |= !ok;
    buf_fini(&b64);
}

/* ---- the child's end ---- */

static void keep_loss(struct job *j, const struct pool_outcome *loss)
{
    free(j->loss);
    j->loss = mem_alloc(sizeof *j->loss);
    *j->loss = *loss;
    j->loss->frame = j->loss->value = NULL;
    text_make_utf8(j->loss->log_tail);
}

void job_lose(struct job *j, const struct pool_outcome *loss)
{
    struct broker_hold h = hold_of(j);

    keep_loss(j, loss);
    job_begin_step(j, JOB_LOSING);
    broker_lost(&j->cmd, &j->who, &h);
}

void job_end_lost(struct job *j, const struct settings *s)
{
    char text[160];
    struct result_exception x = {.type = "WorkerLostError", .text = text};

    if (j->loss->signal) {
        snprintf(text, sizeof text, "the process that ran it was killed by signal %d (%s), twice",
                 j->loss->signal, strsignal(j->loss->signal));
    } else {
        snprintf(text, sizeof text, "the process that ran it ended with exit code %d, twice",
                 j->loss->exit_code);
    }
    job_end_failure(j, s, &x);
}

void job_end_time_limit(struct job *j, const struct settings *s, const struct pool_outcome *o)
{
    struct result_exception x = {.type = "TimeLimitExceeded", .number = o->limit_ms / 1000};

    keep_loss(j, o);
    job_end_failure(j, s, &x);
}

static enum err_class class_of(const char *name)
{
    for (int c = 0; name && c < ERR_CLASS_COUNT; c++) {
        if (strcmp(name, err_class_name((enum err_class)c)) == 0) {
            return (enum err_class)c;
        }
    }
    return ERR_PERMANENT;
}

/*
 * The four classes: a retryable error is tried again while attempts are left; a permanent one is
 * a failure; a cancelled task failed because it was asked to stop, and says no more than that, as
 * in Celery; a lost child's is above.
 */
void job_end_answer(struct job *j, const struct settings *s, const struct pool_outcome *outcome)
{
    struct err e = {.type = "RuntimeError", .text = "the task's process gave no sensible answer"};
    struct result_exception x = {.type = e.type, .text = e.text};
    enum err_class cls;
    int64_t wait_s = 0;
    cJSON *o;

    if (outcome->ok) {
        end_success(j, s, outcome);
        return;
    }
    o = json_parse(outcome->frame, outcome->len, &e);
    cls = class_of(json_get_str(o, "class"));
    x.type = json_get_str(o, "type") ? json_get_str(o, "type") : e.type;
    x.text = json_get_str(o, "text") ? json_get_str(o, "text") : e.text;
    if (cls == ERR_CANCELLED && strcmp(x.type, "SoftTimeLimitExceeded") == 0) {
        x.text = "";
    }
    if (retry_wanted(cls, j->msg.retries, j->task->max_retries)) {
        json_get_i64(o, "wait_s", 0, INT32_MAX, &wait_s);
        end_retry(j, s, &x, wait_s);
    } else {
        job_end_failure(j, s, &x);
    }
    cJSON_Delete(o);
}

/* ---- the begin ---- */

bool job_tracks_start(const struct job *j, const struct settings *s)
{
    return !j->msg.ignore_result && (j->task->track_started || s->track_started);
}

char *job_started_doc(const struct job *j, const struct settings *s, int pid)
{
    struct result_who who = {.id = j->msg.id, .group = j->msg.group, .parent = j->msg.parent};

    return result_started(&who, pid, s->worker_name);
}
