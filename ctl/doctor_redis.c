#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rds_info.h"
#include "common/text.h"
#include "ctl/doctor.h"

/* Oldest version with everything that the scripts and the waiting need (BLMOVE). */
#define VERSION_MIN_MAJOR 6
#define VERSION_MIN_MINOR 2

struct view {
    struct doctor *d;
    redisContext *c;
    const struct rds_addr *addr;
    const char *info; /* the answer to INFO */
};

/* A field of INFO as a number, 0 when it is not there. */
static int64_t number(const struct view *v, const char *field)
{
    int64_t n = 0;

    return rds_info_i64(v->info, field, &n) ? n : 0;
}

/* A setting; false when this user may not see it. Never a reason to give up. */
static bool config_get(const struct view *v, const char *name, char *out, size_t cap)
{
    struct err ignored;
    redisReply *r = rds_command(v->c, &ignored, "CONFIG GET %s", name);
    bool ok = r && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
              r->element[1]->type == REDIS_REPLY_STRING && text_copy(out, cap, r->element[1]->str);

    freeReplyObject(r);
    return ok;
}

/* ---- the server ---- */

static void check_version(const struct view *v)
{
    char text[32] = "";
    int major = 0, minor = 0;
    bool fits;

    rds_info_text(v->info, "redis_version", text, sizeof text);
    sscanf(text, "%9d.%9d", &major, &minor);
    fits = major > VERSION_MIN_MAJOR || (major == VERSION_MIN_MAJOR && minor >= VERSION_MIN_MINOR);
    doctor_say(v->d, "version", fits ? DOCTOR_OK : DOCTOR_PROBLEM,
               fits ? NULL : "Redis 6.2 or later is needed.", "Redis %s", text);
    if (number(v, "cluster_enabled") != 0) {
        doctor_say(v->d, "cluster", DOCTOR_PROBLEM,
                   "The steps use several keys at once: use a single master, with Sentinels for "
                   "failover.",
                   "cluster mode is on");
    }
}

static void check_role(const struct view *v)
{
    char role[16] = "";

    rds_info_text(v->info, "role", role, sizeof role);
    if (strcmp(role, "master") != 0) {
        doctor_say(v->d, "role", DOCTOR_PROBLEM,
                   "Let REDIS_URL name the master, or the Sentinels (redis+sentinel://).",
                   "this is a %s and takes no writes", role);
        return;
    }
    doctor_say(v->d, "role", DOCTOR_OK, NULL, "master with %" PRId64 " replica(s)",
               number(v, "connected_slaves"));
    if (number(v, "loading") != 0) {
        doctor_say(v->d, "loading", DOCTOR_WARNING, "Wait until it has read its files.",
                   "Redis is loading its data");
    }
}

static void check_policy(const struct view *v)
{
    char policy[32] = "";
    bool safe;

    rds_info_text(v->info, "maxmemory_policy", policy, sizeof policy);
    safe = strcmp(policy, "noeviction") == 0;
    doctor_say(v->d, "eviction", safe ? DOCTOR_OK : DOCTOR_PROBLEM,
               safe ? NULL
                    : "CONFIG SET maxmemory-policy noeviction, and in redis.conf. Any other policy "
                      "lets Redis delete queued messages, schedules and heartbeats; workers and "
                      "beats refuse to start.",
               "maxmemory-policy is %s", policy);
    if (number(v, "evicted_keys") > 0) {
        doctor_say(v->d, "evicted", DOCTOR_WARNING,
                   "Messages, results or schedules may be among them. A restart of Redis sets the "
                   "count back.",
                   "%" PRId64 " keys were evicted since its start", number(v, "evicted_keys"));
    }
}

static void check_memory(const struct view *v)
{
    int64_t used = number(v, "used_memory"), max = number(v, "maxmemory");
    int64_t percent = max > 0 ? used / (max / 100 + 1) : 0;
    enum doctor_level level = percent >= 95               ? DOCTOR_PROBLEM
                              : percent >= 80 || max == 0 ? DOCTOR_WARNING
                                                          : DOCTOR_OK;

    if (max == 0) {
        doctor_say(v->d, "memory", level,
                   "Set maxmemory a few times above what it uses, so that a full queue is refused "
                   "instead of the kernel killing Redis.",
                   "%" PRId64 " MiB used, no limit", used / MIB);
        return;
    }
    doctor_say(v->d, "memory", level,
               level == DOCTOR_OK ? NULL
                                  : "Raise maxmemory, or find out what piles up: at 100 % "
                                    "new messages are refused.",
               "%" PRId64 " of %" PRId64 " MiB used (%" PRId64 " %%)", used / MIB, max / MIB,
               percent);
}

