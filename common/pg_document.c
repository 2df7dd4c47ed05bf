#include "common/pg.h"

cJSON *pg_document(PGconn *c, const char *sql, int n, const char *const *values, struct err *e)
{
    PGresult *r = pg_exec_params(c, sql, n, values, e);
    cJSON *doc = NULL;

    if (r && (PQntuples(r) != 1 || PQgetisnull(r, 0, 0))) {
        err_set(e, ERR_PERMANENT, "LookupError", "there is nothing of that name");
    } else if (r) {
        doc = json_parse(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0), e);
    }
    PQclear(r);
    return doc;
}
