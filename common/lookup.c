#include "common/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/mem.h"

struct lookup {
    struct rds_addr addr;
    struct rds_place place; /* this and e: the thread's until it has written to fd */
    struct err e;
    bool found;
    int fd;           /* of eventfd() */
    atomic_int users; /* the loop and the thread; the last one frees */
    struct event *done;
    lookup_fn fn;
    void *ctx;
};

static void release(struct lookup *l)
{
    if (atomic_fetch_sub(&l->users, 1) == 1) {
        close(l->fd);
        free(l);
    }
}

static void *run(void *arg)
{
    struct lookup *l = arg;

    l->found = rds_locate(&l->addr, &l->place, &l->e);
    eventfd_write(l->fd, 1);
    release(l);
    return NULL;
}

void lookup_cancel(struct lookup *l)
{
    event_free(l->done);
    release(l);
}

static void on_done(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct lookup *l = arg;
    eventfd_t count;

    if (eventfd_read(l->fd, &count) == 0) { /* also orders our reads after the thread's writes */
        l->fn(l->ctx, l->found ? &l->place : NULL, &l->e);
        lookup_cancel(l);
    }
}

/* Detached; signals are for the main thread. */
static bool start_thread(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    MUST(pthread_attr_init(&attr) == 0);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attr, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc == 0;
}

struct lookup *lookup_start(struct event_base *base, const struct rds_addr *a, lookup_fn fn,
                            void *ctx)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct lookup *l;

    if (fd < 0) {
        return NULL;
    }
    l = mem_alloc(sizeof *l);
    l->addr = *a;
    l->fd = fd;
    l->fn = fn;
    l->ctx = ctx;
    atomic_init(&l->users, 2);
    l->done = event_new(base, fd, EV_READ, on_done, l);
    MUST(l->done && event_add(l->done, NULL) == 0);
    if (!start_thread(l)) {
        atomic_store(&l->users, 1);
        lookup_cancel(l);
        return NULL;
    }
    return l;
}
