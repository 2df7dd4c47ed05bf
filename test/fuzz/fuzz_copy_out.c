/* The COPY stream that the image is built from: messages of arbitrary bytes. */

#include <stdlib.h>
#include <string.h>

#include "api/image_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input: the number of rows, then messages, each behind two bytes of length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct image_copy copy = {0};
    bool ok = size > 0;

    if (!ok) {
        return 0;
    }
    copy.builder = image_builder_new(1, 1, data[0] % 8, &e);
    MUST(copy.builder);
    for (int i = 0; i < 3; i++) {
        MUST(image_builder_add_group(
            copy.builder, &(struct image_member_of){i ? "Siel" : "Zikel", "Cleric", i ? 4 : 5, 6},
            &e));
    }
    for (size_t at = 1; ok && at + 2 <= size;) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];
        char *message;

        at += 2;
        len = len < size - at ? len : size - at;
        message = malloc(len + 1); /* of its own, so that reading past the end is seen */
        MUST(message);
        memcpy(message, data + at, len);
        ok = image_copy_feed(&copy, message, len, &e);
        free(message);
        at += len;
    }
    image_unref(image_builder_finish(copy.builder, &e));
    return 0;
}
