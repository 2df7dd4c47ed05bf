#include "worker/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/child.h"
#include "worker/retry.h"

struct job *job_new(uint64_t number, const struct broker *who, const struct broker_taken *t)
{
    struct job *j = mem_alloc(sizeof *j);

    j->bytes = mem_try_array(t->len + 1, 1);
    if (!j->bytes) {
        free(j);
        return NULL;
    }
    memcpy(j->bytes, t->bytes, t->len);
    j->len = t->len;
    j->number = number;
    j->who = *who;
    j->taken_ms = t->now_ms;
    j->received_ms = clock_mono_ms();
    j->recoveries = t->recoveries;
    snprintf(j->tag, sizeof j->tag, "%s", t->tag);
    return j;
}

void job_free(struct job *j)
{
    broker_cmd_fini(&j->cmd);
    msg_fini(&j->msg);
    free(j->report_text);
    free(j->report_traceback);
    free(j->bytes);
    free(j);
}

/* ---- endings ---- */

static struct broker_hold hold_of(const struct job *j)
{
    return (struct broker_hold){.tag = j->tag, .id = j->msg.id};
}

static struct result_who who_of(const struct job *j)
{
    return (struct result_who){.id = j->msg.id, .group = j->msg.group, .parent = j->msg.parent};
}

static void begin_step(struct job *j, enum job_state state)
{
    broker_cmd_fini(&j->cmd);
    j->state = state;
}

/* Takes doc and dead (either may be NULL: none). */
static void end_finish(struct job *j, const struct settings *s, char *doc, bool success, char *dead)
{
    struct broker_hold h = hold_of(j);
    struct broker_end end = {.doc = j->msg.ignore_result ? NULL : doc,
                             .success = success,
                             .expires_s = s->result_expires_s,
                             .dead = dead};

    begin_step(j, JOB_ENDING);
    broker_finish(&j->cmd, &j->who, &h, &end);
    j->cmd.failed |= !doc; /* memory was out: nothing is sent, the message comes again */
    free(doc);
    free(dead);
}

void job_end_failure(struct job *j, const struct settings *s, const struct result_exception *x)
{
    struct result_who who = who_of(j);
    char error[512];
    struct result_dead d = {.id = j->msg.id,
                            .task = j->msg.task,
                            .error = error,
                            .retries = j->msg.retries,
                            .bytes = j->bytes,
                            .len = j->len};
    char *dead;
    bool lost;

    if (x->text) {
        snprintf(error, sizeof error, "%s: %s", x->type, x->text);
    } else {
        snprintf(error, sizeof error, "%s: %" PRId64, x->type, x->number);
    }
    log_warn("task.failed", "id=%s task=%s retries=%d error=%s", LOGQ(j->msg.id), LOGQ(j->msg.task),
             j->msg.retries, LOGQ(error));
    dead = result_dead_letter(&d);
    lost = !dead;
    end_finish(j, s, result_failure(&who, "FAILURE", x, NULL, clock_wall_us()), false, dead);
    j->cmd.failed |= lost; /* as without a document */
}

const struct job_revoke JOB_REVOKED = {.why = "revoked"};

void job_end_revoked(struct job *j, const struct settings *s, const struct job_revoke *r)
{
    struct result_exception x = {.type = "TaskRevokedError", .text = r->why};
    struct result_who who = who_of(j);

    log_info("task.revoked", "id=%s task=%s reason=%s", LOGQ(j->msg.id), LOGQ(j->msg.task), r->why);
    j->report = (struct job_report){.news = NEWS_REVOKED,
                                    .expired = r->expired,
                                    .terminated = r->terminated,
                                    .signum = r->signum};
    end_finish(j, s, result_failure(&who, "REVOKED", &x, NULL, clock_wall_us()), false, NULL);
}

void job_end_terminated(struct job *j, const struct settings *s, int signum)
{
    job_end_revoked(
        j, s, &(struct job_revoke){.why = "terminated", .terminated = true, .signum = signum});
}

static void end_success(struct job *j, const struct settings *s, const cJSON *value)
{
    struct result_who who = who_of(j);

    log_info("task.succeeded", "id=%s task=%s retries=%d ms=%" PRId64, LOGQ(j->msg.id),
             LOGQ(j->msg.task), j->msg.retries, clock_mono_ms() - j->started_ms);
    end_finish(j, s, result_success(&who, value, clock_wall_us()), true, NULL);
}

