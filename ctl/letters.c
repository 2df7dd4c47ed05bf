#include "ctl/letters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/msg.h"

#define PIECE_BYTES MIB /* of an oversized message, at a time */

const struct opt LETTERS_SHOW_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct letters_options, json), 0, 0, NULL},
    {"bytes", OPT_I64, offsetof(struct letters_options, bytes), 0, 1 << 30, NULL},
    {"out", OPT_TEXT, offsetof(struct letters_options, out), 0, 0, NULL},
    OPT_END,
};

struct call {
    const struct ctl_settings *settings;
    const struct letters_words *words;
    struct letters_options o;
    struct letter_filter filter;
    char command[32];
    redisContext *c;
    int64_t now_us;
};

/* Parses, connects, asks the time. CTL_OK, or the code to return (what is wrong has been said). */
static int begin(struct call *k, const char *verb, const struct opt *opts, int argc, char **argv)
{
    struct err e;
    int first, code = CTL_OK;

    snprintf(k->command, sizeof k->command, "%s %s", k->words->command, verb);
    first = opt_parse(k->command, opts, argc, argv, &k->o);
    if (first < 0) {
        return CTL_USAGE;
    }
    k->filter = (struct letter_filter){.names = (const char *const *)(argv + first),
                                       .name_count = argc - first,
                                       .task = k->o.task,
                                       .reason = k->o.reason,
                                       .older_s = k->o.older_s};
    k->c = ctl_redis(k->command, k->settings, NULL, &code);
    if (k->c && !rds_time_us(k->c, &k->now_us, &e)) {
        code = ctl_fail_err(k->command, &e);
    }
    return code;
}

static int end(struct call *k, int code)
{
    if (k->c) {
        redisFree(k->c);
    }
    return code;
}

/* ------------------------------------------------------------------------------------- list */

