#include "ctl/term.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/text.h"

static const char *const CODES[] = {
    [TERM_PLAIN] = "",         [TERM_BOLD] = "\033[1m",    [TERM_DIM] = "\033[2m",
    [TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m", [TERM_RED] = "\033[31m",
    [TERM_CYAN] = "\033[36m",
};

void term_init(struct term *t, FILE *out)
{
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");

    t->out = out;
    t->width = 0;
    t->colour = isatty(fileno(out)) && !(no_color && *no_color) && kind && *kind &&
                strcmp(kind, "dumb") != 0;
}

int term_width(const struct term *t)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    int64_t n = 0;

    if (t->width > 0) {
        return t->width < TERM_WIDTH_MIN ? TERM_WIDTH_MIN : t->width;
    }
    if (columns && *columns && text_to_i64(columns, 1, TERM_WIDTH_MAX, &n)) {
        return n < TERM_WIDTH_MIN ? TERM_WIDTH_MIN : (int)n;
    }
    if (!isatty(fileno(t->out))) {
        return 0;
    }
    if (ioctl(fileno(t->out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return TERM_COLUMNS;
    }
    return size.ws_col < TERM_WIDTH_MIN ? TERM_WIDTH_MIN : size.ws_col;
}

void term_print(const struct term *t, enum term_colour c, const char *fmt, ...)
{
    bool painted = t->colour && c != TERM_PLAIN;
    va_list ap;

    if (painted) {
        fputs(CODES[c], t->out);
    }
    va_start(ap, fmt);
    vfprintf(t->out, fmt, ap);
    va_end(ap);
    if (painted) {
        fputs("\033[0m", t->out);
    }
}

/* One code point of valid UTF-8 and its length in bytes. */
static uint32_t decode(const char *s, int *len)
{
    unsigned char c = (unsigned char)*s;
    uint32_t cp;

    *len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    cp = *len == 1 ? c : c & (0x7fu >> *len);
    for (int i = 1; i < *len; i++) {
        cp = cp << 6 | ((unsigned char)s[i] & 0x3fu);
    }
    return cp;
}

/*
 * Cells of a code point; -1: not to be printed (controls, and marks that reorder what follows).
 * The C library would need the right locale for this; these ranges are what occurs here.
 */
static int cells(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
        int cells;
    } RANGES[] = {
        {0x0000, 0x001f, -1}, {0x007f, 0x009f, -1},  {0x00ad, 0x00ad, -1},  {0x0300, 0x036f, 0},
        {0x061c, 0x061c, -1}, {0x1100, 0x115f, 2},   {0x1160, 0x11ff, 0},   {0x180e, 0x180e, -1},
        {0x200b, 0x200f, -1}, {0x2028, 0x202e, -1},  {0x2060, 0x206f, -1},  {0x2e80, 0x303e, 2},
        {0x3041, 0xa4cf, 2},  {0xa960, 0xa97c, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
        {0xfe30, 0xfe6f, 2},  {0xfeff, 0xfeff, -1},  {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
        {0xfff9, 0xfffb, -1}, {0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2}, {0xe0000, 0xe0fff, -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(RANGES) && cp >= RANGES[i].from; i++) {
        if (cp <= RANGES[i].to) {
            return RANGES[i].cells;
        }
    }
    return 1;
}

int term_fit(char out[TERM_TEXT_SIZE], const char *text, int width)
{
    static const char ELLIPSIS[] = "…";
    size_t n = 0, cut_n = 0;
    int used = 0, cut_used = 0, len;

    text = text ? text : "";
    if (!text_is_utf8(text, strlen(text))) {
        text = "(not UTF-8)";
    }
    for (; *text; text += len) {
        int w = cells(decode(text, &len));
        bool room = n + (size_t)len < TERM_TEXT_SIZE - sizeof ELLIPSIS;

        if (used + (w < 0 ? 1 : w) > width || !room) {
            memcpy(out + cut_n, ELLIPSIS, sizeof ELLIPSIS);
            return width > 0 ? cut_used + 1 : (out[0] = '\0', 0);
        }
        memcpy(out + n, w < 0 ? "?" : text, w < 0 ? 1 : (size_t)len);
        n += w < 0 ? 1 : (size_t)len;
        used += w < 0 ? 1 : w;
        if (used < width) { /* an ellipsis would still fit after this */
            cut_n = n;
            cut_used = used;
        }
    }
    out[n] = '\0';
    return used;
}

/* Bytes of a colour's escape sequence at s, 0: there is none. */
static size_t colour_bytes(const char *s, size_t len)
{
    size_t n = 2;

    if (len < 3 || s[0] != '\033' || s[1] != '[') {
        return 0;
    }
    while (n < len && (s[n] == ';' || (s[n] >= '0' && s[n] <= '9'))) {
        n++;
    }
    return n < len && s[n] == 'm' ? n + 1 : 0;
}

void term_clip(struct buf *out, const char *line, size_t len, int width)
{
    int used = 0;

    while (len > 0) {
        size_t colour = colour_bytes(line, len), n = colour;

        if (colour == 0) {
            int bytes, w = cells(decode(line, &bytes));

            n = (size_t)bytes < len ? (size_t)bytes : len;
            used += w > 0 ? w : 0;
        }
        if (colour > 0 || used <= width) {
            buf_add(out, line, n);
        }
        line += n;
        len -= n;
    }
}

void term_cell(const struct term *t, enum term_colour c, int width, const char *text)
{
    char out[TERM_TEXT_SIZE];
    int pad = abs(width) - term_fit(out, text, abs(width));

    if (width < 0) {
        fprintf(t->out, "%*s", pad, "");
    }
    term_print(t, c, "%s", out);
    if (width > 0) {
        fprintf(t->out, "%*s", pad, "");
    }
}

void term_text(const struct term *t, enum term_colour c, int max_width, const char *text)
{
    char out[TERM_TEXT_SIZE];

    term_fit(out, text, max_width);
    term_print(t, c, "%s", out);
}

/* Bytes of text that go on a line of `width` cells: all, or up to the last space that fits. */
static size_t line_bytes(const char *text, int width)
{
    size_t n = 0, space = 0;
    int used = 0, len;

    for (; text[n]; n += (size_t)len) {
        int w = cells(decode(text + n, &len));

        if (text[n] == ' ') {
            space = n;
        }
        if (used + w > width) {
            return space > 0 ? space : n;
        }
        used += w;
    }
    return n;
}

void term_wrap(const struct term *t, enum term_colour c, int indent, int max_lines,
               const char *text)
{
    char clean[TERM_TEXT_SIZE];
    const char *rest = clean;

    term_fit(clean, text, TERM_TEXT_SIZE);
    for (int line = 1; *rest && line <= max_lines; line++) {
        int n = (int)line_bytes(rest, TERM_COLUMNS - indent);

        fprintf(t->out, "%*s", indent, "");
        if (line == max_lines) {
            term_text(t, c, TERM_COLUMNS - indent, rest);
        } else {
            term_print(t, c, "%.*s", n, rest);
        }
        fputc('\n', t->out);
        rest += n;
        rest += strspn(rest, " ");
    }
}

void term_clean(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    int len;

    if (!text_is_utf8(text, strlen(text))) {
        text = "(not UTF-8)";
    }
    for (; *text && n + 4 < cap; text += len) {
        bool harmless = cells(decode(text, &len)) >= 0;

        memcpy(out + n, harmless ? text : "?", harmless ? (size_t)len : 1);
        n += harmless ? (size_t)len : 1;
    }
    out[n] = '\0';
}

void term_lines(const struct term *t, enum term_colour c, int indent, int max_lines,
                const char *text)
{
    char line[4 * KIB], clean[4 * KIB];

    for (int n = 0; *text; n++) {
        size_t len = strcspn(text, "\n"), kept = len < sizeof line ? len : sizeof line - 1;

        if (n == max_lines) {
            term_print(t, c, "%*s…\n", indent, "");
            return;
        }
        memcpy(line, text, kept);
        line[kept] = '\0';
        text_make_utf8(line);
        term_clean(clean, sizeof clean, line);
        term_print(t, c, "%*s%s", indent, "", clean);
        fputc('\n', t->out);
        text += len + (text[len] == '\n');
    }
}

void term_put_json(FILE *out, const char *json)
{
    int len;

    for (; *json; json += len) {
        uint32_t cp = decode(json, &len);

        if (cells(cp) >= 0 ||
            cp < 0x20) { /* C0 is escaped already, or white space between values */
            fwrite(json, 1, (size_t)len, out);
        } else if (cp > 0xffff) {
            fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                    0xdc00 + ((cp - 0x10000) & 0x3ff));
        } else {
            fprintf(out, "\\u%04x", cp);
        }
    }
}

const char *term_bytes(char buf[TERM_NUMBER_SIZE], int64_t bytes)
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(buf, TERM_NUMBER_SIZE, "%" PRId64 " B", bytes);
        return buf;
    }
    while (n >= 1024 && unit + 1 < ARRAY_LEN(UNITS)) {
        n /= 1024;
        unit++;
    }
    snprintf(buf, TERM_NUMBER_SIZE, "%.1f %s", n, UNITS[unit]);
    return buf;
}

const char *term_number(char buf[TERM_NUMBER_SIZE], int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    char *out = buf;

    for (int i = 0; i < len; i++) {
        int left = len - i;

        if (left % 3 == 0 && i > 0 && digits[i - 1] != '-') {
            *out++ = ',';
        }
        *out++ = digits[i];
    }
    *out = '\0';
    return buf;
}

const char *term_duration(char buf[TERM_NUMBER_SIZE], int64_t seconds)
{
    const char *sign = seconds < 0 ? "-" : "";
    int64_t s = seconds < 0 ? -(seconds + (seconds == INT64_MIN)) : seconds;
    int64_t d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;

    if (d >= 100) {
        snprintf(buf, TERM_NUMBER_SIZE, "%s%" PRId64 " d", sign, d);
    } else if (d > 0) {
        snprintf(buf, TERM_NUMBER_SIZE, "%s%" PRId64 " d %02" PRId64 ":%02" PRId64, sign, d, h, m);
    } else if (h > 0) {
        snprintf(buf, TERM_NUMBER_SIZE, "%s%" PRId64 ":%02" PRId64 ":%02" PRId64, sign, h, m,
                 s % 60);
    } else {
        snprintf(buf, TERM_NUMBER_SIZE, "%s%" PRId64 ":%02" PRId64, sign, m, s % 60);
    }
    return buf;
}
