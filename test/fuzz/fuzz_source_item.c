/* Worn items: one that is refused adds nothing, 48 of the same kind do not overflow. */

#include "test/fuzz/source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct plaync_info NOBODY;
    cJSON *doc = source_fuzz_parse(data, size);
    struct plaync_sums sums = {{1}}, before = sums;
    struct err e;
    int64_t id = 0;

    if (doc) {
        json_get_i64(doc, "id", 0, INT64_MAX, &id);
        for (int i = 0; i < PLAYNC_SLOTS_MAX; i++) {
            if (plaync_add_item(doc, id, &sums, &e) != PLAYNC_OK) {
                MUST(memcmp(&sums, &before, sizeof sums) == 0);
            }
        }
        source_fuzz_check_stats(&NOBODY, &sums);
        plaync_is_no_item(doc);
    }
    cJSON_Delete(doc);
    return 0;
}
