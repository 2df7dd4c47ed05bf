#ifndef API_LOOP_H
#define API_LOOP_H

#include <event2/event.h>
#include <event2/http.h>
#include <pthread.h>
#include <sys/socket.h>

#include "api/cache.h"
#include "api/image.h"
#include "api/loader.h"
#include "api/pgpool.h"
#include "api/searcher.h"
#include "api/settings.h"
#include "common/buf.h"
#include "common/conns.h"

/*
 * One serving thread: an event loop with its own listener, connections, image reference, cache and
 * PostgreSQL connections. Loops share only the loader; nothing else here is seen by two threads.
 *
 * The reference to the image is exchanged between two callbacks, never within one, so an answer
 * is made from one generation.
 */
#define LOOP_HEADERS_MAX   (16 * KIB)
#define LOOP_BODY_MAX      (64 * KIB)
#define LOOP_INPUT_MAX     (LOOP_HEADERS_MAX + LOOP_BODY_MAX) /* unread bytes of a client */
#define LOOP_DRAIN_MS      10000
#define LOOP_SERVERS_MS    2000 /* how long the list of servers is kept */
#define LOOP_WAIT_TICK_MS  100
#define LOOP_SNAPSHOT_SIZE 200
#define LOOP_ETAG_SIZE     80

struct loop {
    _Atomic int64_t turned_ms; /* when it last ticked */
    int conns_told;            /* of its clients, to figures.h */
    const struct api_settings *settings;
    struct loader *loader;
    struct searcher *searcher;
    struct net_list proxies;  /* that are believed whom they speak for */
    struct mailbox *searched; /* searches that have ended */
    unsigned searching;
    pthread_t thread;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct conns *conns;
    struct pgpool *pg;
    struct cache *cache;
    struct image *image;                  /* one reference, or NULL */
    struct buf scratch;                   /* a board while it is rendered */
    struct buf head;                      /* of an answer while it is written */
    char snapshot[2][LOOP_SNAPSHOT_SIZE]; /* how answers tell of the image; [1]: it is stale */
    char etag[2][2][LOOP_ETAG_SIZE];      /* of answers from the image; [stale][gzip] */
    int wake_fd;                          /* written by the loader: another image */
    int stop_fd;                          /* written by loop_stop */
    struct event *on_wake, *on_stop, *tick;
    bool draining;
    bool paused; /* the listener is off, too many connections */
    int64_t drain_until_ms;
    int64_t say_full_ms; /* not to be logged again before */
    char date[40];       /* the Date header of this second */
    int exports;         /* whole boards that are being sent */
    struct body *servers;
    int64_t servers_until_ms;
};

/* What the loops have in common; borrowed. */
struct loop_shared {
    struct loader *loader;
    struct searcher *searcher;
    struct peers *peers; /* counts the connections of each address over all loops, may be NULL */
};

/* Opens the listener and starts the thread. NULL and *e when the address cannot be used. */
struct loop *loop_start(const struct api_settings *s, const struct loop_shared *shared,
                        const struct sockaddr_storage *addr, struct err *e) MUST_CHECK;
/* When the loop last turned, monotonic; at most a second ago unless it stands still. From any
 * thread. */
int64_t loop_turned_ms(const struct loop *l);
/* Asks the thread to finish what it answers and end; from any thread. */
void loop_stop(struct loop *l);
/* Waits for its end. */
void loop_join(struct loop *l);
/* After that, and after the searcher. */
void loop_free(struct loop *l);

/*
 * The image must be said to be old: PostgreSQL cannot be asked, and it never confirmed the image
 * (which is the stored one then) or the image is older than two intervals.
 */
bool loop_is_stale(const struct loop *l);

/* The ETag of answers that are made from an image alone; text in out. */
const char *loop_etag(const struct image *img, bool stale, bool gzip, char out[LOOP_ETAG_SIZE]);

/* ,"snapshot":{...} of an image; text in out. */
const char *loop_describe_image(const struct loop *l, const struct image *img, bool stale,
                                char out[LOOP_SNAPSHOT_SIZE]);

#endif
