#include "ctl/events_line.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"

#define FIELDS_MAX   6
#define TYPE_WIDTH   16
#define GAP          2
#define WIDE_COLUMNS 140

/* How the columns are laid out: on a narrow terminal times and ids are short. */
struct layout {
    int time, node, id;
};
static const struct layout NARROW = {8, 12, 8}, WIDE = {12, 18, 40};

static const struct layout *layout_for(int width)
{
    return width > 0 && width < WIDE_COLUMNS ? &NARROW : &WIDE;
}

/* What is worth showing of each kind of event. */
static const struct kind {
    const char *type;
    enum term_colour colour;
    const char *fields[FIELDS_MAX];
} KINDS[] = {
    {"task-sent", TERM_PLAIN, {"queue", "args", "kwargs", "eta", "expires"}},
    {"task-received", TERM_PLAIN, {"args", "kwargs", "eta", "expires", "retries"}},
    {"task-started", TERM_CYAN, {"pid"}},
    {"task-succeeded", TERM_GREEN, {"runtime", "result"}},
    {"task-failed", TERM_RED, {"exception"}},
    {"task-retried", TERM_YELLOW, {"exception"}},
    {"task-revoked", TERM_YELLOW, {"expired", "terminated", "signum"}},
    {"task-rejected", TERM_YELLOW, {"requeue"}},
    {"worker-online", TERM_GREEN, {"sw_ident", "sw_ver", "pid"}},
    {"worker-heartbeat", TERM_DIM, {"active", "processed", "loadavg"}},
    {"worker-offline", TERM_RED, {"pid"}},
};

static const struct kind *kind_of(const char *type)
{
    static const struct kind OTHER = {"", TERM_PLAIN, {NULL}};

    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (strcmp(KINDS[i].type, type) == 0) {
            return &KINDS[i];
        }
    }
    return &OTHER;
}

bool event_is_one(const cJSON *v)
{
    return cJSON_IsObject(v) && json_get_str(v, "type");
}

void event_names_learn(struct event_names *n, const cJSON *event)
{
    const char *id = json_get_str(event, "uuid"), *name = json_get_str(event, "name");
    size_t at;

    if (id && name && strlen(id) < sizeof n->slots[0].id) {
        at = text_hash(id, strlen(id)) % EVENT_NAMES;
        text_copy(n->slots[at].id, sizeof n->slots[at].id, id);
        text_copy(n->slots[at].name, sizeof n->slots[at].name, name);
        text_make_utf8(n->slots[at].name);
    }
}

const char *event_names_find(const struct event_names *n, const char *id)
{
    size_t at = text_hash(id, strlen(id)) % EVENT_NAMES;

    return strcmp(n->slots[at].id, id) == 0 ? n->slots[at].name : "";
}

/* "name=value" after what is there; texts without quotes. What says nothing is left out. */
static void add_field(struct buf *b, const cJSON *event, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(event, name);
    char *text;

    if (!v || cJSON_IsNull(v) || cJSON_IsFalse(v)) {
        return;
    }
    buf_addf(b, "%s%s=", b->len ? " " : "", name);
    if (cJSON_IsString(v)) {
        buf_addstr(b, v->valuestring);
        return;
    }
    if (strcmp(name, "runtime") == 0 && cJSON_IsNumber(v)) {
        buf_addf(b, "%.3fs", v->valuedouble);
        return;
    }
    text = json_print(v);
    buf_addstr(b, text ? text : "");
    free(text);
}

/* "10:45:03.123" in UTC. */
static void print_time(const struct term *t, const cJSON *event, int width)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(event, "timestamp");
    char iso[CLOCK_ISO_SIZE];

    if (cJSON_IsNumber(at) && at->valuedouble > 0 && at->valuedouble < 1e11) {
        term_print(t, TERM_DIM, "%.*s  ", width,
                   clock_iso((int64_t)(at->valuedouble * 1e6), "", iso) + 11);
    } else {
        term_print(t, TERM_DIM, "%-*s  ", width, "-");
    }
}

void event_print_line(const struct term *t, const cJSON *event, const struct event_names *names,
                      int width)
{
    const char *type = json_get_str(event, "type"), *id = json_get_str(event, "uuid");
    const struct layout *layout = layout_for(width);
    const struct kind *kind = kind_of(type);
    int used = layout->time + GAP + TYPE_WIDTH + GAP + layout->node + GAP;
    char rest[TERM_TEXT_SIZE];
    struct buf b;

    buf_init(&b, MIB);
    for (int i = 0; i < FIELDS_MAX && kind->fields[i]; i++) {
        add_field(&b, event, kind->fields[i]);
    }
    print_time(t, event, layout->time);
    term_cell(t, kind->colour, TYPE_WIDTH, type);
    term_print(t, TERM_PLAIN, "  ");
    term_cell(t, TERM_DIM, layout->node, json_get_str(event, "hostname"));
    term_print(t, TERM_PLAIN, "  ");
    snprintf(rest, sizeof rest, "%.100s%s%.*s%s%.300s", id ? event_names_find(names, id) : "",
             id ? "[" : "", layout->id, id ? id : "", id ? "]  " : "", b.data ? b.data : "");
    text_make_utf8(rest); /* it may have been cut within a character */
    term_text(t, TERM_PLAIN, width > 0 ? width - used : TERM_TEXT_SIZE, rest);
    term_print(t, TERM_PLAIN, "\n");
    buf_fini(&b);
}

void event_print_dump(const struct term *t, const cJSON *event)
{
    const cJSON *member;
    bool first = true;

    cJSON_ArrayForEach(member, event)
    {
        char *text = json_print(member), *clean = text ? malloc(4 * strlen(text) + 8) : NULL;
        char name[TERM_TEXT_SIZE];

        term_fit(name, member->string, TERM_TEXT_SIZE);
        if (clean) {
            term_clean(clean, 4 * strlen(text) + 8, text);
            term_print(t, TERM_PLAIN, "%s%s=%s", first ? "" : " ", name, clean);
            first = false;
        }
        free(clean);
        free(text);
    }
    term_print(t, TERM_PLAIN, "\n");
}
