/* Lists of worn items. */

#include "test/fuzz/source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *doc = source_fuzz_parse(data, size);
    struct plaync_slots slots;
    struct err e;

    if (doc && plaync_read_equipment(doc, &slots, &e) == PLAYNC_OK) {
        MUST(slots.count >= 0 && slots.count <= PLAYNC_SLOTS_MAX);
        for (int i = 0; i < slots.count; i++) {
            MUST(slots.at[i].item_id > 0 && slots.at[i].slot_pos >= 0);
            MUST(slots.at[i].enchant >= 0 && slots.at[i].exceed >= 0);
        }
    }
    cJSON_Delete(doc);
    return 0;
}
