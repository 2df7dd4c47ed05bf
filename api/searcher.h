#ifndef API_SEARCHER_H
#define API_SEARCHER_H

#include "api/details.h"
#include "api/mailbox.h"
#include "api/query.h"
#include "api/quota.h"
#include "api/settings.h"
#include "common/character_row.h"

/*
 * Looks characters up at their source and stores them: one thread with an event loop of its own, so
 * that whatever the source, Redis or a client does, the loops that serve what is stored do not
 * notice. There is one for the whole process: one connection to the source, one to Redis, and
 * one count of each client's searches while Redis is away.
 */
#define SEARCHER_PATIENCE_MS 10000 /* how long a person waits at most */

enum search_end {
    SEARCH_LIMITED,     /* the client has searched too often */
    SEARCH_FRESH,       /* row: was fetched so lately that nobody was asked */
    SEARCH_FETCHED,     /* row: fetched and stored now */
    SEARCH_FAILED,      /* row: as stored; the source could not tell, see reason */
    SEARCH_ABSENT,      /* nothing is stored, and the source could not tell, see reason */
    SEARCH_NO_SERVER,   /* nobody knows a server of that name */
    SEARCH_NO_DATABASE, /* what is fetched could not be stored, so nothing is */
};

/* A row of `characters` that was just read. */
struct search_row {
    char server[SOURCE_TEXT_SIZE];
    char name[SOURCE_TEXT_SIZE];
    struct detail detail;
};

struct flight;

struct search_job {
    struct mail mail;
    /* The question: */
    char client[NET_TEXT_SIZE];
    char server[QUERY_TEXT_BYTES + 1];
    char name[QUERY_TEXT_BYTES + 1];
    struct mailbox *answer_to;
    void *arg; /* of who asks */
    /* The answer: */
    enum search_end end;
    bool limited; /* there is a limit, and quota tells where the client stands */
    struct quota_answer quota;
    struct search_row row;
    char reason[CHARACTER_REASON_SIZE]; /* for people */
    /* The searcher's: */
    TAILQ_ENTRY(search_job) next;
    struct searcher *searcher;
    struct flight *flight; /* NULL: not in one */
    struct event *patience;
};

struct search_job *search_job_new(void);
void search_job_free(struct search_job *j);

struct searcher;
/* details is borrowed. NULL and *e when a setting will not do. */
struct searcher *searcher_start(const struct api_settings *s, struct details *details,
                                struct err *e) MUST_CHECK;
/* Takes the job and posts it to answer_to when it has ended. From any thread. */
void searcher_ask(struct searcher *s, struct search_job *j);
/*
 * Ends the thread; nobody may ask any more. Jobs that have not ended are posted as they are
 * (SEARCH_NO_DATABASE), so mailboxes must outlive this. NULL is fine.
 */
void searcher_stop(struct searcher *s);

#endif
