#include "common/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"

#define STATUS_SIZE 200
/* Of the time allowed, that passes between two messages at most. */
#define WATCHDOG_PART 4

static char said[STATUS_SIZE];

static void tell(const char *message)
{
    int rc = sd_notify(0, message);

    if (rc < 0) {
        log_debug("notify.failed", "error=%s", LOGQ(strerror(-rc)));
    }
}

void notify_ready(const char *status)
{
    char message[STATUS_SIZE + 32];

    text_copy(said, sizeof said, status);
    snprintf(message, sizeof message, "READY=1\nSTATUS=%s", said);
    tell(message);
}

void notify_reloading(void)
{
    char message[80];

    /* The time is for Type=notify-reload of later systemds. */
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=reloading",
             clock_mono_us());
    said[0] = '\0';
    tell(message);
}

void notify_stopping(void)
{
    said[0] = '\0';
    tell("STOPPING=1\nSTATUS=stopping");
}

void notify_status(const char *fmt, ...)
{
    char text[STATUS_SIZE], message[STATUS_SIZE + 16];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (strcmp(text, said) != 0) {
        memcpy(said, text, sizeof said);
        snprintf(message, sizeof message, "STATUS=%s", said);
        tell(message);
    }
}

/* Between two messages; 0: nobody watches. */
static int64_t watchdog_us(void)
{
    static int64_t every_us = -1;
    uint64_t limit_us = 0;

    if (every_us < 0) {
        every_us = sd_watchdog_enabled(0, &limit_us) > 0 ? (int64_t)(limit_us / WATCHDOG_PART) : 0;
    }
    return every_us;
}

void notify_progress(void)
{
    static int64_t next_us;
    int64_t now_us = clock_mono_us();

    if (watchdog_us() > 0 && now_us >= next_us) {
        next_us = now_us + watchdog_us();
        tell("WATCHDOG=1");
    }
}
