#ifndef COMMON_ENTRY_H
#define COMMON_ENTRY_H

#include "common/base.h"

/*
 * How a row of ranking_entries holds its numbers: pack_places() and pack_traits() of
 * migrations/0006_packed_entries.sql, and their reverse.
 */
#define ENTRY_GROUP_MAX      ((INT32_C(1) << 26) - 1)
#define ENTRY_LEVEL_MAX      ((INT32_C(1) << 17) - 1)
#define ENTRY_PERCENTILE_MAX ((INT32_C(1) << 14) - 1)
#define ENTRY_TIER_MAX       31
/* Groups of a row of ranking_group_lists: row n has those from 32 n on. Migration 0008. */
#define ENTRY_GROUPS_LISTED 32

struct entry_traits {
    int32_t group;        /* number of its server and class, 0 to ENTRY_GROUP_MAX */
    int32_t level;        /* 0 to ENTRY_LEVEL_MAX */
    int32_t percentile_c; /* hundredths of a percent */
    int32_t tier;         /* 0: S5 */
    bool stale;
};

/* Ranks from 1 to INT32_MAX. */
static inline int64_t entry_places(int32_t place, int32_t on_server)
{
    return (int64_t)place << 32 | on_server;
}

static inline int32_t entry_place(int64_t places)
{
    return (int32_t)(places >> 32);
}

static inline int32_t entry_place_on_server(int64_t places)
{
    return (int32_t)(places & UINT32_MAX);
}

static inline int64_t entry_traits_pack(const struct entry_traits *t)
{
    return (int64_t)t->group << 37 | (int64_t)t->level << 20 | (int64_t)t->percentile_c << 6 |
           (int64_t)t->tier << 1 | t->stale;
}

static inline struct entry_traits entry_traits_unpack(int64_t traits)
{
    return (struct entry_traits){.group = (int32_t)(traits >> 37),
                                 .level = (int32_t)(traits >> 20 & ENTRY_LEVEL_MAX),
                                 .percentile_c = (int32_t)(traits >> 6 & ENTRY_PERCENTILE_MAX),
                                 .tier = (int32_t)(traits >> 1 & ENTRY_TIER_MAX),
                                 .stale = (traits & 1) != 0};
}

#endif
