#include "worker/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "common/character_row.h"
#include "common/crash.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/text.h"
#include "worker/settings.h"

#define NAME_CHARS_MAX 64

/* What is stored of the character. */
struct stored {
    char *source_id;   /* NULL: not known */
    char *raw_payload; /* NULL: none */
    bool has_sheet;
};

struct fetch {
    const struct task_request *req;
    const char *server; /* canonical */
    const char *name;
    struct stored stored;
    struct sheet_answer answer;
};

static bool wants_stop(void *req)
{
    struct err ignored;

    return task_cancelled(req, &ignored);
}

static PGconn *connect_pg(const struct fetch *f, struct err *e)
{
    return pg_connect(f->req->settings->database_url, "aion2-worker source", e);
}

/* ---- whom ---- */

static const char *text_kwarg(const cJSON *kwargs, const char *key, struct err *e)
{
    const char *text = json_get_str(kwargs, key);
    size_t len = text ? strlen(text) : 0;

    if (len == 0 || text_utf8_count(text, len) > NAME_CHARS_MAX || text_has_control(text, len)) {
        err_set(e, ERR_PERMANENT, "ValueError", "%s: expected a text of 1 to %d characters", key,
                NAME_CHARS_MAX);
        return NULL;
    }
    return text;
}

static bool read_kwargs(struct fetch *f, struct err *e)
{
    const char *server = text_kwarg(f->req->kwargs, "server", e);

    f->name = server ? text_kwarg(f->req->kwargs, "name", e) : NULL;
    if (!f->name) {
        return false;
    }
    f->server = source_server_name(&f->req->settings->source, server);
    return f->server || err_set(e, ERR_PERMANENT, "ValueError", "server: %s is not known", server);
}

/* ---- what is stored ---- */

#define KNOWN_COLUMNS                                                                              \
    "c.source_id, CASE WHEN pg_column_size(c.raw_payload) <= 4194304 THEN "                        \
    "CASE WHEN octet_length(c.raw_payload::text) <= 4194304 THEN c.raw_payload::text END END"      \
    ", coalesce(c.stats_payload, '{}') <> '{}' AND c.stats_payload -> 'mode'"                      \
    " IS DISTINCT FROM '\"profile\"'"

static char *text_or_null(const PGresult *r, int col)
{
    return PQgetisnull(r, 0, col) ? NULL : mem_strdup(PQgetvalue(r, 0, col));
}

static bool look_up_stored(struct fetch *f, struct err *e)
{
    const char *values[CHARACTER_ROW_SELECT_PARAMS] = {f->server, f->name};
    PGconn *c = connect_pg(f, e);
    PGresult *r =
        c ? pg_exec_params(c, CHARACTER_ROW_SELECT(KNOWN_COLUMNS), ARRAY_LEN(values), values, e)
          : NULL;
    bool ok = r != NULL;

    if (ok && PQntuples(r) > 0) {
        f->stored.source_id = text_or_null(r, 0);
        f->stored.raw_payload = text_or_null(r, 1);
        f->stored.has_sheet = PQgetvalue(r, 0, 2)[0] == 't';
    }
    PQclear(r);
    PQfinish(c);
    return ok;
}

/* ---- storing ---- */

/* *id: of the row. */
static bool store_person(struct fetch *f, PGconn *c, char id[24], struct err *e)
{
    struct character_row row;
    PGresult *r;

    if (!character_row_fill(&row, &f->answer.person, e)) {
        return false;
    }
    CRASH_POINT("sheet.store");
    r = pg_exec_params(c, CHARACTER_ROW_UPSERT("c.id"), CHARACTER_ROW_PARAMS, row.values, e);
    if (!r) {
        return false;
    }
    text_copy(id, 24, PQgetvalue(r, 0, 0));
    PQclear(r);
    return true;
}

static bool mark_failed(const struct fetch *f, PGconn *c, const char *why, struct err *e)
{
    char reason[CHARACTER_REASON_SIZE];
    const char *values[CHARACTER_ROW_FAILED_PARAMS] = {f->server, f->name,
                                                       character_row_reason(why, reason)};
    PGresult *r =
        pg_exec_params(c, CHARACTER_ROW_MARK_FAILED("c.id"), ARRAY_LEN(values), values, e);

    PQclear(r);
    return r != NULL;
}

