#include "common/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

typedef _Atomic int64_t cell;

#define CACHE_LINE 64

/*
 * One block of numbers for each shard. A metric has a number per series; a histogram has one per
 * bucket, one for what lies above them and one for the sum.
 */
struct metric_cells {
    unsigned shards;
    size_t stride; /* numbers of a shard */
    cell *at;
    size_t first[]; /* of each metric within its shard */
};

static __thread unsigned my_shard;
static struct metric_group *groups[METRIC_GROUPS_MAX];
static size_t group_count;

#define BUCKETS(name, ...)                                                                         \
    static const int64_t name##_BOUNDS[] = {__VA_ARGS__};                                          \
    const struct metric_buckets name = {name##_BOUNDS, ARRAY_LEN(name##_BOUNDS)}

BUCKETS(METRIC_BUCKETS_REQUEST, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
        500000, 1000000, 2500000, 10000000);
BUCKETS(METRIC_BUCKETS_WAIT, 1000, 5000, 10000, 50000, 100000, 500000, 1000000, 5000000, 10000000,
        30000000, 60000000, 300000000, 900000000, 3600000000);

/* ---- where a number is ---- */

static size_t series_count(const struct metric *m)
{
    size_t n = 1;

    for (size_t i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++) {
        n *= m->labels[i]->count;
    }
    return n;
}

/* Numbers of one series. */
static size_t width_of(const struct metric *m)
{
    return m->kind == METRIC_HISTOGRAM ? m->buckets->count + 2 : 1;
}

static cell *cell_of(const struct metric_group *g, size_t metric, size_t series, unsigned shard)
{
    const struct metric_cells *c = g->cells;

    return c->at + shard * c->stride + c->first[metric] + series * width_of(&g->metrics[metric]);
}

/* A gauge is one number, whoever changes it. */
static unsigned shard_of(const struct metric_group *g, size_t metric)
{
    bool own = my_shard < g->cells->shards && g->metrics[metric].kind != METRIC_GAUGE;

    return own ? my_shard : 0;
}

/* ---- set-up ---- */

/* Everything but the place of the numbers. */
static struct metric_cells *lay_out(const struct metric_group *g, unsigned shards)
{
    struct metric_cells *c = mem_alloc(sizeof *c + g->count * sizeof c->first[0]);
    const size_t line = CACHE_LINE / sizeof(cell);

    MUST(shards > 0 && shards <= METRIC_SHARDS_MAX);
    c->shards = shards;
    for (size_t i = 0; i < g->count; i++) {
        c->first[i] = c->stride;
        c->stride += series_count(&g->metrics[i]) * width_of(&g->metrics[i]);
    }
    c->stride = (c->stride / line + 2) * line; /* two threads never share a line */
    return c;
}

/* Gauges begin unknown. */
static void begin(struct metric_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        for (size_t s = 0; g->metrics[i].kind == METRIC_GAUGE && s < series_count(&g->metrics[i]);
             s++) {
            atomic_store_explicit(cell_of(g, i, s, 0), METRIC_UNKNOWN, memory_order_relaxed);
        }
    }
    MUST(group_count < METRIC_GROUPS_MAX);
    groups[group_count++] = g;
}

void metrics_register(struct metric_group *g, unsigned shards)
{
    struct metric_cells *c = lay_out(g, shards);

    c->at = mem_alloc(c->shards * c->stride * sizeof(cell));
    g->cells = c;
    begin(g);
}

