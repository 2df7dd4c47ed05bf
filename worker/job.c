#include "worker/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/child.h"
#include "worker/job_parts.h"

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
    command_fini(&j->cmd);
    job_end_fini(&j->end);
    msg_fini(&j->msg);
    free(j->report_text);
    free(j->report_traceback);
    free(j->loss);
    free(j->bytes);
    free(j);
}

/* ---- examination ---- */

static void end_refused(struct job *j, const struct settings *s, const struct err *e)
{
    struct result_exception x = {.type = e->type, .text = e->text};

    job_end_failure(j, s, &x);
}

static void examine_times(struct job *j, const struct settings *s)
{
    const struct msg *m = &j->msg;
    int64_t now_us = j->taken_ms * 1000;

    if (m->expires_us != MSG_NO_TIME && now_us > m->expires_us) {
        job_end_revoked(j, s, &JOB_EXPIRED);
    } else if (m->eta_us != MSG_NO_TIME && m->eta_us > now_us) {
        j->early = true;
        job_end_delay(j);
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
    job_begin_step(j, JOB_ADOPTING);
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
        job_end_quarantine(j, e.text);
        return;
    }
    if (verdict == MSG_OK && msg_needs_adoption(&j->msg)) {
        adopt(j, s); /* first of all, so that the log knows its id */
    }
    log_debug("task.received", JOB_LOG " bytes=%zu list=%s recoveries=%" PRId64, JOB_LOG_ARGS(j),
              t->len, LOGQ(t->list), t->recoveries);
    if (verdict == MSG_REFUSED) {
        end_refused(j, s, &e);
    } else if (j->state == JOB_TAKEN) {
        job_examine_adopted(j, s);
    }
}

/* ---- running ---- */

void job_claim(struct job *j)
{
    job_begin_step(j, JOB_CLAIMING);
    broker_single(&j->cmd, &j->who, j->tag, j->task->name);
}

bool job_has_begun(const struct job *j)
{
    return j->started_ms != 0;
}

int64_t job_waited_ms(const struct job *j)
{
    return (job_has_begun(j) ? j->started_ms : clock_mono_ms()) - j->received_ms;
}

int64_t job_ran_ms(const struct job *j)
{
    return job_has_begun(j) ? clock_mono_ms() - j->started_ms : 0;
}

bool job_is_expired(const struct job *j)
{
    int64_t now_ms = j->taken_ms + clock_mono_ms() - j->received_ms;

    return j->msg.expires_us != MSG_NO_TIME && now_ms * 1000 > j->msg.expires_us;
}

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
    return task_limits_of(j->task, j->msg.soft_limit_s * 1000, j->msg.hard_limit_s * 1000);
}