/* ---- what survives a restart ---- */

static void check_snapshots(const struct view *v)
{
    char save[256];

    if (!config_get(v, "save", save, sizeof save)) {
        doctor_say(v->d, "persistence", DOCTOR_WARNING, "Set appendonly yes.",
                   "appendonly is no; snapshots: cannot see (CONFIG GET is not allowed)");
    } else if (save[0] == '\0') {
        doctor_say(v->d, "persistence", DOCTOR_PROBLEM,
                   "CONFIG SET appendonly yes, and in redis.conf.",
                   "nothing is written to disk: a restart of Redis loses everything");
    } else {
        doctor_say(v->d, "persistence", DOCTOR_WARNING,
                   "CONFIG SET appendonly yes, and in redis.conf.",
                   "snapshots only (save %s): a crash loses what came after the last one", save);
    }
}

static void check_append_only(const struct view *v)
{
    char fsync[16];

    if (!config_get(v, "appendfsync", fsync, sizeof fsync)) {
        doctor_say(v->d, "persistence", DOCTOR_OK, NULL,
                   "appendonly; appendfsync: cannot see (CONFIG GET is not allowed)");
    } else if (strcmp(fsync, "no") == 0) {
        doctor_say(v->d, "persistence", DOCTOR_WARNING, "Set appendfsync everysec or always.",
                   "appendonly, appendfsync no: a power cut loses up to 30 s");
    } else {
        doctor_say(v->d, "persistence", DOCTOR_OK, NULL, "appendonly, appendfsync %s%s", fsync,
                   strcmp(fsync, "always") == 0 ? "" : ": a crash loses up to two seconds");
    }
}

static void check_persistence(const struct view *v)
{
    static const char *const STATES[] = {"aof_last_write_status", "aof_last_bgrewrite_status",
                                         "rdb_last_bgsave_status"};
    char state[16];

    if (number(v, "aof_enabled") != 0) {
        check_append_only(v);
    } else {
        check_snapshots(v);
    }
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++) {
        if (rds_info_text(v->info, STATES[i], state, sizeof state) && strcmp(state, "ok") != 0) {
            doctor_say(v->d, "writing", DOCTOR_PROBLEM,
                       "Look into Redis' log and at its disk; it may refuse writes until then.",
                       "%s is %s", STATES[i], state);
        }
    }
}

/* Only when the server is certainly on this machine: its process is here. */
static void check_disk(const struct view *v)
{
    char path[64], name[64] = "", dir[PATH_MAX];
    int64_t pid = number(v, "process_id");
    FILE *f;

    snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pid);
    f = fopen(path, "re");
    if (f) {
        if (!fgets(name, sizeof name, f)) {
            name[0] = '\0';
        }
        fclose(f);
    }
    if (strncmp(name, "redis-server", 12) != 0 && strncmp(name, "valkey-server", 13) != 0) {
        doctor_say(v->d, "disk", DOCTOR_UNSEEN, NULL, "Redis runs on another machine");
    } else if (!config_get(v, "dir", dir, sizeof dir)) {
        doctor_say(v->d, "disk", DOCTOR_UNSEEN, NULL, "CONFIG GET is not allowed");
    } else {
        doctor_judge_disk(v->d, dir);
    }
}

/* "slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0" */
static void check_replicas(const struct view *v)
{
    int64_t n = number(v, "connected_slaves"), lag_s;

    for (int64_t i = 0; i < n && i < 100; i++) {
        char field[32], line[256];
        const char *lag, *state;

        snprintf(field, sizeof field, "slave%" PRId64, i);
        if (!rds_info_text(v->info, field, line, sizeof line)) {
            continue;
        }
        lag = strstr(line, "lag=");
        state = strstr(line, "state=");
        lag_s = lag ? strtoll(lag + 4, NULL, 10) : 0;
        if (lag_s > 5 || (state && strncmp(state, "state=online", 12) != 0)) {
            doctor_say(v->d, "replica", DOCTOR_WARNING,
                       "Until it has caught up, a failover to it loses steps.", "%s", line);
        }
    }
}

static void check_scripts(const struct view *v)
{
    struct err e;
    redisReply *r = rds_command(v->c, &e, "EVAL %s 0", "return 1");

    if (!r) {
        doctor_say(v->d, "scripts", DOCTOR_PROBLEM,
                   "Give the user the rights that operations.md lists.", "%s", e.text);
    }
    freeReplyObject(r);
}

