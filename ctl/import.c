/*
 * aion2ctl import: reads records (import_source, import_csv, import_ndjson), checks and encodes
 * them (import_row) and writes them in chunks (import_load). A bad line is reported and left out.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/pg.h"
#include "ctl/ctl.h"
#include "ctl/import_csv.h"
#include "ctl/import_load.h"
#include "ctl/import_ndjson.h"
#include "ctl/import_source.h"

const char CTL_IMPORT_HELP[] =
    "Usage: aion2ctl import FILE|- [--format csv|ndjson] [--errors N] [--quiet]\n"
    "                       [--json]\n"
    "\n"
    "Loads characters: new ones are added, known ones (server and name) updated where\n"
    "the data changed. Running it again is safe. A bad line is reported and left out,\n"
    "the others go in.\n"
    "\n"
    "Columns (CSV header) or keys (NDJSON):\n"
    "  server, name, class  1 to 64 characters\n"
    "  level                0 to 100000\n"
    "  power                optional\n"
    "  stats_payload        optional, a JSON object\n"
    "  raw_payload          optional, any JSON\n"
    "  last_fetched_at      optional, ISO 8601\n"
    "  or, in place of stats_payload: attack, damage_amp, crit_rate, crit_damage,\n"
    "  attack_speed, defense, damage_reduction, hp\n"
    "\n"
    "  --format F  csv or ndjson; else by the file's name, else by its first byte\n"
    "  --errors N  print the first N bad lines (default 20); all are counted\n"
    "  --quiet     no progress on the terminal\n"
    "  --json      print the counts as JSON\n"
    "\n"
    "Examples:\n"
    "  aion2ctl import characters.csv\n"
    "  aion2ctl generate --count 1000 | aion2ctl import -\n"
    "\n"
    "Exit codes: 0 all in, 1 some lines were left out or the import failed, 64 wrong\n"
    "usage, 69 PostgreSQL not reachable.\n";

#define PROGRESS_MS 500

enum format { FORMAT_AUTO, FORMAT_CSV, FORMAT_NDJSON };

struct options {
    const char *path;
    const char *format_name; /* NULL: not said */
    enum format format;
    int64_t errors_shown;
    bool quiet, json;
};

struct import {
    struct options o;
    struct import_source source;
    struct import_csv csv;
    struct import_ndjson ndjson;
    struct import_load load;
    uint64_t line; /* of the next record, from 1 */
    uint64_t rows; /* records read, good or bad */
    uint64_t bad;  /* refused by us or by PostgreSQL */
    int64_t start_ms, shown_ms;
    bool progress, progress_shown;
};

static void clear_progress(struct import *im)
{
    if (im->progress_shown) {
        fputs("\r\033[K", stderr);
        im->progress_shown = false;
    }
}

static void report_bad(void *arg, uint64_t line, const char *why)
{
    struct import *im = arg;

    if (im->bad++ < (uint64_t)im->o.errors_shown) {
        clear_progress(im);
        fprintf(stderr, "line %" PRIu64 ": %s\n", line, why);
    }
}

static void show_progress(struct import *im)
{
    int64_t now_ms = clock_mono_ms();
    double seconds = (double)(now_ms - im->start_ms) / 1000.0;
    uint64_t done = im->source.bytes_read - (im->source.end - im->source.start);

    if (!im->progress || now_ms - im->shown_ms < PROGRESS_MS) {
        return;
    }
    im->shown_ms = now_ms;
    im->progress_shown = true;
    fprintf(stderr, "\r\033[K%" PRIu64 " rows, %.1f MB, %.0f rows/s", im->rows, (double)done / 1e6,
            seconds > 0 ? (double)im->rows / seconds : 0.0);
    if (im->source.size) {
        fprintf(stderr, ", %.0f%%", 100.0 * (double)done / (double)im->source.size);
    }
}

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

