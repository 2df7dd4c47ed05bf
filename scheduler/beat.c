#include "scheduler/beat.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/schedule.h"
#include "scheduler/look.h"
#include "scheduler/message.h"

/* Also how long a Redis that hangs can hold us; main.c bounds what that means for SIGTERM. */
#define REDIS_TIMEOUT_MS 2000
#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   1500 /* so that slots go on within 2 s of Redis' return */

struct beat {
    const struct beat_config *cfg;
    char boot[UUID_SIZE];
    redisContext *rds; /* NULL while Redis is away */
    int64_t offset_us; /* Redis' clock minus our monotonic one */
    int64_t alive_ms;  /* when the entry is to be renewed, monotonic */
    int64_t asked_s;   /* slot the script was last asked about, -1: none on this connection */
    int64_t looked_ms; /* when the Sentinels were asked last */
    int64_t known_s;   /* last slot that we know to be sent or noted, -1: none */
    int backoff_ms;
    bool looked;                              /* Redis has been found fit */
    bool refused;                             /* and this one has not */
    bool hidden;                              /* our entry cannot be renewed, and that was logged */
    char away[sizeof((struct err *)0)->text]; /* why Redis is away, as logged; "": it is not */
};

static int64_t redis_now_us(const struct beat *b)
{
    return clock_mono_us() + b->offset_us;
}

/* now_us was read from Redis' clock between sent_us and now; the middle is the best guess. */
static void set_clock(struct beat *b, int64_t now_us, int64_t sent_us)
{
    b->offset_us = now_us - (sent_us + (clock_mono_us() - sent_us) / 2);
}

/* Until us have passed or it is time to go. */
static void wait_us(const struct beat *b, int64_t us)
{
    struct timespec ts = {us / 1000000, us % 1000000 * 1000};
    struct pollfd fd = {.fd = b->cfg->wake_fd, .events = POLLIN};

    if (us > 0) {
        ppoll(&fd, 1, &ts, NULL);
    }
}

static void log_claim(const struct beat *b, const struct claim_request *req,
                      const struct claim_answer *a)
{
    const char *name = b->cfg->schedule.name;

    switch (a->verdict) {
    case CLAIM_SENT:
        log_info("beat.sent",
                 "schedule=%s slot=%" PRId64 " id=%s missed=%" PRId64 " late_ms=%" PRId64, name,
                 req->slot_s, req->task_id, a->missed, a->now_us / 1000 - req->slot_s * 1000);
        break;
    case CLAIM_NOTED:
        log_info("beat.first_start",
                 "schedule=%s slot=%" PRId64 " note=\"nothing was sent before; the next slot is\"",
                 name, req->slot_s);
        break;
    case CLAIM_RESET:
        log_warn("beat.clock_was_wrong",
                 "schedule=%s last=%" PRId64 " slot=%" PRId64
                 " note=\"the last slot was in the future; starting afresh\"",
                 name, a->last_s, req->slot_s);
        break;
    case CLAIM_NOT_DUE:
    case CLAIM_MOVED:
        log_debug("beat.nothing_to_do", "schedule=%s slot=%" PRId64 " last=%" PRId64, name,
                  req->slot_s, a->last_s);
        break;
    }
}

/* What the answer says about the last slot. */
static void remember(struct beat *b, int64_t slot_s, const struct claim_answer *a)
{
    if (a->verdict == CLAIM_MOVED) {
        return;
    }
    b->asked_s = slot_s;
    b->known_s = a->verdict == CLAIM_NOT_DUE ? a->last_s : slot_s;
}

/* Asks for the slot that is on, unless that has been done. */
static bool claim_if_new(struct beat *b, struct err *e)
{
    const struct schedule *s = &b->cfg->schedule;
    int64_t slot_s = schedule_slot_s(redis_now_us(b), s->interval_s);
    int64_t sent_us;
    char id[UUID_SIZE];
    struct claim_request req = {
        .queue = b->cfg->queue, .task_id = id, .slot_s = slot_s, .known_s = b->known_s};
    struct claim_answer answer;
    char *message;
    bool ok;

    if (slot_s == b->asked_s) {
        return true;
    }
    schedule_task_id(s->name, slot_s, id);
    message = message_build(s, slot_s, b->cfg->queue, &req.message_len);
    if (!message) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    req.message = message;
    sent_us = clock_mono_us();
    ok = claim_slot(b->rds, s, &req, &answer, e);
    free(message);
    if (ok) {
        set_clock(b, answer.now_us, sent_us);
        remember(b, slot_s, &answer);
        log_claim(b, &req, &answer);
    }
    return ok;
}