static void end_delay(struct job *j)
{
    struct broker_hold h = hold_of(j);
    struct broker_later later = {
        .bytes = j->bytes, .len = j->len, .due_ms = (j->msg.eta_us + 999) / 1000};
    char iso[CLOCK_ISO_SIZE];

    log_info("task.delayed", "id=%s task=%s eta=%s", LOGQ(j->msg.id), LOGQ(j->msg.task),
             clock_iso(j->msg.eta_us, "Z", iso));
    begin_step(j, JOB_ENDING);
    broker_delay(&j->cmd, &j->who, &h, &later);
}

/* The message of the next attempt; NULL when it has become too long or memory is out. */
static char *next_attempt(struct job *j, size_t *len)
{
    struct err e;

    if (!msg_set_retries(&j->msg, j->msg.retries + 1, &e)) {
        return NULL;
    }
    return msg_print(&j->msg, len);
}

static void end_retry(struct job *j, const struct settings *s, const struct result_exception *x)
{
    int retries = j->msg.retries;
    char plan[RETRY_PLAN_SIZE];
    struct broker_hold h = hold_of(j);
    struct result_who who = who_of(j);
    struct broker_later later = {.due_ms = retry_delay_s(s->retry_base_s, retries) * 1000,
                                 .relative = true,
                                 .expires_s = s->result_expires_s};
    char *text = next_attempt(j, &later.len);
    char *doc;

    if (!text) {
        j->msg.retries = retries;
        job_end_failure(j, s, x);
        return;
    }
    retry_plan(plan, s->retry_base_s, retries, j->task->max_retries, clock_wall_us());
    log_warn("task.retry", "id=%s task=%s error=%s plan=%s", LOGQ(j->msg.id), LOGQ(j->msg.task),
             LOGQ(x->text), LOGQ(plan));
    doc = result_retry(&who, x, plan);
    later.bytes = text;
    later.doc = j->msg.ignore_result ? NULL : doc;
    begin_step(j, JOB_ENDING);
    broker_retry(&j->cmd, &j->who, &h, &later);
    j->cmd.failed |= !doc;
    free(text);
    free(doc);
}

void job_end_requeue(struct job *j)
{
    begin_step(j, JOB_ENDING);
    broker_requeue(&j->cmd, &j->who, j->tag);
}

static void end_quarantine(struct job *j, const char *reason)
{
    struct buf b64;
    bool ok;

    log_error("task.quarantined", "bytes=%zu reason=%s", j->len, LOGQ(reason));
    buf_init(&b64, 2 * MSG_BYTES_MAX);
    ok = b64_encode(&b64, j->bytes, j->len);
    begin_step(j, JOB_ENDING);
    broker_quarantine(&j->cmd, &j->who, j->tag, reason, b64.data ? b64.data : "");
    j->cmd.failed |= !ok;
    buf_fini(&b64);
}

void job_lose(struct job *j, const struct pool_outcome *loss)
{
    struct broker_hold h = hold_of(j);

    j->loss = *loss;
    j->loss.frame = NULL;
    begin_step(j, JOB_LOSING);
    broker_lost(&j->cmd, &j->who, &h);
}

void job_end_lost(struct job *j, const struct settings *s)
{
    char text[160];
    struct result_exception x = {.type = "WorkerLostError", .text = text};

    if (j->loss.signal) {
        snprintf(text, sizeof text, "the process that ran it was killed by signal %d (%s), twice",
                 j->loss.signal, strsignal(j->loss.signal));
    } else {
        snprintf(text, sizeof text, "the process that ran it ended with exit code %d, twice",
                 j->loss.exit_code);
    }
    job_end_failure(j, s, &x);
}

void job_end_time_limit(struct job *j, const struct settings *s)
{
    struct result_exception x = {.type = "TimeLimitExceeded",
                                 .number = job_limits(j).hard_ms / 1000};

    job_end_failure(j, s, &x);
}

void job_end_answer(struct job *j, const struct settings *s, const char *frame, size_t len)
{
    struct err e = {.type = "RuntimeError", .text = "the task's process gave no sensible answer"};
    struct result_exception x = {.type = e.type, .text = e.text};
    cJSON *o = json_parse(frame, len, &e);
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(o, "result");
    const char *cls = json_get_str(o, "class");

    if (json_get_bool(o, "ok", false) && value) {
        end_success(j, s, value);
    } else {
        x.type = json_get_str(o, "type") ? json_get_str(o, "type") : e.type;
        x.text = json_get_str(o, "text") ? json_get_str(o, "text") : e.text;
        if (cls && retry_wanted(strcmp(cls, err_class_name(ERR_RETRYABLE)) == 0 ? ERR_RETRYABLE
                                                                                : ERR_PERMANENT,
                                j->msg.retries, j->task->max_retries)) {
            end_retry(j, s, &x);
        } else {
            job_end_failure(j, s, &x);
        }
    }
    cJSON_Delete(o);
}

