#include "common/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/realm.h"
#include "common/source_parts.h"
#include "common/text.h"

static const struct source_adapter *const ADAPTERS[] = {&SOURCE_DUMMY, &SOURCE_PLAYNC};

static const struct source_adapter *find_adapter(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ADAPTERS); i++) {
        if (strcmp(ADAPTERS[i]->name, name) == 0) {
            return ADAPTERS[i];
        }
    }
    return NULL;
}

const char *source_outcome_name(enum source_outcome outcome)
{
    static const char *const NAMES[SOURCE_OUTCOME_COUNT] = {[SOURCE_FOUND] = "found",
                                                            [SOURCE_NOT_FOUND] = "not_found",
                                                            [SOURCE_RESTING] = "resting",
                                                            [SOURCE_CROWDED] = "crowded",
                                                            [SOURCE_UNAVAILABLE] = "unavailable"};

    return NAMES[outcome];
}

const char *source_server_name(const struct source_settings *s, const char *text)
{
    const struct source_adapter *a = find_adapter(s->adapter);
    const struct realm *r = realm_find(s->region, text);

    return r ? r->name : a && a->any_server ? text : NULL;
}

char *source_stats_json(const int64_t stats[STAT_COUNT], const char *mode)
{
    struct buf b;

    buf_init(&b, KIB);
    for (int i = 0; i < STAT_COUNT; i++) {
        buf_addf(&b, "%c\"%s\":%" PRId64, i ? ',' : '{', STAT_NAMES[i], stats[i]);
    }
    buf_addf(&b, ",\"mode\":\"%s\"}", mode);
    MUST(!b.failed);
    return buf_take(&b, NULL);
}

/* ---- jobs ---- */

void source_job_after(struct source_job *j, int64_t ms, source_job_fn fn)
{
    j->on_timer = fn;
    loop_arm_ms(j->timer, ms);
}

static void on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *job)
{
    struct source_job *j = job;

    j->on_timer(j);
}

const struct source_reply SOURCE_TOO_LATE = {.outcome = SOURCE_UNAVAILABLE,
                                             .reason = "the source did not answer in time"};

static void on_deadline(UNUSED evutil_socket_t fd, UNUSED short what, void *job)
{
    struct source_job *j = job;

    j->src->adapter->late(j);
}

static void job_free(struct source_job *j)
{
    source_lookup_publish(j, NULL);
    j->src->adapter->stop(j);
    *j->link = j->next;
    if (j->next) {
        j->next->link = j->link;
    }
    event_free(j->timer);
    event_free(j->deadline);
    free(j->raw_before);
    free(j);
}

static void call_free(struct source_call *c)
{
    *c->link = c->next;
    if (c->next) {
        c->next->link = c->link;
    }
    c->job->src->call_count--;
    free(c);
}

/* New calls for the same person begin a job of their own while the old ones are told. */
void source_job_end(struct source_job *j, const struct source_reply *reply)
{
    event_del(j->timer);
    event_del(j->deadline);
    j->ended = true;
    source_lookup_publish(j, reply);
    while (j->calls) {
        source_fn fn = j->calls->fn;
        void *ctx = j->calls->ctx;

        call_free(j->calls);
        fn(ctx, reply);
    }
    job_free(j);
}

static struct source_job *job_find(const struct source *s, const char *server, const char *name)
{
    for (struct source_job *j = s->jobs; j; j = j->next) {
        if (!j->sheet && !j->ended && strcmp(j->server, server) == 0 &&
            strcmp(j->name, name) == 0) {
            return j;
        }
    }
    return NULL;
}

static void say_no_such_server(struct source_job *j)
{
    source_job_end(j, &(struct source_reply){.outcome = SOURCE_NOT_FOUND,
                                             .reason = "there is no server of that name"});
}

static void say_no_such_name(struct source_job *j)
{
    source_job_end(j, &(struct source_reply){.outcome = SOURCE_NOT_FOUND,
                                             .reason = "no character can have that name"});
}

static bool is_name(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len < SOURCE_TEXT_SIZE && text_is_utf8(text, len) &&
           !text_has_control(text, len);
}

