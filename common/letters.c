#include "common/letters.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/broker.h"
#include "common/keys.h"
#include "common/letters_lua.h"
#include "common/msg.h"
#include "common/text.h"

#define SLICE 50 /* entries read at a time; each list is bounded in bytes as a whole */

const struct letters LETTERS_DEAD = {.key = KEY_DEAD,
                                     .what = "dead letter",
                                     .reason = "error",
                                     .counter_back = "dead_retried",
                                     .counter_dropped = "dead_dropped",
                                     .fresh = true};
const struct letters LETTERS_QUARANTINE = {.key = KEY_QUARANTINE,
                                           .what = "quarantined message",
                                           .reason = "reason",
                                           .counter_back = "quarantine_replayed",
                                           .counter_dropped = "quarantine_dropped",
                                           .fresh = false};

/* --------------------------------------------------------------------------------- an entry */

/* What the base64 stands for, or the text, or what the key of an oversized one holds. */
static int64_t count_bytes(const cJSON *doc)
{
    const char *b64 = json_get_str(doc, "b64"), *text = json_get_str(doc, "text");
    int64_t n = 0;
    size_t len;

    if (json_get_i64(doc, "bytes", 0, INT64_MAX, &n)) {
        return n;
    }
    if (text) {
        return (int64_t)strlen(text);
    }
    len = b64 ? strlen(b64) : 0;
    n = (int64_t)(len / 4 * 3);
    for (size_t pad = 0; pad < 2 && len > pad && b64[len - 1 - pad] == '='; pad++) {
        n--;
    }
    return n;
}

void letter_read(struct letter *l, const struct letters *which, const char *entry, size_t len,
                 cJSON **doc)
{
    struct err ignored;

    *l = (struct letter){.entry = entry, .len = len, .at_s = -1};
    snprintf(l->handle, sizeof l->handle, "%016" PRIx64, text_hash(entry, len));
    *doc = json_parse(entry, len, &ignored);
    if (!cJSON_IsObject(*doc)) {
        cJSON_Delete(*doc);
        *doc = NULL;
        l->bytes = (int64_t)len;
        return;
    }
    l->doc = *doc;
    json_get_i64(l->doc, "at", 0, INT64_MAX, &l->at_s);
    l->id = json_get_str(l->doc, "id");
    l->task = json_get_str(l->doc, "task");
    l->reason = json_get_str(l->doc, which->reason);
    l->list = json_get_str(l->doc, "q");
    l->oversized = json_get_str(l->doc, "key");
    l->bytes = count_bytes(l->doc);
}

bool letter_bytes(const struct letter *l, struct buf *out)
{
    const char *b64 = json_get_str(l->doc, "b64"), *text = json_get_str(l->doc, "text");

    if (!l->doc || l->oversized) {
        return false;
    }
    if (text) {
        return buf_addstr(out, text);
    }
    return b64 && b64_decode(out, b64, strlen(b64));
}

static void add_text(cJSON *obj, const char *name, const char *text)
{
    if (text) {
        cJSON_AddStringToObject(obj, name, text);
    }
}

static void add_i64(cJSON *obj, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(obj, name, (double)n);
}

cJSON *letter_json(const struct letter *l)
{
    cJSON *obj = cJSON_CreateObject();
    int64_t retries;

    add_text(obj, "handle", l->handle);
    if (l->at_s >= 0) {
        add_i64(obj, "at", l->at_s);
    }
    add_text(obj, "id", l->id);
    add_text(obj, "task", l->task);
    add_text(obj, "reason", l->doc ? l->reason : "not an entry of ours");
    if (json_get_i64(l->doc, "retries", 0, INT64_MAX, &retries)) {
        add_i64(obj, "retries", retries);
    }
    add_text(obj, "queue", l->list);
    add_text(obj, "key", l->oversized);
    add_i64(obj, "bytes", l->bytes);
    return obj;
}

/* ---------------------------------------------------------------------------------- filters */

static bool is_named(const struct letter_filter *f, const struct letter *l)
{
    for (int i = 0; i < f->name_count; i++) {
        size_t len = strlen(f->names[i]);

        if ((l->id && strcmp(l->id, f->names[i]) == 0) ||
            (len >= LETTER_HANDLE_MIN && strncmp(l->handle, f->names[i], len) == 0)) {
            return true;
        }
    }
    return f->name_count == 0;
}

bool letter_matches(const struct letter_filter *f, const struct letter *l, int64_t now_s)
{
    return is_named(f, l) && (!f->task || (l->task && fnmatch(f->task, l->task, 0) == 0)) &&
           (!f->reason || (l->reason && strcasestr(l->reason, f->reason))) &&
           (f->older_s == 0 || (l->at_s >= 0 && now_s - l->at_s >= f->older_s));
}

/* ----------------------------------------------------------------------------------- slices */

