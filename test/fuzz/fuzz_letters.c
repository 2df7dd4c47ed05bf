/* Entries of dead letters and quarantine, as anybody may have written them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/letters.h"
#include "common/queues.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct letters *const BOTH[] = {&LETTERS_DEAD, &LETTERS_QUARANTINE};
    static const char *const NAMES[] = {"id-1", "0123456789abcdef"};
    struct letter_filter f = {
        .names = NAMES, .name_count = 2, .task = "a*", .reason = "x", .older_s = 5};
    char *entry = malloc(size + 1);

    MUST(entry);
    memcpy(entry, data, size);
    entry[size] = '\0'; /* as replies of Redis are */
    if (letters_read_before(entry, &f)) {
        MUST(strlen(f.before) == LETTER_HANDLE_SIZE - 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(BOTH); i++) {
        struct letter l;
        struct buf b;
        cJSON *doc, *shown;

        letter_read(&l, BOTH[i], entry, size, &doc);
        (void)letter_matches(&f, &l, 1000);
        shown = letter_json(&l);
        MUST(json_get_str(shown, "handle"));
        buf_init(&b, 32 * MIB);
        if (letter_bytes(&l, &b)) {
            MUST((int64_t)b.len == l.bytes || json_has(l.doc, "bytes"));
        }
        (void)queues_sent_at(doc);
        buf_fini(&b);
        cJSON_Delete(shown);
        cJSON_Delete(doc);
    }
    free(entry);
    return 0;
}