static void check_clock(const struct view *v)
{
    int64_t before_us = clock_mono_us(), wall_us = clock_wall_us(), redis_us, took_us;
    struct err e;

    if (!rds_time_us(v->c, &redis_us, &e)) {
        doctor_say(v->d, "clock", DOCTOR_PROBLEM,
                   "Give the user the rights that operations.md lists.", "%s", e.text);
        return;
    }
    took_us = clock_mono_us() - before_us;
    v->d->redis_us = redis_us - (wall_us + took_us / 2);
    v->d->know_redis_us = true;
    doctor_judge_clock(v->d, "clock", "Redis'", v->d->redis_us);
    doctor_say(v->d, "latency", took_us > 50000 ? DOCTOR_WARNING : DOCTOR_OK,
               took_us > 50000 ? "Put the programs near Redis." : NULL,
               "an answer takes %" PRId64 ".%03" PRId64 " ms", took_us / 1000, took_us % 1000);
}

static bool read_info(struct view *v, redisReply **reply)
{
    struct err e;

    *reply = rds_command(v->c, &e, "INFO");
    if (!*reply || (*reply)->type != REDIS_REPLY_STRING) {
        doctor_say(v->d, "server", DOCTOR_UNSEEN,
                   "Allow this user +info to have version, memory, persistence and role looked at.",
                   "%s", *reply ? "unexpected answer to INFO" : e.text);
        freeReplyObject(*reply);
        return false;
    }
    v->info = (*reply)->str;
    return true;
}

/* ---- Sentinels ---- */

static bool ask_quorum(const struct rds_addr *a, int i, struct err *e)
{
    redisContext *c = rds_connect_sentinel(a, i, e);
    redisReply *r = c ? rds_command(c, e, "SENTINEL CKQUORUM %s", a->master) : NULL;

    freeReplyObject(r);
    if (c) {
        redisFree(c);
    }
    return r != NULL;
}

static void check_sentinels(struct doctor *d, const struct rds_addr *a)
{
    int good = 0;

    for (int i = 0; i < a->sentinel_count; i++) {
        struct err e;

        if (ask_quorum(a, i, &e)) {
            good++;
        } else {
            doctor_say(d, "sentinel", DOCTOR_WARNING,
                       "Bring it back, or correct REDIS_URL: a failover needs a majority of them.",
                       "%.100s:%d: %s", a->sentinels[i].host, a->sentinels[i].port, e.text);
        }
    }
    if (good == 0) {
        doctor_say(d, "sentinels", DOCTOR_PROBLEM, "There will be no failover.",
                   "none of the %d Sentinels sees a quorum for %s", a->sentinel_count, a->master);
    } else {
        doctor_say(d, "sentinels", good < 3 ? DOCTOR_WARNING : DOCTOR_OK,
                   good < 3 ? "Run at least three, on three machines." : NULL,
                   "%d of %d answer and see a quorum for %s", good, a->sentinel_count, a->master);
    }
}

static void check_split_brain(const struct view *v)
{
    char text[16];

    if (!config_get(v, "min-replicas-to-write", text, sizeof text)) {
        doctor_say(v->d, "old masters", DOCTOR_UNSEEN, NULL,
                   "min-replicas-to-write: CONFIG GET is not allowed");
    } else if (strcmp(text, "0") == 0) {
        doctor_say(v->d, "old masters", DOCTOR_WARNING,
                   "Set min-replicas-to-write 1: a master that was replaced without knowing it "
                   "then refuses writes, which would be lost otherwise.",
                   "min-replicas-to-write is 0");
    } else {
        doctor_say(v->d, "old masters", DOCTOR_OK, NULL, "min-replicas-to-write is %s", text);
    }
}

redisContext *doctor_redis(struct doctor *d, const struct rds_addr *a)
{
    static void (*const CHECKS[])(const struct view *v) = {
        check_version, check_role,        check_policy,  check_memory,
        check_disk,    check_persistence, check_replicas};
    struct view v = {.d = d, .addr = a};
    char where[RDS_TEXT_SIZE];
    redisReply *info;
    struct err e;

    d->area = "Redis";
    if (a->master[0]) {
        check_sentinels(d, a);
    }
    v.c = rds_connect(a, DOCTOR_TIMEOUT_MS, &e);
    if (!v.c) {
        d->unreachable = true;
        doctor_say(d, "reachable", DOCTOR_PROBLEM, "Start it, or correct REDIS_URL.", "%s", e.text);
        return NULL;
    }
    doctor_say(d, "reachable", DOCTOR_OK, NULL, "%s", rds_addr_text(a, where));
    check_clock(&v);
    check_scripts(&v);
    if (read_info(&v, &info)) {
        for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++) {
            CHECKS[i](&v);
        }
        freeReplyObject(info);
    }
    if (a->master[0]) {
        check_split_brain(&v);
    }
    return v.c;
}
