#include "scheduler/beat.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/notify.h"
#include "scheduler/alive.h"
#include "scheduler/figures.h"
#include "scheduler/look.h"
#include "scheduler/round.h"

/* Also how long a Redis that hangs can hold us; main.c bounds what that means for SIGTERM. */
#define REDIS_TIMEOUT_MS 2000
#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   1500 /* so that slots go on within 2 s of Redis' return */
/* How often we look whether the table has changed: by its number, and by its contents. */
#define CHECK_EVERY_MS 1000
#define LOAD_EVERY_MS  5000
/* After the moment at which a slot begins, so that Redis never finds us early. */
#define LATE_US 1000
/* Redis' clock and ours went apart by more than this: it made a step. */
#define STEP_US 1000000
/* Outages worth a note. */
#define OUTAGE_US 500000

struct beat {
    const struct beat_config *cfg;
    char boot[UUID_SIZE];
    redisContext *rds; /* NULL while Redis is away */
    struct table table;
    struct tell tell;
    int64_t offset_us; /* Redis' clock minus our monotonic one */
    int64_t step_us;   /* a step that is to be noted, 0: none */
    int64_t alive_ms;  /* when each is to be done again, monotonic */
    int64_t check_ms;
    int64_t load_ms;
    int64_t looked_ms; /* the Sentinels are not asked before, see look.h */
    int64_t good_us;   /* Redis was last of use, by its own clock */
    int backoff_ms;
    bool measured;                            /* offset_us is more than a guess */
    bool looked;                              /* Redis has been found fit */
    bool ready;                               /* and said so */
    bool refused;                             /* and this one has not */
    bool hidden;                              /* our entry cannot be renewed, and that was logged */
    char away[sizeof((struct err *)0)->text]; /* why Redis is away, as logged; "": it is not */
};

static int64_t redis_now_us(void *ctx)
{
    const struct beat *b = ctx;

    return clock_mono_us() + b->offset_us;
}

/* After a step of the clock every schedule is looked at anew. */
static void clock_stepped(struct beat *b, int64_t step_us)
{
    log_warn("redis.clock_step", "step_s=%.3f", (double)step_us / 1e6);
    b->step_us += step_us;
    for (size_t i = 0; i < b->table.count; i++) {
        b->table.entries[i].due_s = 0;
    }
}

/* now_us was read from Redis' clock between sent_us and now; the middle is the best guess. */
static void set_clock(void *ctx, int64_t now_us, int64_t sent_us)
{
    struct beat *b = ctx;
    int64_t offset_us = now_us - (sent_us + (clock_mono_us() - sent_us) / 2);
    int64_t step_us = offset_us - b->offset_us;

    b->offset_us = offset_us;
    if (b->measured && (step_us > STEP_US || step_us < -STEP_US)) {
        clock_stepped(b, step_us);
    }
    b->measured = true;
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

/* True when it is time; then the next time is set. */
static bool is_time(int64_t *at_ms, int64_t every_ms)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms < *at_ms) {
        return false;
    }
    *at_ms = now_ms + every_ms;
    return true;
}

static bool load(struct beat *b, bool fully, struct err *e)
{
    int64_t sent_us = clock_mono_us(), now_us;
    uint64_t hash = b->table.entries ? b->table.hash : 0;

    if (!table_load(&b->table, b->rds, &b->cfg->defaults, fully, &now_us, e)) {
        return false;
    }
    if (b->table.hash != hash) {
        log_info("beat.schedules", "count=%zu", b->table.count);
    }
    figures_schedules((int64_t)b->table.count);
    set_clock(b, now_us, sent_us);
    b->check_ms = clock_mono_ms() + CHECK_EVERY_MS;
    b->load_ms = clock_mono_ms() + LOAD_EVERY_MS;
    return true;
}

