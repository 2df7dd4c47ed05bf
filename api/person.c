#include "api/person.h"

#include <stdlib.h>
#include <string.h>

#include "api/spelling.h"
#include "common/clock.h"
#include "common/mem.h"

#define WANTED_MAX MIB

/* $1: [{"n":0,"server":"...","name":"..."}, ...] */
static const char FIND_SQL[] = "SELECT " DETAIL_COLUMNS(
    DETAIL_STATS_SHOWN) ", w.n "
                        "FROM json_to_recordset($1::json) AS w (n int, server text, name text) "
                        "JOIN characters AS c ON c.server = w.server AND c.name = w.name";
#define COL_NUMBER DETAIL_COLUMN_COUNT

struct search {
    struct request *rq; /* owned */
    struct persons *p;  /* owned */
    persons_fn done;
};

struct persons *persons_new(size_t n)
{
    struct persons *p;

    MUST(n <= PERSONS_MAX);
    p = mem_alloc(sizeof *p + n * sizeof p->at[0]);
    p->count = n;
    return p;
}

void persons_free(struct persons *p)
{
    for (size_t i = 0; i < p->count; i++) {
        detail_fini(&p->at[i].detail);
    }
    free(p);
}

void person_set(struct person *p, const struct query_value *server, const struct query_value *name)
{
    memcpy(p->server, server->text, server->len + 1);
    memcpy(p->name, name->text, name->len + 1);
    p->server_len = server->len;
    p->name_len = name->len;
}

/* ---- from memory ---- */

static void set_server(struct person *p, const char *server)
{
    if (strcmp(p->server, server) != 0) {
        p->server_len = strlen(server);
        memcpy(p->server, server, p->server_len + 1);
    }
}

/* Under whatever name of its server it is there. */
static void find_row(const struct request *rq, struct person *p)
{
    const char *stored;

    p->row = spelling_find_person(rq, p->server, p->name, &stored);
    set_server(p, stored);
}

/* What memory knows. True: it is sure. */
static bool find_in_memory(const struct request *rq, struct person *p)
{
    struct details *details = loader_details(rq->loop->loader);
    enum details_found found;
    uint32_t key;

    find_row(rq, p);
    if (!p->row) {
        return false;
    }
    key = details_key(p->server, p->server_len, p->name, p->name_len);
    found = details_get(details, p->row->id, key, &p->detail);
    p->has_detail = found != DETAILS_NONE;
    p->found = PERSON_FOUND;
    return found == DETAILS_SURE;
}

/* ---- from PostgreSQL ---- */

static void forget(struct person *p)
{
    detail_fini(&p->detail);
    p->has_detail = false;
    p->found = PERSON_UNKNOWN;
}

/* Found under several names of the server: the one that was asked for counts, else the first. */
static void take_row(const struct request *rq, struct person *p, const PGresult *r, int i)
{
    const char *server = PQgetvalue(r, i, DETAIL_COL_SERVER);

    if (p->found == PERSON_FOUND && strcmp(server, p->server) != 0) {
        return;
    }
    detail_fini(&p->detail);
    p->has_detail = detail_read(r, i, &p->detail);
    p->found = p->has_detail ? PERSON_FOUND : PERSON_UNKNOWN;
    if (strcmp(server, p->server) != 0) {
        set_server(p, server);
        find_row(rq, p);
    }
}

/* Who was asked for and is not in the result is absent. */
static void take_result(const struct request *rq, struct persons *all, const PGresult *r)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->at[i].asked) {
            all->at[i].found = PERSON_ABSENT;
        }
    }
    for (int i = 0; i < PQntuples(r); i++) {
        size_t n = (size_t)strtoul(PQgetvalue(r, i, COL_NUMBER), NULL, 10);

        MUST(n < all->count);
        take_row(rq, &all->at[n], r, i);
    }
}

/* The image may be another one by now, and memory may know more. */
static void look_again(struct search *s, bool answered)
{
    for (size_t i = 0; i < s->p->count; i++) {
        struct person *p = &s->p->at[i];

        if (!p->asked) {
            find_row(s->rq, p);
            continue;
        }
        forget(p);
        if (answered) {
            find_row(s->rq, p);
        } else {
            find_in_memory(s->rq, p); /* in doubt, too: nobody knows better */
        }
    }
}

static void on_result(void *arg, const PGresult *r, const struct err *e)
{
    struct search *s = arg;

    (void)e;
    look_again(s, r != NULL);
    if (r) {
        take_result(s->rq, s->p, r);
    }
    s->done(s->rq, s->p);
    persons_free(s->p);
    free(s->rq);
    free(s);
}

static void add_wanted(struct buf *b, const struct request *rq, const struct person *p, size_t n)
{
    const char *names[SPELLINGS_MAX];
    int count = spelling_list(rq, p->server, names);

    for (int i = 0; i < count; i++) {
        buf_addf(b, "%s{\"n\":%zu,\"server\":", b->len > 1 ? "," : "", n);
        buf_add_json(b, names[i], strlen(names[i]));
        buf_addstr(b, ",\"name\":");
        buf_add_json(b, p->name, p->name_len);
        buf_addch(b, '}');
    }
}

/* wanted: a finished FIND_SQL parameter. */
static void ask(const struct request *rq, struct persons *p, persons_fn done, struct buf *wanted)
{
    struct search *s = mem_alloc(sizeof *s);
    const char *value = wanted->data;
    struct err e = {0};

    *s = (struct search){request_keep(rq), p, done};
    if (wanted->failed || !pgpool_query(rq->loop->pg, FIND_SQL, 1, &value, on_result, s, &e)) {
        on_result(s, NULL, &e);
    }
}

void persons_find(const struct request *rq, struct persons *p, persons_fn done)
{
    bool sure = true;
    struct buf wanted;

    buf_init(&wanted, WANTED_MAX);
    buf_addch(&wanted, '[');
    for (size_t i = 0; i < p->count; i++) {
        if (!find_in_memory(rq, &p->at[i])) {
            add_wanted(&wanted, rq, &p->at[i], i);
            p->at[i].asked = true;
            sure = false;
        }
    }
    buf_addch(&wanted, ']');
    if (sure) {
        done(rq, p);
        persons_free(p);
    } else {
        ask(rq, p, done, &wanted);
    }
    buf_fini(&wanted);
}

bool person_from_memory(const struct request *rq, struct person *p)
{
    find_in_memory(rq, p);
    return p->found == PERSON_FOUND;
}

void person_from_row(const struct request *rq, struct person *p, const struct detail *d)
{
    find_row(rq, p);
    p->detail = *d;
    p->has_detail = true;
    p->found = PERSON_FOUND;
}

bool person_must_be_found(const struct request *rq, const struct person *p)
{
    if (p->found == PERSON_ABSENT) {
        reply_problem(rq, 404, NULL, "Character not found");
    } else if (p->found == PERSON_UNKNOWN) {
        reply_unavailable(rq, "The database does not answer and the stored ranking does not "
                              "hold this character.");
    }
    return p->found == PERSON_FOUND;
}
