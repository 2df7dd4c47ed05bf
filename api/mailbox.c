#include "api/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/mem.h"

struct mailbox {
    pthread_mutex_t lock;
    TAILQ_HEAD(, mail) waiting;
    int fd; /* an eventfd: something waits */
    struct event *on_post;
    mailbox_fn fn;
    void *ctx;
};

struct mail *mailbox_take(struct mailbox *b)
{
    struct mail *m;

    pthread_mutex_lock(&b->lock);
    m = TAILQ_FIRST(&b->waiting);
    if (m) {
        TAILQ_REMOVE(&b->waiting, m, next);
    }
    pthread_mutex_unlock(&b->lock);
    return m;
}

static void on_post(evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct mailbox *b = arg;
    uint64_t count;
    struct mail *m;

    if (read(fd, &count, sizeof count) != sizeof count) {
        return;
    }
    while ((m = mailbox_take(b))) {
        b->fn(b->ctx, m);
    }
}

void mailbox_post(struct mailbox *b, struct mail *m)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&b->lock);
    TAILQ_INSERT_TAIL(&b->waiting, m, next);
    pthread_mutex_unlock(&b->lock);
    /* It cannot block: the counter would have to reach 2^64. */
    MUST(write(b->fd, &one, sizeof one) == sizeof one);
}

struct mailbox *mailbox_new(struct event_base *base, mailbox_fn fn, void *ctx)
{
    struct mailbox *b = mem_alloc(sizeof *b);

    TAILQ_INIT(&b->waiting);
    MUST(pthread_mutex_init(&b->lock, NULL) == 0);
    b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    MUST(b->fd >= 0);
    b->fn = fn;
    b->ctx = ctx;
    b->on_post = event_new(base, b->fd, EV_READ | EV_PERSIST, on_post, b);
    MUST(b->on_post && event_add(b->on_post, NULL) == 0);
    return b;
}

void mailbox_free(struct mailbox *b)
{
    if (!b) {
        return;
    }
    MUST(TAILQ_EMPTY(&b->waiting));
    event_free(b->on_post);
    close(b->fd);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
