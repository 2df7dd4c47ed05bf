#include "common/schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/pg.h"

#define UNDEFINED_TABLE "42P01"

/* The applied row, or -1 when this program does not know that version. */
static int find_version(int version)
{
    for (int i = 0; i < SCHEMA_MIGRATION_COUNT; i++) {
        if (SCHEMA_MIGRATIONS[i].version == version) {
            return i;
        }
    }
    return -1;
}

static bool check_rows(const PGresult *r, struct err *e)
{
    int n = PQntuples(r);

    for (int i = 0; i < n; i++) {
        int known = find_version(atoi(PQgetvalue(r, i, 0)));

        if (known < 0) {
            return err_set(e, ERR_PERMANENT, "SchemaError",
                           "the database has migration %s, which this program does not know: it is "
                           "newer; upgrade the program",
                           PQgetvalue(r, i, 1));
        }
        if (strcmp(PQgetvalue(r, i, 2), SCHEMA_MIGRATIONS[known].checksum) != 0) {
            return err_set(e, ERR_PERMANENT, "SchemaError",
                           "migration %s was edited after it was applied (checksum differs); "
                           "restore it and put the change into a new migration",
                           SCHEMA_MIGRATIONS[known].name);
        }
    }
    if (n < SCHEMA_MIGRATION_COUNT) {
        return err_set(e, ERR_RETRYABLE, "SchemaError",
                       "the database lacks %d migration(s); run: aion2ctl migrate",
                       SCHEMA_MIGRATION_COUNT - n);
    }
    return true;
}

bool schema_check(PGconn *c, struct err *e)
{
    PGresult *r = pg_query(c, "SELECT version, name, checksum FROM schema_migrations"
                              " ORDER BY version");
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool ok = false;

    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        ok = check_rows(r, e);
    } else if (state && strcmp(state, UNDEFINED_TABLE) == 0) {
        err_set(e, ERR_RETRYABLE, "SchemaError", "the database is empty; run: aion2ctl migrate");
    } else {
        pg_error(c, r, e);
    }
    PQclear(r);
    return ok;
}
