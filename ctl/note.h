#ifndef CTL_NOTE_H
#define CTL_NOTE_H

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "common/err.h"

/*
 * Changes by aion2ctl in the log of changes, as those by the admin side: written down before they
 * are made and completed afterwards. The principal is "ctl:USER@HOST".
 */
struct note {
    const char *command; /* for messages */
    const char *action;  /* "token.create" */
    char target[300];
    const cJSON *before, *after; /* borrowed; NULL: nothing to say */
    char principal[128];
    int64_t id;
};

void note_target(struct note *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* False and *e: nothing may be changed then. */
bool note_begin(struct note *n, PGconn *c, struct err *e) MUST_CHECK;
/* why: NULL when it was done. A failure here is only said, as the change is made. */
void note_end(struct note *n, PGconn *c, const struct err *why);

/* Who runs this command; text in out. */
const char *note_principal(char out[128]);

#endif
