/* What was stored of an earlier answer, and answers of other processes in Redis. */

#include <stdlib.h>

#include "common/source_answer.h"
#include "common/source_raw.h"
#include "test/fuzz/source_fuzz.h"

static void check_raw(const char *text)
{
    static const struct plaync_key WHO = {"AAAA", 1001};
    static const struct plaync_info NOBODY;
    struct raw *r = calloc(1, sizeof *r);
    struct plaync_sums sums;

    MUST(r);
    if (raw_read_parts(text, "tw", &WHO, r)) {
        MUST(r->item_count <= PLAYNC_SLOTS_MAX && r->board_count <= PLAYNC_BOARDS_MAX);
        raw_add_up(r, &sums);
        source_fuzz_check_stats(&NOBODY, &sums);
        for (int i = 0; i < r->item_count; i++) {
            MUST(raw_find_item(r, &r->items[i].slot, 0));
        }
    }
    free(r);
}

static void check_answer(const char *text)
{
    struct source_answer a;
    struct err e;
    char *again;

    if (source_answer_read(text, &a, &e)) {
        again = source_answer_print(&a.reply);
        source_answer_fini(&a);
        MUST(again && source_answer_read(again, &a, &e));
        source_answer_fini(&a);
        free(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    check_raw(text);
    check_answer(text);
    free(text);
    return 0;
}