static cJSON *result_of(const struct fetch *f, const char *status)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "status", status);
    cJSON_AddStringToObject(o, "server", f->server);
    cJSON_AddStringToObject(o, "name", f->name);
    return o;
}

/* ---- the outcomes ---- */

static cJSON *end_found(struct fetch *f, PGconn *c, struct err *e)
{
    struct err ignored;
    char id[24];
    cJSON *o;

    if (!store_person(f, c, id, e)) {
        if (e->cls == ERR_PERMANENT) { /* it holds what the table does not take */
            (void)mark_failed(f, c, e->text, &ignored);
        }
        return NULL;
    }
    log_info("sheet.stored", "server=%s name=%s id=%s", LOGQ(f->server), LOGQ(f->name), id);
    o = result_of(f, "success");
    cJSON_AddItemToObject(o, "id", cJSON_CreateRaw(id));
    cJSON_AddStringToObject(o, "mode", f->answer.person.mode);
    return o;
}

static cJSON *end_not_found(struct fetch *f, PGconn *c, struct err *e)
{
    cJSON *o;

    if (!mark_failed(f, c, f->answer.reason, e)) {
        return NULL;
    }
    o = result_of(f, "not_found");
    cJSON_AddStringToObject(o, "reason", f->answer.reason);
    return o;
}

/* Of who has no sheet yet, what was read before it went wrong is better than nothing. */
static bool keep_what_came(struct fetch *f, PGconn *c, struct err *e)
{
    char id[24];

    return !f->answer.has_person || f->stored.has_sheet || store_person(f, c, id, e);
}

/* A rest, or a crowd before the source, says nothing about the character. */
static cJSON *end_later(struct fetch *f, PGconn *c, struct err *e)
{
    static const char *const TYPES[SOURCE_OUTCOME_COUNT] = {[SOURCE_RESTING] = "SourceResting",
                                                            [SOURCE_CROWDED] = "SourceCrowded",
                                                            [SOURCE_UNAVAILABLE] =
                                                                "SourceUnavailable"};

    if (!keep_what_came(f, c, e) ||
        (f->answer.outcome == SOURCE_UNAVAILABLE && !mark_failed(f, c, f->answer.reason, e))) {
        return NULL;
    }
    err_set(e, ERR_RETRYABLE, TYPES[f->answer.outcome], "%s", f->answer.reason);
    e->wait_s = f->answer.wait_s;
    return NULL;
}

static cJSON *settle(struct fetch *f, struct err *e)
{
    static cJSON *(*const ENDS[SOURCE_OUTCOME_COUNT])(struct fetch *, PGconn *, struct err *) = {
        [SOURCE_FOUND] = end_found,
        [SOURCE_NOT_FOUND] = end_not_found,
        [SOURCE_RESTING] = end_later,
        [SOURCE_CROWDED] = end_later,
        [SOURCE_UNAVAILABLE] = end_later};
    PGconn *c = connect_pg(f, e);
    cJSON *result = c ? ENDS[f->answer.outcome](f, c, e) : NULL;

    PQfinish(c);
    return result;
}

static cJSON *run(struct fetch *f, struct err *e)
{
    struct source_who who = {.server = f->server, .name = f->name};

    if (!look_up_stored(f, e)) {
        return NULL;
    }
    who.source_id = f->stored.source_id;
    who.raw_payload = f->stored.raw_payload;
    if (!sheet_ask(f->req, &who, &f->answer, e)) {
        return NULL;
    }
    CRASH_POINT("sheet.answered");
    return settle(f, e);
}

cJSON *sheet_task(const struct task_request *req, struct err *e)
{
    struct fetch f = {.req = req};
    cJSON *result;

    if (!read_kwargs(&f, e)) {
        return NULL;
    }
    pg_watch(wants_stop, (void *)(uintptr_t)req);
    result = run(&f, e);
    pg_watch(NULL, NULL);
    if (!result && e->cls == ERR_CANCELLED) {
        (void)task_cancelled(req, e); /* as it is told everywhere */
    }
    free(f.stored.source_id);
    free(f.stored.raw_payload);
    sheet_answer_fini(&f.answer);
    return result;
}
