#ifndef TEST_FUZZ_SOURCE_FUZZ_H
#define TEST_FUZZ_SOURCE_FUZZ_H

#include <string.h>

#include "common/json.h"
#include "common/plaync.h"
#include "common/text.h"

/* What the targets of the site's answers share. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The answer as a document; NULL: none that gets as far as being read. */
static inline cJSON *source_fuzz_parse(const uint8_t *data, size_t size)
{
    struct err e;

    return json_parse((const char *)data, size, &e);
}

/* A text that may be stored and shown. */
static inline void source_fuzz_check_text(const char *text)
{
    MUST(text_is_utf8(text, strlen(text)) && !text_has_control(text, strlen(text)));
}

/* Whatever was summed up: the stats of it are numbers that a row may have. */
static inline void source_fuzz_check_stats(const struct plaync_info *info,
                                           const struct plaync_sums *sums)
{
    int64_t stats[STAT_COUNT];

    plaync_stats_sheet(info, sums, stats);
    for (int i = 0; i < STAT_COUNT; i++) {
        MUST(stats[i] >= 0);
    }
}

#endif
