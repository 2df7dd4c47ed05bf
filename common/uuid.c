#include "common/uuid.h"

#include <stdio.h>
#include <sys/random.h>

static void format(unsigned char b[16], int version, char out[UUID_SIZE])
{
    b[6] = (unsigned char)((b[6] & 0x0f) | (version << 4));
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(out, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

void uuid_random(char out[UUID_SIZE])
{
    unsigned char b[16];

    MUST(getrandom(b, sizeof b, 0) == (ssize_t)sizeof b);
    format(b, 4, out);
}

void uuid_from_name(const char *name, char out[UUID_SIZE])
{
    /* FNV-1a, 128 bits: offset basis and prime of the FNV specification. */
    const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
    unsigned __int128 h =
        ((unsigned __int128)UINT64_C(0x6c62272e07bb0142) << 64) | UINT64_C(0x62b821756295c58d);
    unsigned char b[16];

    for (; *name; name++) {
        h = (h ^ (unsigned char)*name) * prime;
    }
    for (int i = 0; i < 16; i++) {
        b[i] = (unsigned char)(h >> (8 * (15 - i)));
    }
    format(b, 8, out);
}