static enum format guess_format(const char *path, const struct import_source *s)
{
    size_t i = s->start;

    if (has_suffix(path, ".csv")) {
        return FORMAT_CSV;
    }
    if (has_suffix(path, ".ndjson") || has_suffix(path, ".jsonl")) {
        return FORMAT_NDJSON;
    }
    while (i < s->end && s->data[i] && strchr(" \t\r\n", s->data[i])) {
        i++;
    }
    return i < s->end && s->data[i] == '{' ? FORMAT_NDJSON : FORMAT_CSV;
}

static enum import_status parse_next(struct import *im, struct import_record *rec)
{
    struct import_source *s = &im->source;
    char *data = s->data + s->start;
    size_t len = s->end - s->start;

    return im->o.format == FORMAT_CSV ? import_csv_next(&im->csv, data, len, s->eof, rec)
                                      : import_ndjson_next(&im->ndjson, data, len, s->eof, rec);
}

/* Drops the rest of a line that is longer than the buffer may grow. */
static bool skip_long_line(struct import *im, struct err *e)
{
    struct import_source *s = &im->source;
    const char *nl;
    bool full;

    report_bad(im, im->line, "longer than 32 MB");
    im->rows++;
    while (!(nl = memchr(s->data + s->start, '\n', s->end - s->start))) {
        s->start = s->end;
        if (s->eof) {
            return true;
        }
        if (!import_source_more(s, &full, e)) {
            return false;
        }
    }
    s->start = (size_t)(nl - s->data) + 1;
    im->line++;
    return true;
}

static bool take_row(struct import *im, const struct import_record *rec, struct err *e)
{
    struct import_load *l = &im->load;
    size_t at = l->bytes.len;
    struct err why;

    im->rows++;
    if (import_row_encode(&rec->cells, &l->bytes, &why)) {
        return import_load_row(l, at, im->line, e);
    }
    if (l->bytes.failed) {
        *e = why;
        return false;
    }
    report_bad(im, im->line, why.text);
    return true;
}

static bool take_record(struct import *im, enum import_status st, const struct import_record *rec,
                        struct err *e)
{
    bool ok = true;

    if (st == IMPORT_FATAL) {
        return err_set(e, ERR_PERMANENT, "ValueError", "line %" PRIu64 ": %s", im->line,
                       rec->e.text);
    }
    if (st == IMPORT_BAD) {
        im->rows++;
        report_bad(im, im->line, rec->e.text);
    } else if (st == IMPORT_ROW) {
        ok = take_row(im, rec, e);
    }
    im->line += rec->lines;
    im->source.start += rec->consumed;
    return ok;
}

static bool read_all(struct import *im, struct err *e)
{
    struct import_source *s = &im->source;
    struct import_record rec;
    bool full;

    while (!s->eof || s->start < s->end) {
        enum import_status st = parse_next(im, &rec);

        if (st != IMPORT_MORE) {
            if (!take_record(im, st, &rec, e)) {
                return false;
            }
            continue;
        }
        show_progress(im);
        if (!import_source_more(s, &full, e) || (full && !skip_long_line(im, e))) {
            return false;
        }
    }
    if (im->o.format == FORMAT_CSV && im->csv.n == 0) {
        return err_set(e, ERR_PERMANENT, "ValueError", "the file is empty; CSV needs a header");
    }
    return import_load_flush(&im->load, e);
}

