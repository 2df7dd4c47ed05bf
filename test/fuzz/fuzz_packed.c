/* Payloads as PostgreSQL prints them: what is packed prints as the same bytes. */

#include <stdlib.h>
#include <string.h>

#include "api/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = malloc(size ? size : 1); /* of its own, so that reading past the end is seen */
    struct packed_stats p;
    struct buf b;

    MUST(s);
    memcpy(s, data, size);
    if (packed_parse(s, size, &p)) {
        buf_init(&b, 4 * KIB);
        packed_print(&b, &p);
        MUST(b.len == size && memcmp(b.data, s, size) == 0);
        buf_fini(&b);
    }
    free(s);
    return 0;
}
