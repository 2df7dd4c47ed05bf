#ifndef API_ADMIN_ROUTE_H
#define API_ADMIN_ROUTE_H

#include <event2/http.h>
#include <libpq-fe.h>

#include "api/query.h"
#include "api/settings.h"
#include "common/json.h"
#include "common/rds.h"
#include "common/token.h"

/*
 * Every address of the admin side is a row of a table (routes_*.c): who asks and what is asked are
 * checked against it before its handler is called, changes are written into the log of changes
 * around it, and the description of the admin side is made from it.
 *
 * Handlers run on a thread of jobs and may block, within ADMIN_HANDLER_MAX_S. They have a
 * PostgreSQL and a Redis connection when their row says so.
 */
#define ADMIN_HANDLER_MAX_S 30
#define ADMIN_PATH_IDS_MAX  3

/* Who asks. */
struct admin_who {
    char name[128];   /* "token:grafana#3", "env", "uid:0": what the log of changes says */
    char address[96]; /* "127.0.0.1:40112", "unix" */
    enum token_scope scope;
};

/* What handlers know of the service. */
struct admin_env {
    const struct api_settings *settings;
    struct rds_addr redis; /* REDIS_URL, read */
};

struct admin_route;

struct admin_call {
    /* What is asked. Everything is gone when the handler has returned. */
    const struct admin_route *route;
    const struct query_value *ids;    /* of the path, as route->ids says */
    const struct query_value *values; /* as route->params says */
    const cJSON *body;                /* an object, as route->body says; NULL: none */
    const struct admin_who *who;
    const char *idempotency_key; /* NULL: none */
    const struct admin_env *env;
    PGconn *pg;          /* NULL unless the row needs it */
    redisContext *redis; /* NULL unless the row needs it */

    /* What is answered: one of the functions below, once. */
    int status;
    cJSON *reply;
    char type[64]; /* of bytes; "": reply is sent */
    char *bytes;   /* in place of reply, owned */
    size_t bytes_len;
    char location[300];

    /* For the log of changes, by handlers of changes. */
    char target[300];
    cJSON *before, *after; /* owned; NULL: nothing to say */
};

typedef void (*admin_fn)(struct admin_call *c);

/* A member of what is posted. */
enum admin_kind { ADMIN_TEXT, ADMIN_INT, ADMIN_BOOL, ADMIN_OBJECT, ADMIN_ARRAY, ADMIN_TEXTS };
struct admin_field {
    const char *name;
    enum admin_kind kind;
    bool required;
    int64_t min, max;  /* INT: the range; TEXT: characters (min 0: may be empty); TEXTS: how many */
    const char *words; /* TEXT: "a|b|c", one of them; NULL: any */
    const char *help;
};

/* _WISH: the connection is NULL when it cannot be had, and the handler says what it can. */
enum { ADMIN_PG = 1, ADMIN_REDIS = 2, ADMIN_PG_WISH = 4, ADMIN_REDIS_WISH = 8 };

struct admin_route {
    enum evhttp_cmd_type method;
    const char *path; /* "/admin/batches/{id}": {..} is one segment, checked by ids */
    bool open;        /* needs no token: for pages, never for data */
    enum token_scope scope;
    unsigned needs; /* ADMIN_PG, ADMIN_REDIS, ...; a change has PostgreSQL anyhow */
    admin_fn fn;
    const struct query_param *ids;
    const struct query_param *params;
    size_t param_count;
    const struct admin_field *body; /* NULL: no body is read */
    size_t body_count;
    const char *action; /* name in the log of changes; NULL: it only reads */
    /* For the description: */
    const char *id;      /* operationId */
    const char *summary; /* one sentence for people */
    const char *schema;  /* of a good answer, in schemas/ *.json */
    int status;          /* of a good answer; 0: 200 */
};

/* The tables; each in its file. */
struct admin_routes {
    const struct admin_route *rows;
    size_t count;
};
extern const struct admin_routes ADMIN_ROUTES_SELF, ADMIN_ROUTES_BATCHES, ADMIN_ROUTES_SERVERS,
    ADMIN_ROUTES_SCHEDULES, ADMIN_ROUTES_QUEUES, ADMIN_ROUTES_LETTERS, ADMIN_ROUTES_WORKERS,
    ADMIN_ROUTES_OVERVIEW, ADMIN_ROUTES_PAGES;
extern const struct admin_routes *const ADMIN_ROUTES[];
extern const size_t ADMIN_ROUTES_COUNT;

/*
 * The row for a path as it was sent (not decoded), NULL: there is none. *methods: what the path
 * answers to at all. ids: the segments that stand for {..}, not checked yet.
 */
struct admin_segment {
    const char *at;
    size_t len;
};
const struct admin_route *admin_route_find(const char *path, enum evhttp_cmd_type method,
                                           unsigned *methods,
                                           struct admin_segment ids[ADMIN_PATH_IDS_MAX]);
/* The comparison behind it; pure. ids is filled as far as it came. */
bool admin_path_matches(const char *pattern, const char *path,
                        struct admin_segment ids[ADMIN_PATH_IDS_MAX]) MUST_CHECK;
/*
 * Whether a Host header is an address or a name without a dot, perhaps with a port. A page of
 * somebody's domain can have its name lead to where our socket is forwarded to (ssh -L) and is of
 * our origin then; but its browser still says that name. Pure.
 */
bool admin_is_near_host(const char *host) MUST_CHECK;
/* {..} of a path. */
size_t admin_route_ids(const struct admin_route *r);

/* ---- answers ---- */

/* Takes doc; NULL becomes a 503 (memory). */
void admin_reply(struct admin_call *c, int status, cJSON *doc);
/* Copies the bytes. type: "text/html; charset=utf-8". */
void admin_bytes(struct admin_call *c, int status, const char *type, const void *bytes, size_t len);
/* An error; param may be NULL. */
void admin_problem(struct admin_call *c, int status, const char *param, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Something below failed: 503 when it may work later, 404 "LookupError", 409 "StateError", 422
 * "ValueError", else 500. The text of *e is shown. */
void admin_fail(struct admin_call *c, const struct err *e);
/* The usual end: doc, or when it is NULL what *e says. "LookupError" is a 404. */
void admin_document(struct admin_call *c, cJSON *doc, const struct err *e);
/* Where what was made is to be found; format as printf. */
void admin_location(struct admin_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What the change is about, for the log of changes. */
void admin_target(struct admin_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- what is posted ---- */

/* The members of the body against the table. False: *status, param and detail of the refusal. */
bool admin_check_body(const cJSON *body, const struct admin_field *fields, size_t n,
                      struct query_error *e) MUST_CHECK;
/* Whether text is one of "a|b|c". */
bool admin_is_word(const char *words, const char *text);
/* Schema of the body, for the description. */
cJSON *admin_body_schema(const struct admin_field *fields, size_t n);

/* The description of the admin side; NULL: memory. */
cJSON *admin_openapi(void) MUST_CHECK;

#endif
