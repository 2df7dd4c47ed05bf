/* Answers of the site's search: a hit is about whom was asked for. */

#include "test/fuzz/source_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char NAME[] = "카나星Mi";
    cJSON *doc = source_fuzz_parse(data, size);
    struct plaync_hit hit;
    struct err e;

    if (doc && plaync_read_search(doc, NAME, 1001, &hit, &e) == PLAYNC_OK) {
        MUST(strcmp(hit.name, NAME) == 0 && hit.key.server_id == 1001);
        MUST(hit.key.character_id[0] && !strpbrk(hit.key.character_id, "%&? \n"));
    }
    plaync_has_more(doc, 1);
    plaync_judge(404, "application/json", doc, &e);
    cJSON_Delete(doc);
    return 0;
}
