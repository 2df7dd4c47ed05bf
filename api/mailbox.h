#ifndef API_MAILBOX_H
#define API_MAILBOX_H

#include <event2/event.h>
#include <sys/queue.h>

#include "common/base.h"

/*
 * What other threads leave for the thread of an event loop. Whoever posts gives the mail away; it
 * is the first member of something larger that both sides know.
 */
struct mail {
    TAILQ_ENTRY(mail) next;
};

struct mailbox;
/* On the loop's thread, once for each mail, in the order in which they came. */
typedef void (*mailbox_fn)(void *ctx, struct mail *m);

struct mailbox *mailbox_new(struct event_base *base, mailbox_fn fn, void *ctx);
/* From any thread. */
void mailbox_post(struct mailbox *b, struct mail *m);
/* What was posted and not yet delivered, for who ends; NULL: nothing more. From any thread. */
struct mail *mailbox_take(struct mailbox *b);
/* Empty by now; nobody may post any more. NULL is fine. */
void mailbox_free(struct mailbox *b);

#endif
