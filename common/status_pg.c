#include "common/status.h"

#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/json.h"
#include "common/pg.h"
#include "common/schema.h"

#define ISO(column) "to_char(" column ", 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* $1: number of runs. The server builds the JSON, so nothing is spelled twice. */
static const char QUERY[] =
    "SELECT json_build_object("
    "'runs', (SELECT coalesce(json_agg(r), '[]') FROM ("
    "SELECT id, task_id, " ISO("slot") " AS slot, " ISO(
        "started_at") " AS started_at,"
                      " round(extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at), 3)"
                      " AS took_s, state, attempt, worker, processed, failed, servers, entries,"
                      " left(error, 400) AS error"
                      " FROM batch_runs ORDER BY started_at DESC, id DESC LIMIT $1::int) AS r), "
                      "'ranking', (SELECT row_to_json(s) FROM ("
                      "SELECT run_id, " ISO(
                          "generated_at") " AS generated_at, entries,"
                                          " floor(extract(epoch FROM clock_timestamp() - generated_at)) AS age_s, previous_run_id"
                                          " FROM ranking_state) AS s))";

static bool read_tables(PGconn *c, cJSON *doc, struct err *e)
{
    char runs_max[12];
    const char *params[] = {runs_max};
    cJSON *answer;
    PGresult *r;

    snprintf(runs_max, sizeof runs_max, "%d", STATUS_RUNS_MAX);
    if (!schema_check(c, e)) {
        return false;
    }
    r = pg_exec_params(c, QUERY, 1, params, e);
    if (!r) {
        return false;
    }
    answer = json_parse(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0), e);
    PQclear(r);
    for (cJSON *member = answer ? answer->child : NULL, *next; member; member = next) {
        next = member->next;
        cJSON_AddItemToObject(doc, member->string, cJSON_Duplicate(member, true));
    }
    cJSON_Delete(answer);
    return answer != NULL;
}

/* "15.9", without what the packager adds after it. */
static void add_version(cJSON *pg, PGconn *c)
{
    const char *version = PQparameterStatus(c, "server_version");
    char number[32] = "";

    if (version) {
        snprintf(number, sizeof number, "%.*s", (int)strcspn(version, " "), version);
    }
    cJSON_AddStringToObject(pg, "version", number);
}

enum status_pg status_add_pg(cJSON *doc, const char *url, PGconn *c, struct err *e)
{
    cJSON *pg = cJSON_AddObjectToObject(doc, "postgresql");
    enum status_pg found = STATUS_PG_OK;

    cJSON_AddStringToObject(pg, "url", conf_mask_url(url));
    cJSON_AddBoolToObject(pg, "reachable", c != NULL);
    if (!c) {
        cJSON_AddStringToObject(pg, "error", e->text);
        return STATUS_PG_DOWN;
    }
    add_version(pg, c);
    if (!read_tables(c, doc, e)) {
        cJSON_AddStringToObject(pg, "error", e->text);
        found = PQstatus(c) == CONNECTION_OK ? STATUS_PG_REFUSED : STATUS_PG_DOWN;
    }
    return found;
}
