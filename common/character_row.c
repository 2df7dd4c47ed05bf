#include "common/character_row.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"

#define NAME_CHARS_MAX 64

static bool refuse(struct err *e, const char *what, const char *why)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "the source's %s %s", what, why);
}

static bool check_text(const char *text, const char *what, bool required, struct err *e)
{
    size_t len = strlen(text);

    if (!text_is_utf8(text, len) || text_has_control(text, len)) {
        return refuse(e, what, "is not text");
    }
    if (text_utf8_count(text, len) > NAME_CHARS_MAX) {
        return refuse(e, what, "has more than 64 characters");
    }
    return len > 0 || !required || refuse(e, what, "is empty");
}

static bool check_texts(const struct source_person *p, struct err *e)
{
    /* 'all' names the board over every server. */
    if (strcmp(p->server, "all") == 0) {
        return refuse(e, "server", "cannot be called \"all\"");
    }
    return check_text(p->server, "server", true, e) && check_text(p->name, "name", true, e) &&
           check_text(p->cls, "class", false, e) && check_text(p->legion, "legion", false, e) &&
           check_text(p->source_id, "id", false, e);
}

static bool check_numbers(const struct source_person *p, struct err *e)
{
    if (p->level < 0 || p->level > CHARACTER_LEVEL_MAX) {
        return refuse(e, "level", "is out of range");
    }
    if (p->item_level < -1 || p->item_level > CHARACTER_ITEM_LEVEL_MAX) {
        return refuse(e, "item level", "is out of range");
    }
    return p->power >= -1 || refuse(e, "power", "is out of range");
}

/* The mode inside decides what is scored, so it must be the one that the caller believes in. */
static bool check_stats(const struct source_person *p, struct err *e)
{
    size_t len = p->stats_payload ? strlen(p->stats_payload) : 0;
    const char *mode;
    cJSON *doc;
    bool good;

    if (len == 0 || len > CHARACTER_STATS_MAX) {
        return refuse(e, "stats", "are absent or too long");
    }
    doc = json_parse(p->stats_payload, len, e);
    if (!doc) {
        return err_prefix(e, "the source's stats");
    }
    mode = json_get_str(doc, "mode");
    good = mode && strcmp(mode, p->mode) == 0;
    cJSON_Delete(doc);
    return good || refuse(e, "stats", "are of another mode");
}

static bool check_raw(const char *raw, struct err *e)
{
    size_t len = raw ? strlen(raw) : 0;
    cJSON *doc;

    if (len > CHARACTER_RAW_MAX) {
        return refuse(e, "answers", "are too long");
    }
    if (!raw) {
        return true;
    }
    doc = json_parse(raw, len, e);
    cJSON_Delete(doc);
    return doc || err_prefix(e, "the source's answers");
}

/* NULL where it is not known. */
static const char *print_known(int64_t v, char out[24])
{
    snprintf(out, 24, "%" PRId64, v);
    return v < 0 ? NULL : out;
}

bool character_row_fill(struct character_row *row, const struct source_person *p, struct err *e)
{
    if (!check_texts(p, e) || !check_numbers(p, e) || !check_stats(p, e) ||
        !check_raw(p->raw_payload, e)) {
        return false;
    }
    row->values[0] = p->server;
    row->values[1] = p->name;
    row->values[2] = p->cls;
    row->values[3] = print_known(p->level, row->level);
    row->values[4] = print_known(p->power, row->power);
    row->values[5] = print_known(p->item_level, row->item_level);
    row->values[6] = p->legion;
    row->values[7] = *p->source_id ? p->source_id : NULL;
    row->values[8] = p->stats_payload;
    row->values[9] = p->raw_payload;
    row->values[10] = strcmp(p->mode, SOURCE_MODE_PROFILE) == 0 ? "true" : "false";
    return true;
}

const char *character_row_reason(const char *text, char out[CHARACTER_REASON_SIZE])
{
    size_t len;

    text_copy(out, CHARACTER_REASON_SIZE, text);
    len = strlen(out);
    if (text[len]) { /* clipped: not within a character */
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--;
        }
        out[len] = '\0';
    }
    text_make_utf8(out);
    for (char *c = out; *c; c++) {
        *c = text_has_control(c, 1) ? ' ' : *c;
    }
    return out;
}
