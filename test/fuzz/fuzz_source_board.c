/* Daevanion boards: one that is refused adds nothing. */

#include "test/fuzz/source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct plaync_info NOBODY;
    cJSON *doc = source_fuzz_parse(data, size);
    struct plaync_sums sums = {{1}}, before = sums;
    struct err e;

    if (doc) {
        for (int i = 0; i < PLAYNC_BOARDS_MAX; i++) {
            if (plaync_add_board(doc, &sums, &e) != PLAYNC_OK) {
                MUST(memcmp(&sums, &before, sizeof sums) == 0);
            }
        }
        source_fuzz_check_stats(&NOBODY, &sums);
    }
    cJSON_Delete(doc);
    return 0;
}
