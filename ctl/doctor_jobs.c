#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/json.h"
#include "common/keys.h"
#include "common/msg.h"
#include "common/text.h"
#include "ctl/doctor.h"

#define WORKERS_SEEN_MAX 1000
#define BEAT_SILENT_S    15

/* A whole number that a command answers, -1 when it does not. */
static int64_t ask_number(redisContext *c, const char *command, const char *key)
{
    struct err ignored;
    redisReply *r = rds_command(c, &ignored, command, key);
    int64_t n = -1;

    if (r && r->type == REDIS_REPLY_INTEGER) {
        n = r->integer;
    } else if (r && r->type == REDIS_REPLY_STRING && !text_to_i64(r->str, 0, INT64_MAX, &n)) {
        n = -1;
    }
    freeReplyObject(r);
    return n;
}

/* Messages that wait, -1 when a list cannot be read. */
static int64_t check_queue(struct doctor *d, redisContext *c)
{
    int64_t total = 0;

    for (int step = 0; step < KEY_PRIORITY_STEPS; step++) {
        char list[BROKER_LIST_SIZE];
        redisReply *r;
        struct err e;

        MUST(msg_list_name(list, sizeof list, d->settings->task_queue, step * 3));
        r = rds_command(c, &e, "LLEN %s", list);
        if (!r || r->type != REDIS_REPLY_INTEGER) {
            doctor_say(d, "queue", DOCTOR_PROBLEM,
                       "Something else has taken the queue's name, or the user lacks rights.",
                       "priority %d of %s: %s", step * 3, d->settings->task_queue,
                       r ? "no number" : e.text);
            freeReplyObject(r);
            return -1;
        }
        total += r->integer;
        freeReplyObject(r);
    }
    doctor_say(d, "queue", DOCTOR_OK, NULL, "%s: %" PRId64 " message(s) wait",
               d->settings->task_queue, total);
    return total;
}

/* ---- workers and beats ---- */

struct census {
    int alive, silent;
    int others; /* of another version than ours */
    char other[64];
};

static void count_version(struct census *n, const cJSON *entry)
{
    const char *version = json_get_str(entry, "version");

    if (version && strcmp(version, AION2RANK_VERSION) != 0) {
        n->others++;
        text_copy(n->other, sizeof n->other, version);
    }
}

static void judge_versions(struct doctor *d, const struct census *n, const char *what)
{
    if (n->others > 0) {
        doctor_say(d, "versions", DOCTOR_WARNING,
                   "Finish the upgrade; operations.md has the order.",
                   "%d %s of another version (%s, this is %s)", n->others, what, n->other,
                   AION2RANK_VERSION);
    }
}

static void count_worker(struct census *n, redisContext *c, const char *boot)
{
    struct err ignored;
    redisReply *r = rds_command(c, &ignored, "GET " KEY_WORKER_PREFIX "%s", boot);
    cJSON *v =
        r && r->type == REDIS_REPLY_STRING ? json_parse(r->str, (size_t)r->len, &ignored) : NULL;

    n->alive += v != NULL;
    n->silent += v == NULL;
    count_version(n, v);
    cJSON_Delete(v);
    freeReplyObject(r);
}

static void judge_workers(struct doctor *d, const struct census *n, int64_t waiting)
{
    if (n->alive == 0) {
        doctor_say(d, "workers", waiting > 0 ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                   "Start aion2-worker with this REDIS_URL.", "none is running");
    } else {
        doctor_say(d, "workers", DOCTOR_OK, NULL, "%d running", n->alive);
    }
    if (n->silent > 0) {
        doctor_say(d, "workers", DOCTOR_WARNING,
                   "Whatever they held goes back to the queue within 15 s while another one runs.",
                   "%d without a heartbeat", n->silent);
    }
    judge_versions(d, n, "worker(s)");
}

static void check_workers(struct doctor *d, redisContext *c, int64_t waiting)
{
    struct census n = {0};
    struct err e;
    redisReply *r = rds_command(c, &e, "SMEMBERS " KEY_WORKERS);

    if (!r) {
        doctor_say(d, "workers", DOCTOR_PROBLEM, NULL, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < r->elements && i < WORKERS_SEEN_MAX; i++) {
        count_worker(&n, c, r->element[i]->str);
    }
    freeReplyObject(r);
    judge_workers(d, &n, waiting);
}

static void check_beats(struct doctor *d, redisContext *c)
{
    struct err e;
    struct census n = {0};
    int64_t now_us, seen_s;
    redisReply *r = rds_time_us(c, &now_us, &e) ? rds_command(c, &e, "HVALS " KEY_BEATS) : NULL;

    if (!r) {
        doctor_say(d, "beats", DOCTOR_PROBLEM, NULL, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < r->elements && i < WORKERS_SEEN_MAX; i++) {
        cJSON *v = json_parse(r->element[i]->str, (size_t)r->element[i]->len, &e);

        if (json_get_i64(v, "seen", 0, INT64_MAX, &seen_s) &&
            now_us / 1000000 - seen_s <= BEAT_SILENT_S) {
            n.alive++;
            count_version(&n, v);
        }
        cJSON_Delete(v);
    }
    freeReplyObject(r);
    doctor_say(d, "beats", n.alive > 0 ? DOCTOR_OK : DOCTOR_WARNING,
               n.alive > 0 ? NULL : "Start aion2-beat: without one, nothing is sent by itself.",
               n.alive > 0 ? "%d running" : "none is running", n.alive);
    judge_versions(d, &n, "beat(s)");
}

/* ---- what was put aside or lost ---- */

static void check_aside(struct doctor *d, redisContext *c)
{
    static const struct {
        const char *name, *command, *key, *text, *advice;
    } PILES[] = {
        {"dead", "LLEN %s", KEY_DEAD, "task(s) failed for good",
         "aion2ctl dead list shows them; retry or drop them."},
        {"quarantine", "LLEN %s", KEY_QUARANTINE, "message(s) that nobody could read",
         "aion2ctl quarantine list shows them."},
        {"lost steps", "HGET " KEY_COUNTERS " %s", "redis_lost",
         "acknowledged step(s) that Redis has forgotten since",
         "Redis lost its last writes in a failover or a crash; the work was done again where it "
         "was held. appendfsync always and min-replicas-to-write 1 make that rarer."},
    };

    for (size_t i = 0; i < ARRAY_LEN(PILES); i++) {
        int64_t n = ask_number(c, PILES[i].command, PILES[i].key);

        if (n > 0) {
            doctor_say(d, PILES[i].name, DOCTOR_WARNING, PILES[i].advice, "%" PRId64 " %s", n,
                       PILES[i].text);
        }
    }
}

void doctor_jobs(struct doctor *d, redisContext *c)
{
    int64_t waiting;

    d->area = "Jobs";
    doctor_keys(d, c);
    waiting = check_queue(d, c);
    check_workers(d, c, waiting);
    check_beats(d, c);
    check_aside(d, c);
}
