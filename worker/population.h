#ifndef WORKER_POPULATION_H
#define WORKER_POPULATION_H

#include "common/entry.h"
#include "common/err.h"
#include "common/payload.h"
#include "worker/names.h"

/*
 * Everybody of one run, in memory: some 120 bytes a character while stats are held. Entries come in
 * this order: first those scored in this run, then those that keep an earlier score.
 */
#define POPULATION_MAX     ((uint32_t)1 << 28)
#define POPULATION_GROUPS  ((uint32_t)ENTRY_GROUP_MAX + 1)
#define POPULATION_SERVERS 65536 /* distinct names; what is kept per server is some kilobytes */
#define POPULATION_CLASSES 65536
#define POWER_UNKNOWN      INT64_MIN

/* A class on a server; most counters are kept per group. */
struct group {
    uint32_t server; /* number in servers */
    uint32_t class;  /* number in classes */
};

struct entry {
    int64_t id;
    int64_t power; /* POWER_UNKNOWN, which sorts last, for NULL */
    int64_t score;
    uint32_t name; /* offset in name_text */
    uint32_t group;
    int32_t level;
    uint8_t tier; /* 0 is S5, 24 is D1 */
};

/* What an entry that was not scored in this run keeps. */
struct kept {
    double percentile;
    int64_t scored_at_us; /* of PostgreSQL's epoch, as it came */
    bool stale;
};

struct entry_list {
    struct entry *at;
    uint32_t count;
    uint32_t cap;
};

struct population {
    struct names servers;
    struct names classes;
    struct names groups; /* keys are struct group */
    char *name_text;     /* length (uint16_t) and bytes of each character name */
    size_t name_len;
    size_t name_cap;

    struct entry_list ranked; /* first `scored` of them scored in this run, then `kept` */
    uint32_t scored;
    double (*stats)[STAT_COUNT]; /* of ranked; freed once the scores are known */
    uint32_t stats_cap;
    struct kept *kept; /* kept[i - scored] belongs to ranked.at[i] */
    uint32_t kept_cap;

    struct entry_list failed; /* candidates for keeping their earlier score */
    uint8_t *fractional;      /* per server: bit 1 << stat, some value is not whole */
    uint32_t fractional_cap;
    uint64_t rows; /* read, {} included */
};

/* One character as it was read; texts are borrowed. */
struct population_row {
    int64_t id;
    int64_t power;
    const char *server, *name, *class;
    size_t server_len, name_len, class_len;
    int32_t level;
};

void population_init(struct population *p);
void population_fini(struct population *p);

/* Each copies what it needs. False when memory is out or a limit is reached; *e says which. */
bool population_add_scored(struct population *p, const struct population_row *row,
                           const struct payload_stats *stats, struct err *e) MUST_CHECK;
bool population_add_failed(struct population *p, const struct population_row *row,
                           struct err *e) MUST_CHECK;
/* After the last scored one: an entry of the previous board that stays. score and tier are set. */
bool population_add_kept(struct population *p, const struct entry *entry, const struct kept *kept,
                         struct err *e) MUST_CHECK;
/* Interns the texts of row into *entry. */
bool population_make_entry(struct population *p, const struct population_row *row,
                           struct entry *entry, struct err *e) MUST_CHECK;

/* Where a server's rows start, to take them back when reading it fails half-way. */
struct population_mark {
    uint32_t scored;
    uint32_t failed;
    size_t name_len;
    uint64_t rows;
};
struct population_mark population_mark(const struct population *p);
void population_rollback(struct population *p, const struct population_mark *mark);

/* Scores are known: the stats' memory goes back. */
void population_drop_stats(struct population *p);

static inline const struct group *population_group(const struct population *p, uint32_t number)
{
    return (const struct group *)(const void *)(p->groups.text + p->groups.refs[number].start);
}
static inline uint32_t population_server_of(const struct population *p, const struct entry *e)
{
    return population_group(p, e->group)->server;
}
/* NULL when scored in this run. */
static inline const struct kept *population_kept(const struct population *p, uint32_t number)
{
    return number < p->scored ? NULL : &p->kept[number - p->scored];
}
const char *population_name(const struct population *p, const struct entry *e, size_t *len);

#endif
