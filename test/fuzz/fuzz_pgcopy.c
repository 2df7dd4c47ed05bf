#include <stddef.h>
#include <stdint.h>

#include "worker/pgcopy.h"

enum { FIELDS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says where the bytes are cut into two messages. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgcopy_reader r;
    struct pgcopy_field f[FIELDS];
    size_t cut = size > 0 ? data[0] % size : 0;
    const uint8_t *parts[2] = {data, data + cut};
    size_t lens[2] = {cut, size - cut};
    volatile char sink = 0;

    pgcopy_reader_init(&r);
    for (int i = 0; i < 2; i++) {
        pgcopy_feed(&r, parts[i], lens[i]);
        while (pgcopy_read(&r, f, FIELDS) == PGCOPY_ROW) {
            for (int k = 0; k < FIELDS; k++) {
                MUST(f[k].len >= -1);
                if (f[k].len > 0) {
                    sink = f[k].data[f[k].len - 1];
                }
            }
        }
    }
    (void)sink;
    return 0;
}
