#ifndef API_ADMIN_KEEPER_H
#define API_ADMIN_KEEPER_H

#include "api/admin/route.h"

/*
 * A thread that knows the tokens: it reads them every KEEPER_EVERY_MS, so one that was made or
 * revoked counts within that time, and keeps the last known ones while PostgreSQL is away. It also
 * writes refused requests into the log of changes, at most some of them: nobody can fill the
 * database, or hold up a request, by being refused.
 */
struct keeper;

#define KEEPER_EVERY_MS     2000
#define KEEPER_REFUSALS_MAX 200 /* that wait to be written, and in a burst */
#define KEEPER_REFUSALS_S   2   /* a second after that */

struct keeper *keeper_start(const struct api_settings *s);
void keeper_stop(struct keeper *k);

/* Whether any token is valid now. */
bool keeper_has_tokens(struct keeper *k);

enum keeper_answer { KEEPER_KNOWN, KEEPER_UNKNOWN, KEEPER_EXPIRED };
/* Whose token this is: name and scope of *who. Takes as long for a wrong one as for a right one. */
enum keeper_answer keeper_find(struct keeper *k, const char *token, struct admin_who *who);

/* A request that was refused. Texts are copied, and hold no tokens. */
struct keeper_refusal {
    const struct admin_who *who;
    const char *action; /* of the row, or "request" */
    const char *method;
    const char *path;
    const char *key; /* NULL: none */
    const char *detail;
    int status;
};
/* False: too many lately, it is only counted. */
bool keeper_note_refusal(struct keeper *k, const struct keeper_refusal *r);

#endif
