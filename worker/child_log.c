#include "worker/child_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"

#define LINE_MAX_BYTES 4095 /* with its newline, what one write() puts into a pipe whole */
#define TAIL_BYTES     4096
#define READS_AT_ONCE  16 /* then others get their turn; the pipe holds the child back */

struct child_log {
    struct event *readable;
    int fd;
    int pid;
    size_t len;
    char line[LINE_MAX_BYTES + 1]; /* as much of it as has arrived */
    size_t tail_len;
    char tail[TAIL_BYTES]; /* whole lines */
};

static void keep_line(struct child_log *l, const char *line, size_t len)
{
    if (len > TAIL_BYTES / 2) {
        len = TAIL_BYTES / 2;
    }
    while (l->tail_len + len + 1 > TAIL_BYTES) {
        const char *end = memchr(l->tail, '\n', l->tail_len);
        size_t gone = (size_t)(end - l->tail) + 1;

        l->tail_len -= gone;
        memmove(l->tail, l->tail + gone, l->tail_len);
    }
    memcpy(l->tail + l->tail_len, line, len);
    l->tail_len += len;
    l->tail[l->tail_len++] = '\n';
}

static bool begins_with(const char *line, size_t len, const char *what)
{
    return len > strlen(what) && memcmp(line, what, strlen(what)) == 0;
}

/* One line, without its newline; there is room for one behind it. */
static void forward(struct child_log *l, char *line, size_t len)
{
    static const char LOGFMT[] = "ts=", JSON[] = "{\"ts\":";

    keep_line(l, line, len);
    if (begins_with(line, len, LOGFMT) || begins_with(line, len, JSON)) {
        line[len] = '\n';
        if (write(STDERR_FILENO, line, len + 1) < 0) {
            return; /* nowhere left to say so */
        }
    } else if (len > 0) {
        line[len] = '\0';
        log_warn("child.said", "child=%d line=%s", l->pid, LOGQ(line));
    }
}

static void forward_lines(struct child_log *l)
{
    char *from = l->line;
    char *end = l->line + l->len;
    char *newline;

    while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        forward(l, from, (size_t)(newline - from));
        from = newline + 1;
    }
    l->len = (size_t)(end - from);
    memmove(l->line, from, l->len);
    if (l->len == LINE_MAX_BYTES) {
        forward(l, l->line, l->len); /* a longer one comes in pieces */
        l->len = 0;
    }
}

/* False when there is nothing more to read now. */
static bool read_some(struct child_log *l)
{
    ssize_t n = read(l->fd, l->line + l->len, LINE_MAX_BYTES - l->len);

    if (n > 0) {
        l->len += (size_t)n;
        forward_lines(l);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        event_del(l->readable); /* its end */
    }
    return n < 0 && errno == EINTR;
}

static void on_readable(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    for (int i = 0; i < READS_AT_ONCE && read_some(arg); i++) {
    }
}

struct child_log *child_log_new(struct event_base *base, int fd, int pid)
{
    struct child_log *l = mem_alloc(sizeof *l);

    l->fd = fd;
    l->pid = pid;
    l->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
    MUST(l->readable && event_add(l->readable, NULL) == 0);
    return l;
}

void child_log_drain(struct child_log *l)
{
    /* Bounded: somebody that the child started may still hold the other end. */
    for (int i = 0; i < 64 * READS_AT_ONCE && read_some(l); i++) {
    }
    if (l->len > 0) {
        forward(l, l->line, l->len); /* cut off in the middle of a line */
        l->len = 0;
    }
}

void child_log_free(struct child_log *l)
{
    if (!l) {
        return;
    }
    child_log_drain(l);
    event_free(l->readable);
    close(l->fd);
    free(l);
}

void child_log_tail(const struct child_log *l, char *out, size_t size)
{
    size_t from = l->tail_len < size ? 0 : l->tail_len - (size - 1);

    if (from > 0) { /* whole lines only, when one ends there */
        const char *end = memchr(l->tail + from, '\n', l->tail_len - from - 1);

        from = end ? (size_t)(end - l->tail) + 1 : from;
    }
    memcpy(out, l->tail + from, l->tail_len - from);
    out[l->tail_len - from] = '\0';
    for (char *p = out; p < out + (l->tail_len - from); p++) {
        *p = *p == '\0' ? '?' : *p;
    }
    text_make_utf8(out);
}
