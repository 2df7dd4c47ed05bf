/* aion2ctl generate: a population of population_model.c as import files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/population_model.h"

const char CTL_GENERATE_HELP[] =
    "Usage: aion2ctl generate [--count N] [--servers N] [--seed S]\n"
    "                         [--format csv|ndjson] [--payload-bytes B]\n"
    "\n"
    "Writes made-up but plausible characters to standard output, ready for aion2ctl\n"
    "import. The same arguments always give the same bytes.\n"
    "\n"
    "  --count N          characters (default 1000, up to 100000000)\n"
    "  --servers N        servers (default 4, up to 10000)\n"
    "  --seed S           another population for each S (default 1)\n"
    "  --format F         csv (default) or ndjson\n"
    "  --payload-bytes B  add a raw_payload of about B bytes (default 0: none, up to\n"
    "                     1000000)\n"
    "\n"
    "Examples:\n"
    "  aion2ctl generate --count 100000 --servers 42 >characters.csv\n"
    "  aion2ctl generate --count 100000 --payload-bytes 1000 | aion2ctl import -\n"
    "\n"
    "Exit codes: 0 done, 1 the output could not be written, 64 wrong usage.\n";

#define LINE_MAX_BYTES (8 * MIB)
#define FLUSH_BYTES    (256 * KIB)

struct options {
    int64_t count, servers, seed, payload_bytes;
    const char *format;
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

const struct opt CTL_GENERATE_OPTS[] = {
    {"count", OPT_I64, offsetof(struct options, count), 0, POPULATION_COUNT_MAX, NULL},
    {"servers", OPT_I64, offsetof(struct options, servers), 1, POPULATION_SERVERS_MAX, NULL},
    {"seed", OPT_I64, offsetof(struct options, seed), 0, INT64_MAX, NULL},
    {"payload-bytes", OPT_I64, offsetof(struct options, payload_bytes), 0, 1000000, NULL},
    {"format", OPT_TEXT, offsetof(struct options, format), 0, 0, "csv|ndjson"},
    OPT_END,
};

int ctl_generate(const struct ctl_settings *settings UNUSED, int argc, char **argv)
{
    struct options o = {.count = 1000, .servers = 4, .seed = 1, .format = "csv"};
    int first = opt_parse("generate", CTL_GENERATE_OPTS, argc, argv, &o);

    if (first < 0 || ctl_no_more("generate", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    o.ndjson = strcmp(o.format, "ndjson") == 0;
    if (!write_population(&o)) {
        return ctl_fail("generate", CTL_FAILED, "cannot write: %s", strerror(errno));
    }
    return CTL_OK;
}
