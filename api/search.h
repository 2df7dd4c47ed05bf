#ifndef API_SEARCH_H
#define API_SEARCH_H

#include "api/mailbox.h"

/* A search has ended (struct search_job): answers its request. loop: whose mailbox it was. */
void search_answer(void *loop, struct mail *m);
/* The same when nobody can be answered any more. */
void search_drop(struct mail *m);

#endif
