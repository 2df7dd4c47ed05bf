#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/text.h"
#include "ctl/letters.h"
#include "ctl/table.h"

#define LABEL_WIDTH 10

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static void add_age(struct table *t, const cJSON *letter, int64_t now_s)
{
    char text[TERM_NUMBER_SIZE];
    int64_t at_s;

    table_add(t, TERM_PLAIN,
              json_get_i64(letter, "at", 0, INT64_MAX, &at_s) ? term_duration(text, now_s - at_s)
                                                              : "-");
}

static void add_dead(struct table *t, const cJSON *letter, int64_t now_s, bool wide)
{
    int64_t retries = 0;

    json_get_i64(letter, "retries", 0, INT64_MAX, &retries);
    add_age(t, letter, now_s);
    table_addf(t, TERM_CYAN, "%.8s", json_get_str(letter, "handle"));
    if (wide) {
        table_add(t, TERM_DIM, or_dash(json_get_str(letter, "id")));
    }
    table_add(t, TERM_PLAIN, or_dash(json_get_str(letter, "task")));
    table_add_number(t, TERM_PLAIN, retries);
    table_add(t, TERM_RED, json_get_str(letter, "reason"));
}

static void add_quarantined(struct table *t, const cJSON *letter, int64_t now_s, bool wide UNUSED)
{
    char text[TERM_NUMBER_SIZE], list[CTL_LIST_SIZE];
    int64_t bytes = 0;

    json_get_i64(letter, "bytes", 0, INT64_MAX, &bytes);
    add_age(t, letter, now_s);
    table_addf(t, TERM_CYAN, "%.8s", json_get_str(letter, "handle"));
    table_add(t, TERM_PLAIN, term_bytes(text, bytes));
    table_add(t, TERM_PLAIN, or_dash(ctl_list_shown(list, json_get_str(letter, "queue"))));
    table_add(t, TERM_YELLOW, json_get_str(letter, "reason"));
}

/* Ids are long: where there is no room for them, handles have to do. */
#define WIDE_COLUMNS 120

static const struct table_column DEAD_COLUMNS[] = {
    {"Age", true, 0},   {"Handle", false, 0}, {"Task", false, 16},
    {"Tries", true, 0}, {"Error", false, 12},
};
static const struct table_column DEAD_WIDE_COLUMNS[] = {
    {"Age", true, 0},    {"Handle", false, 0}, {"Id", false, -8},
    {"Task", false, 16}, {"Tries", true, 0},   {"Error", false, 12},
};
static const struct table_column QUARANTINE_COLUMNS[] = {
    {"Age", true, 0},     {"Handle", false, 0},  {"Size", true, 0},
    {"Queue", false, 12}, {"Reason", false, 12},
};

static void print_rows(const struct term *t, bool dead, const cJSON *doc)
{
    bool wide = term_width(t) == 0 || term_width(t) >= WIDE_COLUMNS;
    const cJSON *letter;
    struct table table;
    int64_t now_s = 0;

    if (!dead) {
        table_init(&table, QUARANTINE_COLUMNS, ARRAY_LEN(QUARANTINE_COLUMNS));
    } else if (wide) {
        table_init(&table, DEAD_WIDE_COLUMNS, ARRAY_LEN(DEAD_WIDE_COLUMNS));
    } else {
        table_init(&table, DEAD_COLUMNS, ARRAY_LEN(DEAD_COLUMNS));
    }
    json_get_i64(doc, "at", 0, INT64_MAX, &now_s);
    cJSON_ArrayForEach(letter, json_get_arr(doc, "letters"))
    {
        (dead ? add_dead : add_quarantined)(&table, letter, now_s, wide);
    }
    table_print(&table, t, 0);
    table_fini(&table);
}

void letters_print_list(const struct term *t, const struct letters_words *w, const cJSON *doc)
{
    int shown = cJSON_GetArraySize(json_get_arr(doc, "letters"));
    int64_t total = 0, matched = 0;
    char text[TERM_NUMBER_SIZE];

    print_rows(t, w->which == &LETTERS_DEAD, doc);
    json_get_i64(doc, "total", 0, INT64_MAX, &total);
    json_get_i64(doc, "matched", 0, INT64_MAX, &matched);
    if (shown < matched) {
        term_print(t, TERM_DIM, "the newest %d of %s that match; --limit shows more\n", shown,
                   term_number(text, matched));
    }
    term_print(t, TERM_DIM, "%s %s%s", term_number(text, total), w->which->what,
               total == 1 ? "" : "s");
    term_print(t, TERM_PLAIN, "\n");
}

