#include "common/letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/letters_lua.h"
#include "common/msg.h"
#include "common/text.h"

static void add_i64(cJSON *obj, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(obj, name, (double)n);
}

/* ------------------------------------------------------------------------------------- list */

struct listing {
    const struct letter_filter *f;
    cJSON *letters; /* newest first */
    int64_t now_s, limit, total, matched;
    int64_t listed; /* of those that match: not newer than the page */
    bool passed;    /* the entry that the page begins after has been seen */
};

/* Entries come oldest first: from the page's begin on they are too new. */
static bool is_too_new(struct listing *k, const struct letter *l)
{
    if (!k->f->before[0]) {
        return false;
    }
    k->passed = k->passed || strcmp(l->handle, k->f->before) == 0 || l->at_s > k->f->before_s;
    return k->passed;
}

static enum letter_next list_one(void *ctx, const struct letter *l)
{
    struct listing *k = ctx;
    bool too_new = is_too_new(k, l);

    k->total++;
    if (!letter_matches(k->f, l, k->now_s)) {
        return LETTER_NEXT;
    }
    k->matched++;
    if (!too_new) {
        k->listed++;
        cJSON_InsertItemInArray(k->letters, 0, letter_json(l));
        if (k->listed > k->limit) {
            cJSON_DeleteItemFromArray(k->letters, (int)k->limit);
        }
    }
    return LETTER_NEXT;
}

/* "1700000000.5f1c2a0b..." of the last one listed. */
static void add_next(cJSON *doc, const struct listing *k)
{
    const cJSON *last = cJSON_GetArrayItem(k->letters, cJSON_GetArraySize(k->letters) - 1);
    char text[LETTER_HANDLE_SIZE + 24];
    int64_t at_s = -1;

    if (last && k->listed > k->limit) {
        json_get_i64(last, "at", 0, INT64_MAX, &at_s);
        snprintf(text, sizeof text, "%" PRId64 ".%s", at_s, json_get_str(last, "handle"));
        cJSON_AddStringToObject(doc, "next", text);
    }
}

bool letters_read_before(const char *text, struct letter_filter *f)
{
    const char *dot = strchr(text, '.');

    return dot && text_n_to_i64(text, (size_t)(dot - text), -1, INT64_MAX, &f->before_s) &&
           strspn(dot + 1, "0123456789abcdef") == LETTER_HANDLE_SIZE - 1 &&
           text_copy(f->before, sizeof f->before, dot + 1);
}

cJSON *letters_list(redisContext *c, const struct letters *which, const struct letter_filter *f,
                    int64_t limit, struct err *e)
{
    struct listing k = {.f = f, .limit = limit, .letters = cJSON_CreateArray()};
    cJSON *doc;
    int64_t now_us;

    if (!rds_time_us(c, &now_us, e)) {
        cJSON_Delete(k.letters);
        return NULL;
    }
    k.now_s = now_us / 1000000;
    if (!letters_each(c, which, list_one, &k, e)) {
        cJSON_Delete(k.letters);
        return NULL;
    }
    doc = cJSON_CreateObject();
    add_i64(doc, "at", k.now_s);
    add_i64(doc, "total", k.total);
    add_i64(doc, "matched", k.matched);
    add_next(doc, &k);
    cJSON_AddItemToObject(doc, "letters", k.letters);
    return doc;
}

/* ------------------------------------------------------------------------------- the newest */

/* What Redis makes of an entry: its members but the message, and how long that is. */
static cJSON *short_entry(const struct letters *which, const redisReply *r)
{
    struct letter l;
    cJSON *doc, *entry;

    if (r->type != REDIS_REPLY_STRING) {
        return NULL;
    }
    letter_read(&l, which, r->str, (size_t)r->len, &doc);
    entry = letter_json(&l);
    cJSON_DeleteItemFromObjectCaseSensitive(entry, "handle"); /* it is made from all bytes */
    cJSON_Delete(doc);
    return entry;
}

