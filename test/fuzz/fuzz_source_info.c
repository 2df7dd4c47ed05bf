/* Profiles: what is read may be stored, written down and read again. */

#include <stdlib.h>

#include "common/source_raw.h"
#include "test/fuzz/source_fuzz.h"

static void check_raw(const struct plaync_info *info)
{
    struct raw *r = calloc(1, sizeof *r);
    char *text;
    cJSON *doc;
    struct err e;

    MUST(r);
    *r = (struct raw){.region = "tw", .at_s = 1, .info = *info};
    text = raw_print(r);
    doc = json_parse(text, strlen(text), &e);
    MUST(doc);
    MUST(raw_read_parts(text, "tw", &info->key, r));
    cJSON_Delete(doc);
    free(text);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct plaync_sums NOTHING;
    cJSON *doc = source_fuzz_parse(data, size);
    struct plaync_info info;
    int64_t stats[STAT_COUNT];
    struct err e;

    if (doc && plaync_read_info(doc, NULL, &info, &e) == PLAYNC_OK) {
        source_fuzz_check_text(info.name);
        source_fuzz_check_text(info.legion);
        MUST(info.name[0] && info.key.server_id > 0 && info.level >= 0);
        MUST(info.power >= -1 && info.power != 0 && info.item_level >= -1);
        MUST(info.board_count <= PLAYNC_BOARDS_MAX);
        source_fuzz_check_stats(&info, &NOTHING);
        plaync_stats_profile(&info, stats);
        plaync_class_of(info.pc_id);
        check_raw(&info);
    }
    cJSON_Delete(doc);
    return 0;
}
