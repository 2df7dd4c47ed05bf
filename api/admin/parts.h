#ifndef API_ADMIN_PARTS_H
#define API_ADMIN_PARTS_H

#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>

#include "api/admin/admin.h"
#include "api/admin/keeper.h"
#include "api/admin/route.h"
#include "api/protocol.h"
#include "common/conns.h"

/*
 * The inside of the admin side: admin.c (the thread), doors.c (where it listens), serve.c (a
 * request's way in), send.c (and out), jobs.c (threads that may block), trail.c (changes and
 * repeated requests).
 */
#define ADMIN_THREADS         2
#define ADMIN_QUEUE_MAX       64  /* requests that wait for a thread */
#define ADMIN_CONNECTIONS_MAX 64  /* of each door */
#define ADMIN_KEY_MAX         128 /* bytes of an Idempotency-Key */
#define ADMIN_PATH_SIZE       200 /* of a path in logs */
#define ADMIN_ANSWER_MAX      (8 * MIB)

struct jobs;

/* One request on its way. */
struct ask {
    struct ask *next;
    struct admin *admin;
    struct evhttp_request *http; /* evhttp's; kept by it until it is answered */
    int64_t began_us;
    const char *method;
    char path[ADMIN_PATH_SIZE]; /* for logs: clipped, without tokens */
    struct admin_who who;
    const struct admin_route *route;
    struct query_value ids[ADMIN_PATH_IDS_MAX];
    struct query_value values[QUERY_PARAMS_MAX];
    cJSON *body;
    char key[ADMIN_KEY_MAX + 1];         /* "": none */
    unsigned char hash[TOKEN_HASH_SIZE]; /* of method, target and body */
    struct admin_call call;
    char allow[PROTOCOL_ALLOW_SIZE]; /* 405 */
    bool challenge;                  /* 401 */
    bool replayed;
    bool quiet; /* one of too many that were refused */
};

/*
 * A listener with all that belongs to it: whoever fills the port with connections leaves the socket
 * to the operators.
 */
struct door {
    struct admin *admin;
    const char *name;
    struct evhttp *http;
    struct conns *conns;
    struct evhttp_bound_socket *bound; /* NULL: closed */
    bool said;                         /* that it cannot be opened */
    bool paused;                       /* too many connections */
};

struct admin {
    const struct api_settings *settings;
    struct admin_env env;
    struct sockaddr_storage addr;
    char socket_path[108]; /* "": none */
    int socket_lock;       /* -1: another process has the socket */
    pthread_t thread;
    struct event_base *base;
    struct keeper *keeper;
    struct jobs *jobs;
    struct door tcp, local;
    int stop_fd, done_fd;
    struct event *on_stop, *on_done, *tick;
    int at_work; /* asks that the jobs have */
    bool draining;
    int64_t drain_until_ms;
    pthread_mutex_t lock;
    struct ask *done; /* under the lock; the newest first */
};

/* doors.c */
bool doors_read_settings(const struct api_settings *s, struct sockaddr_storage *addr,
                         char socket_path[108], struct err *e) MUST_CHECK;
/* Opens and closes listeners as it should be now; again and again. */
void doors_update(struct admin *a);
void doors_close(struct admin *a);

/* serve.c */
void serve_request(struct evhttp_request *http, void *door);
/* What evhttp refuses by itself. */
void serve_refused(void *admin, struct evhttp_request *http, int status);
void ask_free(struct ask *k);

/* send.c: answers and frees the ask. */
void send_answer(struct ask *k);

/* jobs.c */
typedef void (*job_done_fn)(struct ask *k);
struct jobs *jobs_start(const struct admin_env *env, job_done_fn done);
/* False when too many wait. done is called on another thread. */
bool jobs_give(struct jobs *j, struct ask *k) MUST_CHECK;
/* From now on nothing is begun, and what waits for PostgreSQL does not go on waiting. */
void jobs_hurry(struct jobs *j);
/* Does what is still to be done, and ends. */
void jobs_stop(struct jobs *j);

/*
 * trail.c: calls the handler of a change within the log of changes, or repeats the answer to an
 * earlier request. k->call has PostgreSQL.
 */
void trail_run(struct ask *k);

#endif
