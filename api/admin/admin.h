#ifndef API_ADMIN_ADMIN_H
#define API_ADMIN_ADMIN_H

#include "api/settings.h"

/*
 * The operators' side of the service, on a listener of its own (ADMIN_LISTEN, ADMIN_SOCKET) with
 * threads of its own: whatever it does, no loop that serves players waits for it.
 */
struct admin;

/*
 * Starts it. NULL and *e only for settings that can never work; an address or a socket that is
 * taken is logged and tried again, as players must not go without their pages for that.
 */
struct admin *admin_start(const struct api_settings *s, struct err *e) MUST_CHECK;
/* Asks it to finish what it is at; from any thread. */
void admin_stop(struct admin *a);
/* Waits for its end and frees. NULL is fine. */
void admin_join(struct admin *a);

/* Whether the settings of the admin side can work at all. */
bool admin_check_settings(const struct api_settings *s, struct err *e) MUST_CHECK;

#endif