struct walk {
    const struct letters *which;
    letter_fn fn;
    void *ctx;
    int64_t kept; /* entries that stay, from the old end: the next slice begins after them */
    bool stopped;
};

/* One slice, given newest first. */
static void walk_slice(struct walk *w, const redisReply *r)
{
    for (size_t i = r->elements; i > 0 && !w->stopped; i--) {
        const redisReply *entry = r->element[i - 1];
        struct letter l;
        enum letter_next next;
        cJSON *doc;

        letter_read(&l, w->which, entry->str, (size_t)entry->len, &doc);
        next = w->fn(w->ctx, &l);
        cJSON_Delete(doc);
        w->kept += next == LETTER_NEXT;
        w->stopped = next == LETTER_STOP;
    }
}

bool letters_each(redisContext *c, const struct letters *which, letter_fn fn, void *ctx,
                  struct err *e)
{
    struct walk w = {.which = which, .fn = fn, .ctx = ctx};
    bool more = true;

    while (more && !w.stopped) {
        char from[24], to[24];
        redisReply *r;

        snprintf(from, sizeof from, "%" PRId64, -(w.kept + SLICE));
        snprintf(to, sizeof to, "%" PRId64, -(w.kept + 1));
        r = rds_command(c, e, "LRANGE %s %s %s", which->key, from, to);
        if (!r) {
            return false;
        }
        more = r->type == REDIS_REPLY_ARRAY && r->elements > 0;
        if (more) {
            walk_slice(&w, r);
        }
        freeReplyObject(r);
    }
    return true;
}

/* ------------------------------------------------------------------------------ putting back */

/* Where id, expires and the like stand in a message. */
static cJSON *fields_of(const struct msg *m)
{
    return m->form == MSG_PLAIN      ? m->root
           : m->form == MSG_CELERY_1 ? m->body
                                     : json_get_obj(m->root, "headers");
}

/*
 * The message as a task that was never tried. What cannot be read as a task goes back as it was:
 * perhaps a newer worker can. Text is the caller's.
 */
static char *freshen(const struct buf *bytes, int64_t now_us, size_t *len)
{
    struct msg m;
    struct err ignored;
    char *text = NULL;

    if (msg_parse(bytes->data ? bytes->data : "", bytes->len, &m, &ignored) == MSG_OK) {
        if (m.expires_us != MSG_NO_TIME && m.expires_us < now_us) {
            cJSON_ReplaceItemInObjectCaseSensitive(fields_of(&m), "expires", cJSON_CreateNull());
        }
        if (msg_set_retries(&m, 0, MSG_NO_TIME, &ignored)) {
            text = msg_print(&m, len);
        }
    }
    msg_fini(&m);
    return text;
}

/* The list that a kombu message itself names; false: a plain one, or one of a named exchange. */
static bool list_of_message(const struct buf *bytes, char list[BROKER_LIST_SIZE])
{
    struct err ignored;
    cJSON *root = json_parse(bytes->data ? bytes->data : "", bytes->len, &ignored);
    const cJSON *properties = json_get_obj(root, "properties");
    const cJSON *info = json_get_obj(properties, "delivery_info");
    const char *exchange = json_get_str(info, "exchange");
    const char *queue = json_get_str(info, "routing_key");
    int64_t priority = 0;
    bool ok;

    json_get_i64(properties, "priority", 0, 255, &priority);
    ok = queue && *queue && (!exchange || !*exchange || strcmp(exchange, queue) == 0) &&
         msg_list_name(list, BROKER_LIST_SIZE, queue, (int)priority);
    cJSON_Delete(root);
    return ok;
}

static bool find_list(const struct letter *l, const struct letter_target *to,
                      const struct buf *bytes, char list[BROKER_LIST_SIZE], struct err *e)
{
    if (to->queue) {
        return text_copy(list, BROKER_LIST_SIZE, to->queue) ||
               err_set(e, ERR_PERMANENT, "ValueError", "the queue's name is too long");
    }
    if (l->list && *l->list) {
        if (strcmp(l->list, KEY_DELAYED) == 0) {
            return err_set(e, ERR_PERMANENT, "ValueError",
                           "it was in the delayed set, not in a queue; say --queue");
        }
        return text_copy(list, BROKER_LIST_SIZE, l->list) ||
               err_set(e, ERR_PERMANENT, "ValueError", "its queue has too long a name");
    }
    return list_of_message(bytes, list) || text_copy(list, BROKER_LIST_SIZE, to->fallback) ||
           err_set(e, ERR_PERMANENT, "ValueError", "the queue's name is too long");
}

static enum letter_end read_end(redisReply *r)
{
    enum letter_end end = LETTER_FAILED;

    if (r) {
        end = r->type == REDIS_REPLY_INTEGER && r->integer == 1 ? LETTER_DONE : LETTER_VANISHED;
        freeReplyObject(r);
    }
    return end;
}

