#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "ctl/ctl.h"
#include "ctl/term.h"

/* aion2ctl status: the document of common/status.h, for people. */

/* Connects for this look, and asks. False when Redis does not answer. */
bool status_ask_redis(cJSON *doc, const struct ctl_settings *s);
/* CTL_OK, CTL_UNAVAILABLE, or CTL_FAILED when the schema is not the one expected. */
enum ctl_exit status_ask_pg(cJSON *doc, const struct ctl_settings *s);

/* A connection whose questions take 3 s at most; NULL and *e. */
PGconn *status_connect_pg(const struct ctl_settings *s, struct err *e);

/* One screen of TERM_COLUMNS columns. */
void status_print(const cJSON *doc, const struct term *t);

#endif