/* ---- examination ---- */

static void end_refused(struct job *j, const struct settings *s, const struct err *e)
{
    struct result_exception x = {.type = e->type, .text = e->text};

    job_end_failure(j, s, &x);
}

static void examine_times(struct job *j, const struct settings *s)
{
    static const struct job_revoke EXPIRED = {.why = "expired", .expired = true};
    const struct msg *m = &j->msg;
    int64_t now_us = j->taken_ms * 1000;

    if (m->expires_us != MSG_NO_TIME && now_us > m->expires_us) {
        job_end_revoked(j, s, &EXPIRED);
    } else if (m->eta_us != MSG_NO_TIME && m->eta_us > now_us) {
        end_delay(j);
    } else {
        j->state = JOB_READY;
    }
}

/* The held bytes become those of the message with its id and absolute times. */
static void adopt(struct job *j, const struct settings *s)
{
    char id[UUID_SIZE];
    struct err e;
    char *text = NULL;
    size_t len = 0;

    uuid_random(id);
    if (msg_adopt(&j->msg, id, j->taken_ms, &e)) {
        text = msg_print(&j->msg, &len);
    }
    if (!text) {
        err_set(&e, ERR_PERMANENT, "ValueError", "too long to be given an id");
        end_refused(j, s, &e);
        return;
    }
    free(j->bytes);
    j->bytes = text;
    j->len = len;
    begin_step(j, JOB_ADOPTING);
    broker_adopt(&j->cmd, &j->who, j->tag, j->bytes, j->len);
}

void job_examine_adopted(struct job *j, const struct settings *s)
{
    struct result_exception unknown = {.type = "NotRegistered", .text = j->msg.task};
    struct result_exception poison = {.type = "WorkerLostError",
                                      .text = "too many workers died while they held this message"};

    j->task = task_find(j->msg.task, s);
    if (!j->task) {
        job_end_failure(j, s, &unknown);
    } else if (j->recoveries >= BROKER_RECOVERIES_MAX) {
        job_end_failure(j, s, &poison);
    } else {
        examine_times(j, s);
    }
}

void job_examine(struct job *j, const struct settings *s, const struct broker_taken *t)
{
    struct err e = {0};
    enum msg_verdict verdict = msg_parse(j->bytes, j->len, &j->msg, &e);

    if (verdict == MSG_UNREADABLE) {
        end_quarantine(j, e.text);
        return;
    }
    if (verdict == MSG_OK && msg_needs_adoption(&j->msg)) {
        adopt(j, s); /* first of all, so that the log knows its id */
    }
    log_info("task.received", "id=%s task=%s bytes=%zu list=%s recoveries=%" PRId64,
             LOGQ(j->msg.id), LOGQ(j->msg.task), t->len, LOGQ(t->list), t->recoveries);
    if (verdict == MSG_REFUSED) {
        end_refused(j, s, &e);
    } else if (j->state == JOB_TAKEN) {
        job_examine_adopted(j, s);
    }
}

/* ---- running ---- */

char *job_request(const struct job *j, const struct settings *s)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "id", j->msg.id);
    cJSON_AddStringToObject(o, "task", j->msg.task);
    cJSON_AddStringToObject(o, "worker", s->worker_name);
    cJSON_AddNumberToObject(o, "retries", j->msg.retries);
    cJSON_AddNumberToObject(o, "slot", (double)j->msg.slot_unix_s);
    /* References: printed from where they are. The casts only lose a const that print keeps. */
    cJSON_AddItemToObject(o, "args",
                          j->msg.args ? cJSON_CreateArrayReference(j->msg.args->child)
                                      : cJSON_CreateArray());
    cJSON_AddItemToObject(o, "kwargs",
                          j->msg.kwargs ? cJSON_CreateObjectReference(j->msg.kwargs->child)
                                        : cJSON_CreateObject());
    text = json_print(o);
    cJSON_Delete(o);
    if (text && strlen(text) > CHILD_FRAME_MAX) {
        free(text);
        text = NULL;
    }
    return text;
}

struct task_limits job_limits(const struct job *j)
{
    return task_limits_of(j->task, 0, j->msg.hard_limit_s * 1000);
}