/*
 * Also measures the clock. That others cannot see us is no reason to stop sending, so only a broken
 * connection counts as a failure.
 */
static bool renew_if_due(struct beat *b, struct err *e)
{
    int64_t sent_us = clock_mono_us(), now_us;

    if (sent_us / 1000 < b->alive_ms) {
        return true;
    }
    b->alive_ms = sent_us / 1000 + CLAIM_ALIVE_MS;
    if (claim_alive(b->rds, b->boot, b->cfg->schedule.interval_s, &now_us, e)) {
        set_clock(b, now_us, sent_us);
        b->hidden = false;
        return true;
    }
    if (e->cls == ERR_RETRYABLE) {
        return false;
    }
    if (!b->hidden) {
        log_warn("beat.not_shown", "error=%s", LOGQ(e->text));
    }
    b->hidden = true;
    return true;
}

static void wait_for_work(const struct beat *b)
{
    int64_t now_us = redis_now_us(b);
    int64_t slot_us = schedule_next_us(now_us, b->cfg->schedule.interval_s) - now_us;
    int64_t alive_us = b->alive_ms * 1000 - clock_mono_us();

    wait_us(b, slot_us < alive_us ? slot_us : alive_us);
}

/* Full from the middle on, so that many beats do not come back in one step. */
static int with_jitter(int ms)
{
    unsigned noise = 0;

    if (getrandom(&noise, sizeof noise, GRND_NONBLOCK) != (ssize_t)sizeof noise) {
        noise = (unsigned)clock_mono_us();
    }
    return ms / 2 + (int)(noise % (unsigned)(ms / 2 + 1));
}

/* Logs each change once, lets go of the connection and waits a while. */
static void redis_is_away(struct beat *b, const struct err *e)
{
    if (strcmp(b->away, e->text) != 0) {
        memcpy(b->away, e->text, sizeof b->away);
        log_warn("redis.down", "error=%s", LOGQ(e->text));
    }
    if (b->rds) {
        redisFree(b->rds);
        b->rds = NULL;
    }
    wait_us(b, (int64_t)with_jitter(b->backoff_ms) * 1000);
    b->backoff_ms = b->backoff_ms * 2 < BACKOFF_MAX_MS ? b->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* The first Redis that is there decides; what is changed later is for the operator to know. */
static bool find_fit(struct beat *b, struct err *e)
{
    enum look look = b->looked ? LOOK_GO : look_at_redis(b->rds, b->cfg->allow_unsafe, e);

    b->refused = look == LOOK_REFUSE;
    b->looked = look == LOOK_GO;
    return b->looked;
}

/* On a new connection everything is asked anew: the clock, the slot that is on, our entry. */
static bool redis_connect(struct beat *b, struct err *e)
{
    int64_t sent_us, now_us;

    b->rds = rds_connect(&b->cfg->redis, REDIS_TIMEOUT_MS, e);
    if (!b->rds || !find_fit(b, e)) {
        return false;
    }
    sent_us = clock_mono_us();
    if (!rds_time_us(b->rds, &now_us, e)) {
        return false;
    }
    set_clock(b, now_us, sent_us);
    b->alive_ms = 0;
    b->asked_s = -1;
    return true;
}

/* Before every use: what is told to a master that was replaced is lost. */
static bool redis_is_there(struct beat *b, struct err *e)
{
    if (b->rds && look_has_moved(&b->cfg->redis, b->rds, &b->looked_ms, e)) {
        return false;
    }
    return b->rds || redis_connect(b, e);
}

static void redis_is_back(struct beat *b)
{
    char where[RDS_TEXT_SIZE];

    if (b->away[0]) {
        log_info("redis.up", "redis=%s", LOGQ(rds_addr_text(&b->cfg->redis, where)));
        b->away[0] = '\0';
    }
    b->backoff_ms = BACKOFF_MIN_MS;
}

bool beat_run(const struct beat_config *cfg)
{
    struct beat b = {.cfg = cfg, .known_s = -1, .asked_s = -1, .backoff_ms = BACKOFF_MIN_MS};
    struct err e;

    uuid_random(b.boot);
    while (!*cfg->stop && !b.refused) {
        if (redis_is_there(&b, &e) && claim_if_new(&b, &e) && renew_if_due(&b, &e)) {
            redis_is_back(&b);
            wait_for_work(&b);
        } else if (!b.refused) {
            redis_is_away(&b, &e);
        }
    }
    if (b.rds) {
        claim_goodbye(b.rds, b.boot);
        redisFree(b.rds);
    }
    return !b.refused;
}
