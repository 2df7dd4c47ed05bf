#include "test/unit/wire_data.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base.h"

char *wire_read(const char *name, size_t *len)
{
    char path[256];
    char *bytes = malloc(64 * KIB);
    FILE *f;

    snprintf(path, sizeof path, "test/data/wire/%s.json", name);
    f = fopen(path, "rb");
    MUST(f && bytes);
    *len = fread(bytes, 1, 64 * KIB, f);
    MUST(*len > 0 && *len < 64 * KIB);
    fclose(f);
    while (*len > 0 && bytes[*len - 1] == '\n') {
        (*len)--;
    }
    bytes[*len] = '\0';
    return bytes;
}