/* The clock, and whether the table of schedules is still the one that we know. */
static bool check_if_due(struct beat *b, struct err *e)
{
    int64_t sent_us = clock_mono_us(), now_us;
    redisReply *r;
    bool same;

    if (clock_mono_ms() >= b->load_ms) {
        return load(b, false, e);
    }
    if (!is_time(&b->check_ms, CHECK_EVERY_MS)) {
        return true;
    }
    if (!rds_time_us(b->rds, &now_us, e)) {
        return false;
    }
    set_clock(b, now_us, sent_us);
    r = rds_command(b->rds, e, "GET " KEY_SCHEDULES_REV);
    if (!r) {
        return e->cls == ERR_PERMANENT; /* no text: claims will tell */
    }
    same = strncmp(r->type == REDIS_REPLY_STRING ? r->str : "", b->table.rev,
                   sizeof b->table.rev - 1) == 0;
    freeReplyObject(r);
    return same || load(b, true, e);
}

static bool send_if_due(struct beat *b, struct err *e)
{
    struct round r = {.table = &b->table,
                      .c = b->rds,
                      .tell = &b->tell,
                      .now_us = redis_now_us,
                      .set_clock = set_clock,
                      .ctx = b};

    if (round_next_s(&b->table) > redis_now_us(b) / 1000000) {
        return true;
    }
    return round_run(&r, e) && (!r.changed || load(b, true, e));
}

/*
 * That others cannot see us is no reason to stop sending, so only a broken connection counts as
 * a failure.
 */
static bool renew_if_due(struct beat *b, struct err *e)
{
    struct alive a = {b->boot, b->cfg->defaults.batch_interval_s, b->table.count};
    int64_t sent_us = clock_mono_us(), now_us;

    if (b->step_us != 0) {
        alive_note_step(b->rds, redis_now_us(b), b->step_us);
        b->step_us = 0;
    }
    if (!is_time(&b->alive_ms, ALIVE_EVERY_MS)) {
        return true;
    }
    if (alive_renew(b->rds, &a, &now_us, e)) {
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

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void wait_for_work(struct beat *b)
{
    int64_t next_s = round_next_s(&b->table), now_us = redis_now_us(b);
    int64_t ms = sooner(b->alive_ms, sooner(b->check_ms, b->load_ms));
    int64_t us = ms * 1000 - clock_mono_us();

    if (next_s < INT64_MAX) {
        us = sooner(us, next_s * 1000000 + LATE_US - now_us);
    }
    wait_us(b, us);
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
        b->tell.pending = 0;
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

/* On a new connection everything is asked anew: the clock, the table, our entry. */
static bool redis_connect(struct beat *b, struct err *e)
{
    b->rds = rds_connect(&b->cfg->redis, REDIS_TIMEOUT_MS, e);
    b->alive_ms = 0;
    return b->rds && find_fit(b, e) && claim_load(b->rds, e) && load(b, true, e);
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
    int64_t now_us = redis_now_us(b);
    char where[RDS_TEXT_SIZE];

    if (b->away[0]) {
        log_info("redis.up", "redis=%s", LOGQ(rds_addr_text(&b->cfg->redis, where)));
        b->away[0] = '\0';
        if (now_us - b->good_us > OUTAGE_US) {
            alive_note_outage(b->rds, b->good_us, now_us);
        }
    }
    b->good_us = redis_now_us(b);
    b->backoff_ms = BACKOFF_MIN_MS;
}

/* Systemd hears it once it sends, and then what it works on. */
static void tell_ready(struct beat *b)
{
    if (!b->ready) {
        notify_ready("connected to Redis");
        b->ready = true;
    }
    notify_status("%zu schedules", b->table.count);
}

bool beat_run(const struct beat_config *cfg)
{
    struct beat b = {.cfg = cfg, .backoff_ms = BACKOFF_MIN_MS, .tell = {.db = cfg->redis.db}};
    struct err e;

    uuid_random(b.boot);
    b.good_us = clock_wall_us();
    while (!*cfg->stop && !b.refused) {
        notify_progress(); /* each turn has dealt with what was due, or found Redis away */
        if (redis_is_there(&b, &e) && check_if_due(&b, &e) && send_if_due(&b, &e) &&
            renew_if_due(&b, &e)) {
            redis_is_back(&b);
            tell_ready(&b);
            figures_turned(true);
            wait_for_work(&b);
        } else if (!b.refused) {
            figures_turned(false);
            notify_status("Redis is away: %.150s", e.text);
            redis_is_away(&b, &e);
        }
    }
    notify_stopping();
    if (b.rds) {
        alive_goodbye(b.rds, b.boot);
        redisFree(b.rds);
    }
    table_fini(&b.table);
    return !b.refused;
}
