#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/base.h"

/*
 * One line per event on standard error, logfmt:
 *   ts=2026-11-23T05:22:21.324062Z level=info program=worker pid=77 event=batch.done run=3 rows=6
 * The event is a dotted constant; the rest is key=value pairs made by a printf format. A value that
 * may hold spaces or comes from outside goes through LOGQ() (%s).
 * The keys of the head (ts, level, program, pid, event) are not for pairs.
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };

/* program: static text; lines are logfmt. Level names are "debug", "info", "warn", "error". */
void log_init(const char *program, enum log_level level);
/* Of all lines from now on: "logfmt" or "json" (the same pairs as an object); false: neither. */
bool log_set_format(const char *name);
bool log_level_parse(const char *name, enum log_level *level);
bool log_enabled(enum log_level level);

void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Every line from now on ends with key="value", unless it has that key by itself: what it is about
 * (task id, run, attempt, worker). key: static text; value is copied and clipped to 200 bytes; NULL
 * takes it out again. For the one thread that does the program's work.
 */
#define LOG_CONTEXT_MAX 6
void log_context(const char *key, const char *value);
void log_context_i64(const char *key, int64_t value);

/* The settings of every program; st: its struct, with const char *log_level, *log_format. */
#define LOG_SETTINGS(st)                                                                           \
    CONF_CHOICE("LOG_LEVEL", st, log_level, "info", "debug|info|warn|error",                       \
                "least severe events to log"),                                                     \
        CONF_CHOICE("LOG_FORMAT", st, log_format, "logfmt", "logfmt|json",                         \
                    "form of the log's lines")
/* log_init() by these settings. */
void log_open(const char *program, const char *level, const char *format);

/* The arguments are not evaluated when the level is off. */
#define LOG_AT(level, ...)                                                                         \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            log_event(level, __VA_ARGS__);                                                         \
        }                                                                                          \
    } while (0)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  LOG_AT(LOG_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)

/*
 * s as a quoted logfmt value: quotes, backslashes and control bytes escaped, clipped to 400 bytes.
 * The text lives in one of 8 thread-local buffers used in turn. NULL gives "".
 */
const char *log_quote(const char *s);
#define LOGQ(s) log_quote(s)

#endif
