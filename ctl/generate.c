/* aion2ctl generate: a population of population_model.c as import files. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/population_model.h"

const char CTL_GENERATE_HELP[] =
    "Usage: aion2ctl generate [--count N] [--servers N] [--seed S] [--format csv|ndjson]\n"
    "                         [--payload-bytes B]\n\n"
    "Writes made-up but plausible characters to standard output, ready for aion2ctl import. The\n"
    "same arguments always give the same bytes.\n\n"
    "  --count N          characters (default 1000, up to 100000000)\n"
    "  --servers N        servers (default 4, up to 10000)\n"
    "  --seed S           another population for each S (default 1)\n"
    "  --format F         csv (default) or ndjson\n"
    "  --payload-bytes B  add a raw_payload of about B bytes (default 0: none, up to 1000000)\n\n"
    "Examples:\n"
    "  aion2ctl generate --count 100000 --servers 42 >characters.csv\n"
    "  aion2ctl generate --count 100000 --payload-bytes 1000 --format ndjson | aion2ctl import -\n\n"
    "Exit codes: 0 done, 1 the output could not be written, 64 wrong usage.\n";

#define LINE_MAX_BYTES (8 * MIB)
#define FLUSH_BYTES    (256 * KIB)

struct options {
    int64_t count, servers, seed, payload_bytes;
    bool ndjson;
};

static void add_stats_json(struct buf *b, const struct member *m)
{
    for (int s = 0; s < STAT_COUNT; s++) {
        buf_addf(b, "%s\"%s\":%d", s ? "," : "{", STAT_NAMES[s], m->stats[s]);
    }
    buf_addch(b, '}');
}

/* Like what a collector keeps: the profile, then worn items until there are enough bytes. */
static void add_raw_payload(struct buf *b, const struct member *m, size_t bytes)
{
    size_t start = b->len;
    uint64_t dice = m->dice;

    buf_addf(b,
             "{\"profile\":{\"characterName\":\"%s\",\"className\":\"%s\",\"characterLevel\":%d,"
             "\"combatPower\":%" PRId64 "},\"itemLevel\":%d,\"equipmentList\":[",
             m->name, m->class_name, m->level, m->power, m->item_level);
    for (int slot = 1; b->len - start + 2 < bytes && !b->failed; slot++) {
        dice = population_mix(dice + 1);
        buf_addf(b, "%s{\"slotPos\":%d,\"id\":%" PRIu64 ",\"enchantLevel\":%d,\"exceedLevel\":%d}",
                 slot > 1 ? "," : "", slot, 110000000 + dice % 9999999, (int)(dice >> 32) & 15,
                 (int)(dice >> 40) & 3);
    }
    buf_addstr(b, "]}");
}

static void add_ndjson(struct buf *b, const struct member *m, size_t payload_bytes)
{
    buf_addf(b,
             "{\"server\":\"%s\",\"name\":\"%s\",\"class\":\"%s\",\"level\":%d,\"power\":%" PRId64
             ",\"stats_payload\":",
             m->server, m->name, m->class_name, m->level, m->power);
    add_stats_json(b, m);
    if (payload_bytes) {
        buf_addstr(b, ",\"raw_payload\":");
        add_raw_payload(b, m, payload_bytes);
    }
    buf_addstr(b, "}\n");
}

static void add_quoted(struct buf *b, const struct buf *field)
{
    buf_addch(b, '"');
    for (size_t i = 0; i < field->len; i++) {
        if (field->data[i] == '"') {
            buf_addch(b, '"');
        }
        buf_addch(b, field->data[i]);
    }
    buf_addch(b, '"');
}

