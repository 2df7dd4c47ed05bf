#ifndef WORKER_FAILURES_H
#define WORKER_FAILURES_H

#include "common/payload.h"

/*
 * Who failed in a run and why: the exact count is kept elsewhere, here are the FAILURES_MAX
 * characters with the lowest ids, whatever the order they arrive in, and the servers that failed as
 * a whole.
 */
#define FAILURES_MAX      1000
#define FAILURE_TEXT_SIZE 264 /* varchar(64) in UTF-8 and its NUL */

struct failure {
    int64_t id;
    char server[FAILURE_TEXT_SIZE];
    char name[FAILURE_TEXT_SIZE];
    const char *stat; /* static */
    char reason[sizeof((struct payload_fault *)0)->reason];
};

struct failed_server {
    char *name; /* owned */
    size_t name_len;
    uint64_t characters; /* with a payload */
    char reason[400];
};

struct failures {
    struct failure *at;
    uint32_t count;
    int64_t id_limit; /* higher ids are not wanted any more */
    struct failed_server *servers;
    uint32_t server_count;
};

void failures_init(struct failures *f);
void failures_fini(struct failures *f);
/* False when memory is out. */
bool failures_add(struct failures *f, const struct failure *one) MUST_CHECK;
/* Forgets the characters of a server: it failed as a whole. */
void failures_drop_server(struct failures *f, const char *server);
/* Sorts by id and keeps the first FAILURES_MAX. Call before reading `at`. */
void failures_settle(struct failures *f);
/* A zeroed one at the end of servers, NULL when memory is out. */
struct failed_server *failures_add_server(struct failures *f, const char *name, size_t len);
bool failures_has_server(const struct failures *f, const char *name, size_t len);

#endif
