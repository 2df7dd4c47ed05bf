#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log_line.h"
#include "common/text.h"

static const char *const LEVEL_NAMES[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

static const char *log_program = "aion2";
static enum log_level log_min = LOG_INFO;
static bool as_json;

#define LINE_SIZE    2048
#define CONTEXT_SIZE 1024

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    log_min = level;
}

bool log_set_format(const char *name)
{
    as_json = strcmp(name, "json") == 0;
    return as_json || strcmp(name, "logfmt") == 0;
}

void log_open(const char *program, const char *level, const char *format)
{
    enum log_level min = LOG_INFO;

    MUST(log_level_parse(level, &min) && log_set_format(format));
    log_init(program, min);
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

/* ---- what every line says ---- */

static struct {
    const char *key;
    char pair[280]; /* " key=\"value\"" */
} context[LOG_CONTEXT_MAX];

static void set_context(const char *key, const char *value)
{
    size_t i = 0;

    while (i < LOG_CONTEXT_MAX - 1 && context[i].key && strcmp(context[i].key, key) != 0) {
        i++;
    }
    context[i].key = key;
    context[i].pair[0] = '\0';
    if (value) {
        snprintf(context[i].pair, sizeof context[i].pair, " %s=%s", key, value);
    }
}

void log_context(const char *key, const char *value)
{
    char clipped[201];

    if (value) {
        text_copy(clipped, sizeof clipped, value);
        text_make_utf8(clipped); /* it may end within a character */
    }
    set_context(key, value ? log_quote(clipped) : NULL);
}

void log_context_i64(const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, value);
    set_context(key, text);
}

static size_t add_context(char *line, size_t len, size_t size)
{
    for (size_t i = 0; i < LOG_CONTEXT_MAX && context[i].key; i++) {
        size_t more = strlen(context[i].pair);

        if (more > 0 && len + more < size && !log_has_field(line, context[i].key)) {
            memcpy(line + len, context[i].pair, more + 1);
            len += more;
        }
    }
    return len;
}

/* ---- lines ---- */

/* What was cut off may have been the end of a text. */
static size_t close_text(char *line, size_t len)
{
    const char *at = line;
    struct log_field f = {.quoted = false};

    while (log_next_field(&at, &f)) {
    }
    if (f.quoted && f.value + f.len == line + len) {
        len -= line[len - 1] == '\\'; /* the begin of an escape */
        line[len++] = '"';
        line[len] = '\0';
    }
    return len;
}

/* One write() per line, so that lines of several processes on one pipe do not mix. */
static void write_line(char *line, size_t len)
{
    char json[LOG_JSON_MAX + 1];

    if (as_json) {
        len = log_to_json(line, json);
        line = json;
    }
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) < 0) {
        return; /* nowhere left to say so */
    }
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LINE_SIZE + CONTEXT_SIZE];
    char iso[CLOCK_ISO_SIZE];
    int head, body;
    bool clipped;
    size_t len;
    va_list ap;

    if (!log_enabled(level)) {
        return;
    }
    head = snprintf(line, LINE_SIZE, "ts=%s level=%s program=%s pid=%d event=%s ",
                    clock_iso(clock_wall_us(), "Z", iso), LEVEL_NAMES[level], log_program,
                    (int)getpid(), event);
    MUST(head > 0 && (size_t)head < LINE_SIZE);
    va_start(ap, fmt);
    body = vsnprintf(line + head, LINE_SIZE - (size_t)head, fmt, ap);
    va_end(ap);
    len = body > 0 ? (size_t)head + (size_t)body : (size_t)head - 1; /* without the space */
    clipped = len > LINE_SIZE - 4;
    len = clipped ? LINE_SIZE - 4 : len;
    line[len] = '\0';
    if (clipped) {
        len = close_text(line, len);
    }
    write_line(line, add_context(line, len, sizeof line - 2));
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
