#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/source_answer.h"
#include "common/source_parts.h"
#include "common/text.h"

#define REDIS_WARM_UP_MS 2000

struct script *const SOURCE_SCRIPTS[] = {&GATE_LUA_ASK, &GATE_LUA_START, &GATE_LUA_TELL,
                                         &SHARE_LUA_CLAIM, &SHARE_LUA_PUBLISH};
const size_t SOURCE_SCRIPT_COUNT = ARRAY_LEN(SOURCE_SCRIPTS);

/* ---- Redis ---- */

static void tell_change(struct source *s, bool on_its_own)
{
    if (s->rdsa && s->on_its_own != on_its_own) {
        log_event(on_its_own ? LOG_WARN : LOG_INFO, "source.pace", "kept_by=%s",
                  on_its_own ? "process" : "redis");
        s->on_its_own = on_its_own;
    }
}

enum source_redis source_redis_state(struct source *s)
{
    if (s->rdsa && rdsa_is_up(s->rdsa)) {
        tell_change(s, false);
        return SOURCE_REDIS_UP;
    }
    if (s->rdsa && clock_mono_ms() - s->born_ms < REDIS_WARM_UP_MS) {
        return SOURCE_REDIS_COMING;
    }
    tell_change(s, true);
    return SOURCE_REDIS_NONE;
}

static struct source_job *job_of(const struct source *s, uint64_t number)
{
    for (struct source_job *j = s->jobs; j && number > 0; j = j->next) {
        if (j->redis_number == number && !j->ended) {
            return j;
        }
    }
    return NULL;
}

static void on_reply(void *anchor, uint64_t number, const redisReply *r)
{
    struct source_anchor *a = anchor;
    struct source_job *j = a->src ? job_of(a->src, number) : NULL;

    a->waiting--;
    if (j) {
        j->redis_number = 0;
        j->redis_fn(j, r);
    } else if (!a->src && a->waiting == 0) {
        free(a);
    }
}

static void send_command(struct source *s, struct command *c, uint64_t number)
{
    s->anchor->waiting++;
    rdsa_script(s->rdsa, c, on_reply, s->anchor, number);
    command_fini(c);
}

void source_redis(struct source_job *j, struct command *c, source_redis_fn fn)
{
    j->redis_number = ++j->src->last_number;
    j->redis_fn = fn;
    send_command(j->src, c, j->redis_number);
}

void source_redis_tell(struct source *s, struct command *c)
{
    send_command(s, c, 0);
}

/* ---- who was not found, in this process ---- */

static uint64_t gone_key(const struct source_job *j)
{
    return text_hash(j->server, strlen(j->server) + 1) ^ 31 * text_hash(j->name, strlen(j->name));
}

static bool is_gone(const struct source_job *j)
{
    const struct source *s = j->src;
    uint64_t key = gone_key(j);
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < SOURCE_GONE_MAX; i++) {
        if (s->gone[i].key == key && s->gone[i].until_ms > now) {
            return true;
        }
    }
    return false;
}

static void remember_gone(const struct source_job *j)
{
    struct source *s = j->src;

    s->gone[s->gone_next++ % SOURCE_GONE_MAX] =
        (struct source_gone){gone_key(j), clock_mono_ms() + SHARE_GONE_MS};
}

/* ---- a lookup, shared ---- */

static struct share share_of(const struct source_job *j)
{
    return (struct share){.region = j->src->settings->region,
                          .server = j->server,
                          .name = j->name,
                          .id = j->claim_id};
}

static void end_with_answer(struct source_job *j, const char *text)
{
    struct source_answer a;
    struct err e;

    if (!source_answer_read(text, &a, &e)) {
        log_warn("source.answer_unreadable", "error=%s", LOGQ(e.text));
        a.reply = (struct source_reply){.outcome = SOURCE_UNAVAILABLE,
                                        .reason = "the answer kept in Redis cannot be read"};
    }
    source_job_end(j, &a.reply);
    source_answer_fini(&a);
}

static void end_not_found(struct source_job *j, const char *reason)
{
    source_job_end(j, &(struct source_reply){.outcome = SOURCE_NOT_FOUND, .reason = reason});
}

static void on_claim(struct source_job *j, const redisReply *r)
{
    const char *answer;

    switch (share_read(r, &answer)) {
    case SHARE_MINE:
        j->claimed = answer != NULL; /* else Redis did not answer */
        j->src->adapter->lookup(j);
        break;
    case SHARE_OTHERS:
        source_job_after(j, SHARE_POLL_MS, source_lookup_begin);
        break;
    case SHARE_ANSWER:
        end_with_answer(j, answer);
        break;
    case SHARE_GONE:
        end_not_found(j, answer);
        break;
    }
}

void source_lookup_begin(struct source_job *j)
{
    struct share share = share_of(j);
    struct command c;

    switch (source_redis_state(j->src)) {
    case SOURCE_REDIS_COMING:
        source_job_after(j, SOURCE_REDIS_POLL_MS, source_lookup_begin);
        break;
    case SOURCE_REDIS_UP:
        share_claim(&c, &share);
        source_redis(j, &c, on_claim);
        break;
    case SOURCE_REDIS_NONE:
        if (is_gone(j)) {
            end_not_found(j, "the source knew no such character a short time ago");
        } else {
            j->src->adapter->lookup(j);
        }
        break;
    }
}

void source_lookup_publish(struct source_job *j, const struct source_reply *reply)
{
    bool gone = reply && reply->outcome == SOURCE_NOT_FOUND;
    struct share share = share_of(j);
    struct command c;
    char *text;

    if (!j->claimed) {
        if (gone && !j->sheet) {
            remember_gone(j);
        }
        return;
    }
    j->claimed = false;
    text = reply && !gone ? source_answer_print(reply) : NULL;
    share_publish(&c, &share, gone ? reply->reason : text, gone);
    free(text);
    source_redis_tell(j->src, &c);
}
