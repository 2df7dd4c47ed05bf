#include <stddef.h>
#include <stdint.h>

#include "common/base.h"
#include "common/payload.h"
#include "common/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes in: a verdict that keeps the promises of payload.h. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct payload_stats stats;
    struct payload_fault fault = {0};

    switch (payload_parse((const char *)data, size, &stats, &fault)) {
    case PAYLOAD_EMPTY:
    case PAYLOAD_PROFILE:
        break;
    case PAYLOAD_STATS:
        for (int s = 0; s < STAT_COUNT; s++) {
            MUST(stats.value[s] >= 0.0 && stats.value[s] <= 1e12);
        }
        MUST(stats.fractional < 1u << STAT_COUNT);
        break;
    case PAYLOAD_BAD:
        MUST(fault.stat && strlen(fault.reason) < sizeof fault.reason);
        MUST(text_is_utf8(fault.reason, strlen(fault.reason)));
        break;
    }
    return 0;
}