/* No name of the model needs quotes. */
static void add_csv(struct buf *b, struct buf *scratch, const struct member *m,
                    size_t payload_bytes)
{
    buf_addf(b, "%s,%s,%s,%d,%" PRId64, m->server, m->name, m->class_name, m->level, m->power);
    for (int s = 0; s < STAT_COUNT; s++) {
        buf_addf(b, ",%d", m->stats[s]);
    }
    if (payload_bytes) {
        buf_reset(scratch);
        add_raw_payload(scratch, m, payload_bytes);
        buf_addch(b, ',');
        add_quoted(b, scratch);
    }
    buf_addch(b, '\n');
}

static void add_csv_header(struct buf *b, size_t payload_bytes)
{
    buf_addstr(b, "server,name,class,level,power");
    for (int s = 0; s < STAT_COUNT; s++) {
        buf_addf(b, ",%s", STAT_NAMES[s]);
    }
    buf_addstr(b, payload_bytes ? ",raw_payload\n" : "\n");
}

static bool write_out(struct buf *b)
{
    bool ok = !b->failed && (b->len == 0 || fwrite(b->data, 1, b->len, stdout) == b->len);

    buf_reset(b);
    return ok;
}

static bool write_population(const struct options *o)
{
    struct population p;
    struct member m;
    struct buf b, scratch;
    size_t payload = (size_t)o->payload_bytes;
    bool ok = true;

    buf_init(&b, LINE_MAX_BYTES);
    buf_init(&scratch, LINE_MAX_BYTES);
    population_init(&p, (uint64_t)o->seed, (uint64_t)o->count, (uint64_t)o->servers);
    if (!o->ndjson) {
        add_csv_header(&b, payload);
    }
    for (uint64_t i = 0; ok && i < p.count; i++) {
        population_member(&p, i, &m);
        if (o->ndjson) {
            add_ndjson(&b, &m, payload);
        } else {
            add_csv(&b, &scratch, &m, payload);
        }
        if (b.len >= FLUSH_BYTES || b.failed) {
            ok = write_out(&b);
        }
    }
    ok = ok && write_out(&b) && fflush(stdout) == 0;
    buf_fini(&b);
    buf_fini(&scratch);
    return ok;
}

static bool parse_number(const char *name, int64_t min, int64_t max, int64_t *out)
{
    if (text_to_i64(optarg, min, max, out)) {
        return true;
    }
    ctl_fail("generate", CTL_USAGE, "%s must be a whole number from %" PRId64 " to %" PRId64, name,
             min, max);
    return false;
}

static bool parse_format(struct options *o)
{
    o->ndjson = strcmp(optarg, "ndjson") == 0;
    if (!o->ndjson && strcmp(optarg, "csv") != 0) {
        ctl_fail("generate", CTL_USAGE, "--format must be csv or ndjson");
        return false;
    }
    return true;
}

static bool parse_option(int c, struct options *o)
{
    switch (c) {
    case 'c':
        return parse_number("--count", 0, POPULATION_COUNT_MAX, &o->count);
    case 's':
        return parse_number("--servers", 1, POPULATION_SERVERS_MAX, &o->servers);
    case 'S':
        return parse_number("--seed", 0, INT64_MAX, &o->seed);
    case 'b':
        return parse_number("--payload-bytes", 0, 1000000, &o->payload_bytes);
    case 'f':
        return parse_format(o);
    default:
        return false; /* getopt_long has said why */
    }
}

int ctl_generate(const struct ctl_settings *settings UNUSED, int argc, char **argv)
{
    static const struct option LONG[] = {
        {"count", required_argument, NULL, 'c'},  {"servers", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'S'},   {"payload-bytes", required_argument, NULL, 'b'},
        {"format", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0},
    };
    struct options o = {.count = 1000, .servers = 4, .seed = 1};
    int c;

    while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        if (!parse_option(c, &o)) {
            return CTL_USAGE;
        }
    }
    if (optind != argc) {
        return ctl_fail("generate", CTL_USAGE, "unexpected argument \"%s\"", argv[optind]);
    }
    if (!write_population(&o)) {
        return ctl_fail("generate", CTL_FAILED, "cannot write: %s", strerror(errno));
    }
    return CTL_OK;
}
