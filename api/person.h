#ifndef API_PERSON_H
#define API_PERSON_H

#include "api/details.h"
#include "api/query.h"
#include "api/request.h"

/*
 * Characters by server and name, from memory where memory is sure of them, else from PostgreSQL,
 * and from memory again when PostgreSQL does not answer.
 */
#define PERSONS_MAX 200

enum person_found {
    PERSON_UNKNOWN, /* nobody can tell now */
    PERSON_ABSENT,
    PERSON_FOUND
};

struct person {
    /* Set by the caller: */
    size_t server_len, name_len;
    char server[QUERY_TEXT_BYTES + 1];
    char name[QUERY_TEXT_BYTES + 1];
    /* Found: */
    enum person_found found;
    bool asked;      /* PostgreSQL was */
    bool has_detail; /* false: only its place is known */
    struct detail detail;
    const struct image_row *row; /* of the loop's image; NULL: not on the board */
    const char *fetch_status;    /* static; NULL: "cached" */
};

struct persons {
    size_t count;
    void *arg; /* the caller's */
    struct person at[];
};

/* n of them, zeroed; n <= PERSONS_MAX. */
struct persons *persons_new(size_t n) MUST_CHECK;
void persons_free(struct persons *p);
void person_set(struct person *p, const struct query_value *server, const struct query_value *name);

/*
 * Fills in p, now or in a later turn, and calls done, which answers. p is freed after that; it must
 * not be used any more when this returns.
 */
typedef void (*persons_fn)(const struct request *rq, struct persons *p);
void persons_find(const struct request *rq, struct persons *p, persons_fn done);

/* Takes what is known of p from memory alone, in doubt, too. False: it has nothing. */
bool person_from_memory(const struct request *rq, struct person *p) MUST_CHECK;
/* p is who was just read from PostgreSQL; *d is p's from here on. */
void person_from_row(const struct request *rq, struct person *p, const struct detail *d);

/* Answers with a problem unless the person was found. */
bool person_must_be_found(const struct request *rq, const struct person *p);

/*
 * {..., the shape of a character; its closing brace is the caller's. The fields up to fetch_status
 * are those that clients rely on, in their order.
 */
void person_add_json(struct buf *b, const struct request *rq, const struct person *p);

#endif