static int list(struct call *k)
{
    struct err e;
    cJSON *doc = letters_list(k->c, k->words->which, &k->filter, k->o.limit, &e);
    struct term t;

    if (!doc) {
        return ctl_fail_err(k->command, &e);
    }
    if (k->o.json) {
        return ctl_print_json(k->command, doc);
    }
    term_init(&t, stdout);
    letters_print_list(&t, k->words, doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

int letters_cmd_list(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv)
{
    struct call k = {.settings = s, .words = w, .o = {.limit = 50}};
    int code = begin(&k, "list", opts, argc, argv);

    return end(&k, code == CTL_OK ? list(&k) : code);
}

/* ------------------------------------------------------------------------------------- show */

struct showing {
    struct call *k;
    struct term t;
    int found;
    int code;
};

static int cannot_write(struct showing *v)
{
    return ctl_fail(v->k->command, CTL_FAILED, "cannot write %s: %s", v->k->o.out, strerror(errno));
}

/* The bytes of an oversized message, piece by piece. */
static int copy_key(struct showing *v, const char *key, FILE *f)
{
    struct err e;

    for (int64_t at = 0;; at += (int64_t)PIECE_BYTES) {
        char from[24], to[24];
        redisReply *r;
        size_t n;

        snprintf(from, sizeof from, "%" PRId64, at);
        snprintf(to, sizeof to, "%" PRId64, at + (int64_t)PIECE_BYTES - 1);
        r = rds_command(v->k->c, &e, "GETRANGE %s %s %s", key, from, to);
        if (!r) {
            return ctl_fail_err(v->k->command, &e);
        }
        n = r->type == REDIS_REPLY_STRING ? (size_t)r->len : 0;
        if (n == 0 || fwrite(r->str, 1, n, f) != n) {
            freeReplyObject(r);
            if (n > 0) {
                return cannot_write(v);
            }
            return at > 0 ? CTL_OK : ctl_fail(v->k->command, CTL_FAILED, "the key %s is gone", key);
        }
        freeReplyObject(r);
    }
}

static int write_bytes(struct showing *v, const struct letter *l, const struct buf *bytes)
{
    bool to_stdout = strcmp(v->k->o.out, "-") == 0;
    int fd = to_stdout ? dup(STDOUT_FILENO)
                       : open(v->k->o.out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    int code = CTL_OK;

    if (!f) {
        return cannot_write(v);
    }
    if (l->oversized) {
        code = copy_key(v, l->oversized, f);
    } else if (fwrite(bytes->data ? bytes->data : "", 1, bytes->len, f) != bytes->len) {
        code = cannot_write(v);
    }
    if (fclose(f) != 0 && code == CTL_OK) {
        code = cannot_write(v);
    }
    return code;
}

static int show_json(struct showing *v, const struct letter *l)
{
    cJSON *obj = l->doc ? cJSON_Duplicate(l->doc, true) : letter_json(l);

    cJSON_DeleteItemFromObjectCaseSensitive(obj, "handle");
    cJSON_AddStringToObject(obj, "handle", l->handle);
    return ctl_print_json(v->k->command, obj);
}

static enum letter_next show_one(void *ctx, const struct letter *l)
{
    struct showing *v = ctx;
    struct buf bytes;
    bool there;

    if (!letter_matches(&v->k->filter, l, v->k->now_us / 1000000)) {
        return LETTER_NEXT;
    }
    if (v->found++ > 0 && v->k->o.out) {
        v->code = ctl_fail(v->k->command, CTL_FAILED,
                           "more than one matches; only the oldest was written");
        return LETTER_STOP;
    }
    buf_init(&bytes, 2 * MSG_BYTES_MAX);
    there = letter_bytes(l, &bytes);
    if (v->k->o.out) {
        v->code = there || l->oversized
                      ? write_bytes(v, l, &bytes)
                      : ctl_fail(v->k->command, CTL_FAILED, "its message cannot be read");
    } else if (v->k->o.json) {
        v->code = show_json(v, l);
    } else {
        term_print(&v->t, TERM_PLAIN, "%s", v->found > 1 ? "\n" : "");
        letters_print_one(&v->t, l, there ? &bytes : NULL, v->k->now_us / 1000000, v->k->o.bytes);
    }
    buf_fini(&bytes);
    return v->code == CTL_OK ? LETTER_NEXT : LETTER_STOP;
}

static int show(struct call *k)
{
    struct showing v = {.k = k, .code = CTL_OK};
    struct err e;

    term_init(&v.t, stdout);
    if (!letters_each(k->c, k->words->which, show_one, &v, &e)) {
        return ctl_fail_err(k->command, &e);
    }
    return v.found > 0
               ? v.code
               : ctl_fail(k->command, CTL_FAILED, "no %s of that name; see aion2ctl %s list",
                          k->words->which->what, k->words->command);
}

int letters_cmd_show(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv)
{
    struct call k = {.settings = s, .words = w, .o = {.bytes = 4096}};
    int code = begin(&k, "show", opts, argc, argv);

    if (code == CTL_OK && k.filter.name_count == 0) {
        code = ctl_fail(k.command, CTL_USAGE, "say which: the id or handle that list prints");
    }
    return end(&k, code == CTL_OK ? show(&k) : code);
}

/* ---------------------------------------------------------------------------- retry and drop */

static bool says_which(const struct call *k)
{
    return k->filter.name_count > 0 || k->o.task || k->o.reason || k->o.older_s > 0 || k->o.all;
}

static void print_counts(const struct call *k, const char *done, const struct letters_counts *n)
{
    char changed[TERM_NUMBER_SIZE], total[TERM_NUMBER_SIZE];
    struct term t;

    term_init(&t, stdout);
    term_print(&t, k->o.dry_run ? TERM_YELLOW : TERM_PLAIN, "%s%s",
               k->o.dry_run ? "would have " : "", done);
    term_print(&t, TERM_BOLD, " %s", term_number(changed, n->changed));
    term_print(&t, TERM_PLAIN, " of %s %s%s\n", term_number(total, n->total), k->words->which->what,
               n->total == 1 ? "" : "s");
    if (n->vanished > 0) {
        term_print(&t, TERM_DIM, "%s were gone already: somebody else was faster\n",
                   term_number(total, n->vanished));
    }
}

static int change(struct call *k, bool drop)
{
    struct letters_change how = {
        .drop = drop,
        .dry_run = k->o.dry_run,
        .to = {.queue = k->o.queue, .fallback = k->settings->task_queue, .now_us = k->now_us}};
    struct letters_counts n;
    struct err e;
    bool ok = letters_change(k->c, k->words->which, &k->filter, &how, &n, &e);

    if (!ok && n.changed == 0) {
        return ctl_fail_err(k->command, &e);
    }
    if (k->o.json) {
        ctl_print_json(k->command, letters_counts_json(&n, k->o.dry_run));
    } else {
        print_counts(k, drop ? "dropped" : k->words->backed, &n);
    }
    if (!ok) {
        return ctl_fail(k->command, CTL_UNAVAILABLE,
                        "%s (stopped; what was done is done, and running it again is safe)",
                        e.text);
    }
    if (n.refused > 0) {
        return ctl_fail(k->command, CTL_FAILED, "%" PRId64 " stay where they are: %s", n.refused,
                        n.why.text);
    }
    if (n.matched == 0 && k->filter.name_count > 0) {
        return ctl_fail(k->command, CTL_FAILED, "no %s of that name", k->words->which->what);
    }
    return CTL_OK;
}

static int run_change(const struct ctl_settings *s, const struct letters_words *w,
                      const struct opt *opts, int argc, char **argv, bool drop)
{
    struct call k = {.settings = s, .words = w};
    int code = begin(&k, drop ? "drop" : w->back, opts, argc, argv);

    if (code == CTL_OK && !says_which(&k)) {
        code = ctl_fail(k.command, CTL_USAGE,
                        "say which: ids or handles, a filter, or --all; --dry-run only counts");
    }
    return end(&k, code == CTL_OK ? change(&k, drop) : code);
}

int letters_cmd_back(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv)
{
    return run_change(s, w, opts, argc, argv, false);
}

int letters_cmd_drop(const struct ctl_settings *s, const struct letters_words *w,
                     const struct opt *opts, int argc, char **argv)
{
    return run_change(s, w, opts, argc, argv, true);
}