static cell *map(const struct metric_cells *c, int fd)
{
    void *at = mmap(NULL, c->stride * sizeof(cell), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

int metrics_register_shared(struct metric_group *g)
{
    struct metric_cells *c = lay_out(g, 1);
    int fd = memfd_create("aion2-metrics", MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t)(c->stride * sizeof(cell))) == 0) {
        c->at = map(c, fd);
    }
    if (!c->at) {
        free(c);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    g->cells = c;
    begin(g);
    return fd;
}

bool metrics_attach(struct metric_group *g, int fd)
{
    struct metric_cells *c = lay_out(g, 1);
    struct stat st;

    /* That of another program would be of another size: touching it would kill us. */
    if (fstat(fd, &st) == 0 && st.st_size == (off_t)(c->stride * sizeof(cell))) {
        c->at = map(c, fd);
    }
    if (!c->at) {
        free(c);
        return false;
    }
    g->cells = c;
    return true;
}

void metrics_use_shard(unsigned shard)
{
    my_shard = shard;
}

/* ---- counting ---- */

/* A shard of its own has one writer, so nothing has to be locked: half the price. */
static void add_to(cell *at, unsigned shard, int64_t n)
{
    if (shard > 0) {
        int64_t now = atomic_load_explicit(at, memory_order_relaxed);

        atomic_store_explicit(at, now + n, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(at, n, memory_order_relaxed);
    }
}

void metrics_add(struct metric_group *g, size_t metric, size_t series, int64_t n)
{
    if (g->cells) {
        unsigned shard = shard_of(g, metric);

        add_to(cell_of(g, metric, series, shard), shard, n);
    }
}

void metrics_set(struct metric_group *g, size_t metric, size_t series, int64_t value)
{
    if (g->cells) {
        atomic_store_explicit(cell_of(g, metric, series, 0), value, memory_order_relaxed);
    }
}

void metrics_observe(struct metric_group *g, size_t metric, size_t series, int64_t value)
{
    const struct metric_buckets *b = g->metrics[metric].buckets;
    unsigned shard;
    size_t i = 0;
    cell *at;

    if (!g->cells) {
        return;
    }
    value = value > 0 ? value : 0; /* a clock that went back */
    while (i < b->count && value > b->bounds[i]) {
        i++;
    }
    shard = shard_of(g, metric);
    at = cell_of(g, metric, series, shard);
    add_to(at + i, shard, 1);
    add_to(at + b->count + 1, shard, value);
}

size_t metrics_series(const struct metric_label *label, const char *value)
{
    for (size_t i = 0; i < label->count; i++) {
        if (strcmp(label->values[i], value) == 0) {
            return i;
        }
    }
    return label->count - 1;
}

/* ---- showing ---- */

static int64_t sum_up(const struct metric_group *g, size_t metric, size_t series, size_t offset)
{
    bool is_gauge = g->metrics[metric].kind == METRIC_GAUGE;
    int64_t sum = 0;

    for (unsigned s = 0; s < (is_gauge ? 1 : g->cells->shards); s++) {
        sum += atomic_load_explicit(cell_of(g, metric, series, s) + offset, memory_order_relaxed);
    }
    return sum;
}

static void add_number(struct buf *b, enum metric_unit unit, int64_t n)
{
    if (unit == METRIC_ONE) {
        buf_addi64(b, n);
        return;
    }
    buf_addf(b, "%s%" PRId64 ".%06d", n < 0 ? "-" : "", n < 0 ? -(n / 1000000) : n / 1000000,
             (int)(n < 0 ? -(n % 1000000) : n % 1000000));
}

/* Whole seconds and common fractions as people write them: 0.00005, 0.1, 60. */
static void add_bound(struct buf *b, enum metric_unit unit, int64_t n)
{
    size_t begin_at = b->len;

    add_number(b, unit, n);
    while (unit == METRIC_US && !b->failed && b->data[b->len - 1] == '0') {
        b->len--;
    }
    if (!b->failed && b->len > begin_at && b->data[b->len - 1] == '.') {
        b->len--;
    }
}

/* s with what would end a label's value or a line of help escaped. */
static void add_escaped(struct buf *b, const char *s, bool is_value)
{
    for (; *s; s++) {
        if (*s == '\\' || (is_value && *s == '"')) {
            buf_addch(b, '\\');
            buf_addch(b, *s);
        } else if (*s == '\n') {
            buf_addstr(b, "\\n");
        } else {
            buf_addch(b, *s);
        }
    }
}

static void add_label(struct buf *b, const char *name, const char *value, bool first)
{
    buf_addf(b, "%s%s=\"", first ? "{" : ",", name);
    add_escaped(b, value, true);
    buf_addch(b, '"');
}

struct row {
    const struct metric_group *g;
    size_t metric, series;
};

/* name{label="value",...  without the brace that closes; *open: there is one to close. */
static void add_name(struct buf *b, const struct row *r, const char *suffix, bool *open)
{
    const struct metric *m = &r->g->metrics[r->metric];
    size_t series = r->series, count = series_count(m);

    buf_addf(b, "%s%s", m->name, suffix);
    *open = false;
    for (size_t i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++) {
        count /= m->labels[i]->count;
        add_label(b, m->labels[i]->name, m->labels[i]->values[series / count], !*open);
        series %= count;
        *open = true;
    }
}

static void add_sample(struct buf *b, const struct row *r, const char *suffix, int64_t n)
{
    enum metric_unit unit = r->g->metrics[r->metric].unit;
    bool open;

    add_name(b, r, suffix, &open);
    buf_addstr(b, open ? "} " : " ");
    add_number(b, strcmp(suffix, "_count") == 0 ? METRIC_ONE : unit, n);
    buf_addch(b, '\n');
}

static void add_bucket(struct buf *b, const struct row *r, size_t i, int64_t n)
{
    const struct metric *m = &r->g->metrics[r->metric];
    bool open;

    add_name(b, r, "_bucket", &open);
    buf_addstr(b, open ? ",le=\"" : "{le=\"");
    if (i < m->buckets->count) {
        add_bound(b, m->unit, m->buckets->bounds[i]);
    } else {
        buf_addstr(b, "+Inf");
    }
    buf_addf(b, "\"} %" PRId64 "\n", n);
}

static void add_histogram(struct buf *b, const struct row *r)
{
    size_t buckets = r->g->metrics[r->metric].buckets->count;
    int64_t n = 0;

    for (size_t i = 0; i <= buckets; i++) {
        n += sum_up(r->g, r->metric, r->series, i);
        add_bucket(b, r, i, n);
    }
    add_sample(b, r, "_sum", sum_up(r->g, r->metric, r->series, buckets + 1));
    add_sample(b, r, "_count", n);
}

static void add_head(struct buf *b, const struct metric *m, enum metrics_format format)
{
    static const char *const TYPES[] = {"counter", "gauge", "histogram"};
    static const char TOTAL[] = "_total";
    int len = (int)strlen(m->name);

    /* OpenMetrics names the family of a counter without its ending. */
    if (format == METRICS_OPEN && m->kind == METRIC_COUNTER) {
        len -= (int)sizeof TOTAL - 1;
    }
    buf_addf(b, "# HELP %.*s ", len, m->name);
    add_escaped(b, m->help, false);
    buf_addf(b, "\n# TYPE %.*s %s\n", len, m->name, TYPES[m->kind]);
}

static void add_metric(struct buf *b, const struct metric_group *g, size_t metric)
{
    const struct metric *m = &g->metrics[metric];

    for (size_t s = 0; s < series_count(m); s++) {
        struct row r = {g, metric, s};

        if (m->kind == METRIC_HISTOGRAM) {
            add_histogram(b, &r);
        } else {
            int64_t n = sum_up(g, metric, s, 0);

            if (n != METRIC_UNKNOWN) {
                add_sample(b, &r, "", n);
            }
        }
    }
}

void metrics_print(struct buf *out, enum metrics_format format)
{
    for (size_t i = 0; i < group_count; i++) {
        for (size_t m = 0; m < groups[i]->count; m++) {
            add_head(out, &groups[i]->metrics[m], format);
            add_metric(out, groups[i], m);
        }
    }
    if (format == METRICS_OPEN) {
        buf_addstr(out, "# EOF\n");
    }
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                  : "text/plain; version=0.0.4; charset=utf-8";
}

enum metrics_format metrics_negotiate(const char *accept)
{
    /* Who can read it says so; weights are not looked at, both formats have the same content. */
    return accept && strstr(accept, "application/openmetrics-text") ? METRICS_OPEN : METRICS_TEXT;
}