static void print_counts(const struct import *im, bool complete)
{
    const struct import_counts *n = &im->load.counts;
    double seconds = (double)(clock_mono_ms() - im->start_ms) / 1000.0;

    if (im->o.json) {
        printf("{\"complete\":%s,\"rows\":%" PRIu64 ",\"imported\":%" PRIu64 ",\"updated\":%" PRIu64
               ",\"unchanged\":%" PRIu64 ",\"superseded\":%" PRIu64 ",\"skipped\":%" PRIu64
               ",\"bytes\":%" PRIu64 ",\"seconds\":%.3f}\n",
               complete ? "true" : "false", im->rows, n->imported, n->updated, n->unchanged,
               n->superseded, im->bad, im->source.bytes_read, seconds);
        return;
    }
    printf("%" PRIu64 " row%s: %" PRIu64 " imported, %" PRIu64 " updated, %" PRIu64
           " unchanged, %" PRIu64 " skipped",
           im->rows, im->rows == 1 ? "" : "s", n->imported, n->updated, n->unchanged, im->bad);
    if (n->superseded) {
        printf(", %" PRIu64 " superseded by a later row", n->superseded);
    }
    printf(" (%.1f s)\n", seconds);
}

static void report_rest(struct import *im)
{
    uint64_t shown = (uint64_t)im->o.errors_shown;

    clear_progress(im);
    if (im->bad > shown && shown > 0) {
        fprintf(stderr, "... and %" PRIu64 " more bad lines\n", im->bad - shown);
    }
    if (im->csv.has_id || im->ndjson.has_id) {
        fputs("note: the ids of the file were ignored; the database gives its own\n", stderr);
    }
}

static int import_into(struct import *im, PGconn *c)
{
    struct err e;
    bool ready = import_load_init(&im->load, c, &e), ok = false;

    im->load.on_refused = report_bad;
    im->load.arg = im;
    if (ready) {
        ok = read_all(im, &e);
        report_rest(im);
        print_counts(im, ok);
    }
    import_load_fini(&im->load);
    if (!ok) {
        enum ctl_exit code = PQstatus(c) == CONNECTION_OK ? CTL_FAILED : CTL_UNAVAILABLE;

        return ctl_fail("import", code, "%s%s", e.text,
                        ready ? " (stopped; the counts are what was written, and running it again "
                                "is safe)"
                              : "");
    }
    return im->bad ? CTL_FAILED : CTL_OK;
}

const struct opt CTL_IMPORT_OPTS[] = {
    {"format", OPT_TEXT, offsetof(struct options, format_name), 0, 0, "csv|ndjson"},
    {"errors", OPT_I64, offsetof(struct options, errors_shown), 0, INT64_MAX, NULL},
    {"quiet", OPT_FLAG, offsetof(struct options, quiet), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static bool parse_options(int argc, char **argv, struct options *o)
{
    int first;

    *o = (struct options){.errors_shown = 20};
    first = opt_parse("import", CTL_IMPORT_OPTS, argc, argv, o);
    if (first < 0) {
        return false;
    }
    if (first + 1 != argc) {
        ctl_fail("import", CTL_USAGE, "expected one file, or - for standard input");
        return false;
    }
    o->path = argv[first];
    if (o->format_name) {
        o->format = strcmp(o->format_name, "csv") == 0 ? FORMAT_CSV : FORMAT_NDJSON;
    }
    return true;
}

int ctl_import(const struct ctl_settings *s, int argc, char **argv)
{
    struct import im = {.line = 1, .start_ms = clock_mono_ms()};
    struct err e;
    PGconn *c;
    int code;

    if (!parse_options(argc, argv, &im.o)) {
        return CTL_USAGE;
    }
    im.progress = !im.o.quiet && isatty(STDERR_FILENO);
    if (!import_source_open(&im.source, im.o.path, &e)) {
        import_source_close(&im.source);
        return ctl_fail("import", CTL_FAILED, "%s", e.text);
    }
    if (im.o.format == FORMAT_AUTO) {
        im.o.format = guess_format(im.o.path, &im.source);
    }
    import_ndjson_init(&im.ndjson);
    c = pg_connect(s->database_url, "aion2ctl", &e);
    code = c ? import_into(&im, c) : ctl_fail("import", CTL_UNAVAILABLE, "%s", e.text);
    PQfinish(c);
    import_ndjson_fini(&im.ndjson);
    import_source_close(&im.source);
    return code;
}