/* ----------------------------------------------------------------------------------- one entry */

static void line(const struct term *t, const char *label, const char *text)
{
    if (text) {
        term_cell(t, TERM_BOLD, LABEL_WIDTH, label);
        term_text(t, TERM_PLAIN, TERM_TEXT_SIZE, text);
        term_print(t, TERM_PLAIN, "\n");
    }
}

/* Bytes that a person can read as they are: UTF-8 without controls except line ends and tabs. */
static bool is_readable(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return text_is_utf8(bytes, len);
}

/* "00000010  68 65 ...  |he...|" */
static void print_hex(const struct term *t, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += 16) {
        char text[17] = "";

        term_print(t, TERM_DIM, "  %08zx ", at);
        for (size_t i = at; i < at + 16; i++) {
            if (i < len) {
                unsigned char c = (unsigned char)bytes[i];

                fprintf(t->out, "%s%02x", i == at + 8 ? "  " : " ", c);
                text[i - at] = c < 0x80 && isprint(c) ? (char)c : '.';
            } else {
                fprintf(t->out, "%s  ", i == at + 8 ? "  " : " ");
            }
        }
        fprintf(t->out, "  |%s|\n", text);
    }
}

static void print_bytes(const struct term *t, const struct buf *bytes, int64_t max)
{
    size_t len = bytes->len < (size_t)max ? bytes->len : (size_t)max;
    char *copy, number[TERM_NUMBER_SIZE];

    while (len > 0 && len < bytes->len && ((unsigned char)bytes->data[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    copy = mem_strndup(bytes->data ? bytes->data : "", len);
    if (is_readable(copy, len)) {
        term_lines(t, TERM_PLAIN, 2, 10000, copy);
    } else {
        print_hex(t, bytes->data, len);
    }
    if (len < bytes->len) {
        term_print(t, TERM_DIM,
                   "  … %s more bytes; --bytes shows more, --out writes all to a file\n",
                   term_number(number, (int64_t)(bytes->len - len)));
    }
    free(copy);
}

/* The arguments of a message that can be read. */
static void print_arguments(const struct term *t, const struct buf *bytes)
{
    struct err ignored;
    struct msg m;

    if (msg_parse(bytes->data ? bytes->data : "", bytes->len, &m, &ignored) == MSG_OK) {
        char *args = m.args ? json_print(m.args) : NULL;
        char *kwargs = m.kwargs ? json_print(m.kwargs) : NULL;

        line(t, "Args", args);
        line(t, "Kwargs", kwargs);
        free(args);
        free(kwargs);
    }
    msg_fini(&m);
}

void letters_print_one(const struct term *t, const struct letter *l, const struct buf *bytes,
                       int64_t now_s, int64_t max)
{
    char text[TERM_TEXT_SIZE], age[TERM_NUMBER_SIZE], iso[CLOCK_ISO_SIZE], list[CTL_LIST_SIZE];
    int64_t retries;

    line(t, "Handle", l->handle);
    line(t, "Id", l->id);
    line(t, "Task", l->task);
    line(t, l->id ? "Error" : "Reason", l->doc ? l->reason : "not an entry of ours");
    if (l->at_s >= 0 && l->at_s < INT64_C(253402300800)) {
        snprintf(text, sizeof text, "%.19sZ, %s ago", clock_iso(l->at_s * 1000000, "", iso),
                 term_duration(age, now_s - l->at_s));
        line(t, "At", text);
    }
    if (json_get_i64(l->doc, "retries", 0, INT64_MAX, &retries)) {
        snprintf(text, sizeof text, "%" PRId64, retries);
        line(t, "Retries", text);
    }
    line(t, "Queue", ctl_list_shown(list, l->list));
    line(t, "Size", term_bytes(age, l->bytes));
    line(t, "Key", l->oversized);
    if (!bytes) {
        return;
    }
    print_arguments(t, bytes);
    term_print(t, TERM_BOLD, "Message");
    term_print(t, TERM_PLAIN, "\n");
    print_bytes(t, bytes, max);
}
