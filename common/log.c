#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

static const char *const LEVEL_NAMES[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

static const char *log_program = "aion2";
static enum log_level log_min = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    log_min = level;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(name, LEVEL_NAMES[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return level >= log_min;
}

/* One write() per line, so that lines of several processes on one pipe do not mix. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[2048];
    char iso[CLOCK_ISO_SIZE];
    int head, body;
    size_t len;
    va_list ap;

    if (!log_enabled(level)) {
        return;
    }
    head = snprintf(line, sizeof line, "ts=%s level=%s program=%s pid=%d event=%s ",
                    clock_iso(clock_wall_us(), "Z", iso), LEVEL_NAMES[level], log_program,
                    (int)getpid(), event);
    MUST(head > 0 && (size_t)head < sizeof line);
    va_start(ap, fmt);
    body = vsnprintf(line + head, sizeof line - (size_t)head, fmt, ap);
    va_end(ap);
    len = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (len > sizeof line - 2) {
        len = sizeof line - 2; /* clipped */
    }
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) < 0) {
        return; /* nowhere left to say so */
    }
}

const char *log_quote(const char *s)
{
    enum { SLOTS = 8, CLIP = 400 };
    static __thread char slots[SLOTS][CLIP + 16];
    static __thread unsigned turn;
    char *out = slots[turn++ % SLOTS];
    size_t n = 0;

    out[n++] = '"';
    for (s = s ? s : ""; *s && n < CLIP; s++) {
        unsigned char ch = (unsigned char)*s;

        if (ch == '"' || ch == '\\') {
            out[n++] = '\\';
            out[n++] = (char)ch;
        } else if (ch < 0x20 || ch == 0x7f) {
            n += (size_t)snprintf(out + n, 5, "\\x%02x", ch);
        } else {
            out[n++] = (char)ch;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
