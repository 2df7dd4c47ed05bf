/* Files of settings. */

#include <string.h>

#include "common/envfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool look(void *ctx, const char *name, const char *value, struct err *e)
{
    (void)ctx;
    (void)e;
    MUST(strlen(name) > 0 && !strchr(name, '=') && !strchr(value, '\n'));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    bool ok = envfile_parse((const char *)data, size, look, NULL, &e);

    MUST(ok || e.text[0] != '\0');
    return 0;
}