static enum letter_end push_back(redisContext *c, const struct letters *which,
                                 const struct letter *l, const char *list, const struct buf *bytes,
                                 struct err *e)
{
    const char *id = which->fresh && l->id ? l->id : "";
    char result[MSG_NAME_SIZE + sizeof KEY_RESULT_PREFIX];
    const char *args[] = {
        which->key, KEY_COUNTERS, list,        KEY_LOSSES,          KEY_RECOVERIES,
        result,     l->entry,     bytes->data, which->counter_back, id};
    size_t lens[ARRAY_LEN(args)];

    snprintf(result, sizeof result, KEY_RESULT_PREFIX "%s", id);
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        lens[i] = args[i] == l->entry      ? l->len
                  : args[i] == bytes->data ? bytes->len
                                           : strlen(args[i]);
    }
    return read_end(script_run(c, &LETTERS_LUA_PUT_BACK, 6, ARRAY_LEN(args), args, lens, e));
}

/* The message as it goes back, into `out`. False and *e: it cannot. */
static bool bytes_to_send(const struct letters *which, const struct letter *l, int64_t now_us,
                          struct buf *out, struct err *e)
{
    char *text;
    size_t len;

    if (l->oversized) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "it is longer than a message may be; look at it with show --out");
    }
    if (!letter_bytes(l, out) || out->len == 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "its message cannot be read from the entry");
    }
    text = which->fresh ? freshen(out, now_us, &len) : NULL;
    if (text) {
        buf_reset(out);
        buf_add(out, text, len);
        free(text);
    }
    return !out->failed || err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
}

enum letter_end letter_put_back(redisContext *c, const struct letters *which,
                                const struct letter *l, const struct letter_target *to,
                                struct err *e)
{
    enum letter_end end = LETTER_REFUSED;
    char list[BROKER_LIST_SIZE];
    struct buf bytes;

    buf_init(&bytes, 2 * MSG_BYTES_MAX);
    if (bytes_to_send(which, l, to->now_us, &bytes, e) && find_list(l, to, &bytes, list, e)) {
        end = push_back(c, which, l, list, &bytes, e);
        if (end == LETTER_FAILED && e->cls == ERR_PERMANENT) {
            end = LETTER_REFUSED; /* the queue's key is no list, for one */
        }
    }
    buf_fini(&bytes);
    return end;
}

enum letter_end letter_drop(redisContext *c, const struct letters *which, const struct letter *l,
                            struct err *e)
{
    bool has_key = l->oversized && strncmp(l->oversized, KEY_OVERSIZED, strlen(KEY_OVERSIZED)) == 0;
    const char *args[] = {
        which->key, KEY_COUNTERS,           has_key ? l->oversized : KEY_OVERSIZED,
        l->entry,   which->counter_dropped, has_key ? "1" : "0"};
    size_t lens[ARRAY_LEN(args)];

    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        lens[i] = args[i] == l->entry ? l->len : strlen(args[i]);
    }
    return read_end(script_run(c, &LETTERS_LUA_DROP, 3, ARRAY_LEN(args), args, lens, e));
}

/* --------------------------------------------------------------------------------- in bulk */

struct change {
    redisContext *c;
    const struct letters *which;
    const struct letter_filter *f;
    const struct letters_change *how;
    struct letters_counts *n;
    struct err *e;
    int64_t left; /* entries that were there when it began */
    bool failed;
};

static enum letter_next change_one(void *ctx, const struct letter *l)
{
    struct change *k = ctx;
    struct err why = {0};
    enum letter_end end;

    if (k->left-- <= 0) {
        return LETTER_STOP;
    }
    k->n->total++;
    if (!letter_matches(k->f, l, k->how->to.now_us / 1000000)) {
        return LETTER_NEXT;
    }
    k->n->matched++;
    if (k->how->dry_run) {
        k->n->changed++;
        return LETTER_NEXT;
    }
    end = k->how->drop ? letter_drop(k->c, k->which, l, &why)
                       : letter_put_back(k->c, k->which, l, &k->how->to, &why);
    switch (end) {
    case LETTER_DONE:
        k->n->changed++;
        return LETTER_GONE;
    case LETTER_VANISHED:
        k->n->vanished++;
        return LETTER_GONE;
    case LETTER_REFUSED:
        k->n->refused++;
        k->n->why = why;
        return LETTER_NEXT;
    case LETTER_FAILED:
        break;
    }
    k->failed = true;
    *k->e = why;
    return LETTER_STOP;
}

bool letters_change(redisContext *c, const struct letters *which, const struct letter_filter *f,
                    const struct letters_change *how, struct letters_counts *n, struct err *e)
{
    struct change k = {.c = c, .which = which, .f = f, .how = how, .n = n, .e = e};
    redisReply *r = rds_command(c, e, "LLEN %s", which->key);

    *n = (struct letters_counts){0};
    if (!r) {
        return false;
    }
    k.left = r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
    freeReplyObject(r);
    return letters_each(c, which, change_one, &k, e) && !k.failed;
}
