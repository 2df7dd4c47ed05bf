#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include "common/base.h"

/*
 * What a service tells systemd (Type=notify). Without a systemd that listens (NOTIFY_SOCKET) all of
 * it does nothing. Only for the main process of a service.
 */

/* It does its work from now on; status: a line for systemctl status. */
void notify_ready(const char *status);
/* It begins anew, and notify_ready() follows, from the program that takes its place. */
void notify_reloading(void);
void notify_stopping(void);
/* The line of systemctl status; the same one as before is not sent again. */
void notify_status(const char *fmt, ...) PRINTF_LIKE(1, 2);

/*
 * The service makes progress: with WatchdogSec= it has to say so again and again, or it is killed
 * and started anew. Call it where work is done, not from a timer that turns by itself. Messages are
 * sent a few times in the time allowed, however often this is called.
 */
void notify_progress(void);

#endif