cJSON *letters_newest(redisContext *c, const struct letters *which, int n, struct err *e)
{
    char count[12];
    const char *args[] = {which->key, count};
    cJSON *all;
    redisReply *r;

    snprintf(count, sizeof count, "%d", n < LETTERS_NEWEST_MAX ? n : LETTERS_NEWEST_MAX);
    r = script_run(c, &LETTERS_LUA_NEWEST, 1, ARRAY_LEN(args), args, NULL, e);
    if (!r) {
        return NULL;
    }
    all = cJSON_CreateArray();
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        cJSON *entry = short_entry(which, r->element[i]);

        if (entry) {
            cJSON_AddItemToArray(all, entry);
        }
    }
    freeReplyObject(r);
    return all;
}

/* -------------------------------------------------------------------------------------- one */

struct finding {
    const struct letter_filter *f;
    cJSON *doc; /* NULL: not found yet */
    int64_t now_s, max;
};

/* The message, as much of it as is wanted. */
static void add_message(cJSON *doc, const struct letter *l, int64_t max)
{
    struct buf bytes, b64;
    size_t n;

    buf_init(&bytes, 2 * MSG_BYTES_MAX);
    buf_init(&b64, 4 * MSG_BYTES_MAX);
    if (letter_bytes(l, &bytes) && bytes.data) {
        n = bytes.len < (size_t)max ? bytes.len : (size_t)max;
        while (n > 0 && n < bytes.len && ((unsigned char)bytes.data[n] & 0xc0) == 0x80) {
            n--; /* not within a character */
        }
        cJSON_AddBoolToObject(doc, "truncated", n < bytes.len);
        bytes.data[n] = '\0';
        if (text_is_utf8(bytes.data, n) && strlen(bytes.data) == n) {
            cJSON_AddStringToObject(doc, "message", bytes.data);
        } else if (b64_encode(&b64, bytes.data, n)) {
            cJSON_AddStringToObject(doc, "b64", b64.data ? b64.data : "");
        }
    }
    buf_fini(&bytes);
    buf_fini(&b64);
}

/* What letter_json has not. */
static void add_rest(cJSON *doc, const struct letter *l)
{
    static const char *const ELSEWHERE[] = {"q", "b64", "text"};
    const cJSON *m;

    cJSON_ArrayForEach(m, l->doc)
    {
        bool known = json_has(doc, m->string);

        for (size_t i = 0; i < ARRAY_LEN(ELSEWHERE); i++) {
            known = known || strcmp(m->string, ELSEWHERE[i]) == 0;
        }
        if (!known) {
            cJSON_AddItemToObject(doc, m->string, cJSON_Duplicate(m, true));
        }
    }
}

static enum letter_next find_one(void *ctx, const struct letter *l)
{
    struct finding *k = ctx;

    if (!letter_matches(k->f, l, k->now_s)) {
        return LETTER_NEXT;
    }
    k->doc = letter_json(l);
    add_rest(k->doc, l);
    add_message(k->doc, l, k->max);
    return LETTER_STOP;
}

cJSON *letters_one(redisContext *c, const struct letters *which, const struct letter_filter *f,
                   int64_t max, struct err *e)
{
    struct finding k = {.f = f, .max = max};
    int64_t now_us;

    e->cls = ERR_NONE;
    if (!rds_time_us(c, &now_us, e)) {
        return NULL;
    }
    k.now_s = now_us / 1000000;
    if (!letters_each(c, which, find_one, &k, e)) {
        cJSON_Delete(k.doc);
        return NULL;
    }
    return k.doc;
}

/* ---------------------------------------------------------------------------------- changes */

cJSON *letters_counts_json(const struct letters_counts *n, bool dry_run)
{
    const struct {
        const char *name;
        int64_t n;
    } MEMBERS[] = {{"total", n->total},
                   {"matched", n->matched},
                   {"changed", n->changed},
                   {"vanished", n->vanished},
                   {"refused", n->refused}};
    cJSON *obj = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        add_i64(obj, MEMBERS[i].name, MEMBERS[i].n);
    }
    cJSON_AddBoolToObject(obj, "dry_run", dry_run);
    if (n->refused > 0) {
        cJSON_AddStringToObject(obj, "error", n->why.text);
    }
    return obj;
}
