#include "common/pg.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"

enum err_class pg_sqlstate_class(const char *sqlstate)
{
    /* Prefixes; the first that fits decides. What is not here is permanent. */
    static const struct {
        const char *prefix;
        enum err_class cls;
    } CLASSES[] = {
        {"08P01", ERR_PERMANENT}, /* protocol violation */
        {"08", ERR_RETRYABLE},    /* connection exception */
        {"40002", ERR_PERMANENT}, /* a constraint, checked at commit */
        {"40", ERR_RETRYABLE},    /* serialization failure, deadlock */
        {"53", ERR_RETRYABLE},    /* disk full, out of memory, too many connections */
        {"55P03", ERR_RETRYABLE}, /* lock not available */
        {"55006", ERR_RETRYABLE}, /* object in use */
        {"57014", ERR_CANCELLED}, /* query cancelled, statement time-out */
        {"57P04", ERR_PERMANENT}, /* the database was dropped */
        {"57P", ERR_RETRYABLE},   /* shutdown, crash, cannot connect now, idle session */
        {"58P", ERR_PERMANENT},   /* a file is missing or twice there */
        {"58", ERR_RETRYABLE},    /* system error: I/O */
        {"25006", ERR_RETRYABLE}, /* read-only transaction: a standby, before or after a failover */
        {"25P03", ERR_RETRYABLE}, /* idle in a transaction for too long: the machine had stopped */
        {"25P04", ERR_RETRYABLE}, /* the transaction lasted too long */
        {"72", ERR_RETRYABLE},    /* snapshot too old */
        {"HV00N", ERR_RETRYABLE}, /* a foreign server cannot be reached */
    };

    if (!sqlstate || !*sqlstate) {
        return ERR_RETRYABLE; /* libpq's own errors: the connection */
    }
    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++) {
        if (strncmp(sqlstate, CLASSES[i].prefix, strlen(CLASSES[i].prefix)) == 0) {
            return CLASSES[i].cls;
        }
    }
    return ERR_PERMANENT;
}

void pg_error(PGconn *c, const PGresult *r, struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (!text) {
        text = c ? PQerrorMessage(c) : "out of memory";
    }
    if (state) {
        err_set(e, pg_sqlstate_class(state), "DatabaseError", "PostgreSQL %s: %s", state, text);
    } else {
        err_set(e, ERR_RETRYABLE, "OperationalError", "PostgreSQL: %s", text);
    }
}

static void on_notice(void *ctx, const char *text)
{
    (void)ctx;
    log_info("pg.notice", "text=%s", LOGQ(text));
}

void pg_hear(PGconn *c)
{
    PQsetNoticeProcessor(c, on_notice, NULL);
}

PGconn *pg_connect(const char *url, const char *application_name, struct err *e)
{
    /* The URL comes last (expand_dbname), so what it says wins over these defaults. */
    const char *keys[] = {"client_encoding",
                          "fallback_application_name",
                          "connect_timeout",
                          "keepalives_idle",
                          "keepalives_interval",
                          "keepalives_count",
                          "tcp_user_timeout",
                          "options",
                          "dbname",
                          NULL};
    const char *values[] = {"UTF8",  application_name,  "5", "5", "3", "3",
                            "15000", "-c TimeZone=UTC", url, NULL};
    PGconn *c = PQconnectdbParams(keys, values, 1);

    if (!c || PQstatus(c) != CONNECTION_OK) {
        pg_error(c, NULL, e);
        PQfinish(c);
        return NULL;
    }
    pg_hear(c);
    return c;
}

static PGresult *checked(PGconn *c, PGresult *r, struct err *e)
{
    ExecStatusType status = PQresultStatus(r);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        return r;
    }
    pg_error(c, r, e);
    PQclear(r);
    return NULL;
}

PGresult *pg_exec(PGconn *c, const char *sql, struct err *e)
{
    return checked(c, pg_query(c, sql), e);
}

PGresult *pg_exec_params(PGconn *c, const char *sql, int n, const char *const *values,
                         struct err *e)
{
    return checked(c, pg_query_params(c, sql, n, values), e);
}

bool pg_run(PGconn *c, const char *sql, struct err *e)
{
    PGresult *r = pg_exec(c, sql, e);

    PQclear(r);
    return r != NULL;
}

bool pg_run_begin(PGconn *c, const char *sql, struct err *e)
{
    if (!pg_query_begin(c, sql)) {
        pg_error(c, NULL, e);
        return false;
    }
    return true;
}

bool pg_run_end(PGconn *c, struct err *e)
{
    PGresult *r = checked(c, pg_query_end(c), e);

    PQclear(r);
    return r != NULL;
}