static struct source_job *job_new(struct source *s, bool sheet, const char *server,
                                  const char *name)
{
    const char *canonical = source_server_name(s->settings, server);
    struct source_job *j = mem_alloc(sizeof *j);

    j->src = s;
    j->sheet = sheet;
    j->timer = evtimer_new(s->base, on_timer, j);
    j->deadline = evtimer_new(s->base, on_deadline, j);
    MUST(j->timer && j->deadline);
    j->link = &s->jobs;
    j->next = s->jobs;
    if (j->next) {
        j->next->link = &j->next;
    }
    s->jobs = j;
    snprintf(j->claim_id, sizeof j->claim_id, "%s:%" PRIu64, s->id, ++s->last_number);
    text_copy(j->name, sizeof j->name, name);
    if (!canonical || !is_name(canonical) || !text_copy(j->server, sizeof j->server, canonical)) {
        source_job_after(j, 0, say_no_such_server);
    } else if (!is_name(name)) {
        source_job_after(j, 0, say_no_such_name);
    } else {
        source_job_after(j, 0, sheet ? s->adapter->sheet : source_lookup_begin);
    }
    loop_arm_ms(j->deadline, sheet ? s->sheet_ms : s->lookup_ms);
    return j;
}

/* ---- calls ---- */

static struct source_call *call_new(struct source_job *j, source_fn fn, void *ctx)
{
    struct source_call *c = mem_alloc(sizeof *c);

    *c = (struct source_call){.job = j, .fn = fn, .ctx = ctx, .link = &j->calls, .next = j->calls};
    if (c->next) {
        c->next->link = &c->next;
    }
    j->calls = c;
    j->src->call_count++;
    return c;
}

static bool has_room(const struct source *s, struct err *e)
{
    if (s->call_count < SOURCE_CALLS_MAX) {
        return true;
    }
    return err_set(e, ERR_RETRYABLE, "Busy", "%d calls of the source wait already", s->call_count);
}

struct source_call *source_lookup(struct source *s, const char *server, const char *name,
                                  source_fn fn, void *ctx, struct err *e)
{
    const char *canonical = source_server_name(s->settings, server);
    struct source_job *j = canonical ? job_find(s, canonical, name) : NULL;

    if (!has_room(s, e)) {
        return NULL;
    }
    return call_new(j ? j : job_new(s, false, server, name), fn, ctx);
}

struct source_call *source_sheet(struct source *s, const struct source_who *who, source_fn fn,
                                 void *ctx, struct err *e)
{
    struct source_job *j;

    if (!has_room(s, e)) {
        return NULL;
    }
    j = job_new(s, true, who->server, who->name);
    if (who->source_id && !text_copy(j->source_id, sizeof j->source_id, who->source_id)) {
        j->source_id[0] = '\0'; /* none of the site's: searched again */
    }
    j->raw_before = who->raw_payload ? mem_strdup(who->raw_payload) : NULL;
    return call_new(j, fn, ctx);
}

void source_cancel(struct source_call *call)
{
    struct source_job *j = call->job;

    call_free(call);
    if (!j->calls && !j->ended) {
        job_free(j);
    }
}

/* ---- life ---- */

static bool open_fetch(struct source *s, struct err *e)
{
    char agent[KIB];
    struct fetch_config cf = {
        .base = s->base, .user_agent = agent, .timeout_ms = s->settings->timeout_ms};

    snprintf(agent, sizeof agent, "aion2rank/%s (+%s)", AION2RANK_VERSION, s->settings->contact);
    s->fetch = fetch_new(&cf, e);
    return s->fetch != NULL;
}

struct source *source_new(const struct source_config *config, struct err *e)
{
    struct source *s;

    if (!source_settings_check(config->settings, e)) {
        return NULL;
    }
    s = mem_alloc(sizeof *s);
    s->base = config->base;
    s->settings = config->settings;
    s->rdsa = config->rdsa;
    s->lookup_ms = config->lookup_ms ? config->lookup_ms : SOURCE_LOOKUP_MS;
    s->sheet_ms = config->sheet_ms ? config->sheet_ms : SOURCE_SHEET_MS;
    s->adapter = find_adapter(s->settings->adapter);
    MUST(s->adapter); /* the settings are a choice of them */
    s->born_ms = clock_mono_ms();
    uuid_random(s->id);
    s->anchor = mem_alloc(sizeof *s->anchor);
    s->anchor->src = s;
    if (s->adapter->asks_site && !open_fetch(s, e)) {
        source_free(s);
        return NULL;
    }
    return s;
}

void source_free(struct source *s)
{
    if (!s) {
        return;
    }
    while (s->jobs) {
        while (s->jobs->calls) {
            call_free(s->jobs->calls);
        }
        job_free(s->jobs);
    }
    if (s->rdsa) { /* the gate and who waits for a claim are told that nobody asks any more */
        rdsa_flush(s->rdsa);
    }
    fetch_free(s->fetch);
    s->anchor->src = NULL; /* answers that are still to come find nobody */
    if (s->anchor->waiting == 0) {
        free(s->anchor);
    }
    free(s);
}
