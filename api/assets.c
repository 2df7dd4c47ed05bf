#include "api/assets.h"

#include <string.h>

static const struct {
    const char *ending, *type;
} TYPES[] = {
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".txt", "text/plain; charset=utf-8"},
};

const struct asset *asset_find(const char *name)
{
    for (size_t i = 0; i < ASSET_COUNT; i++) {
        if (strcmp(ASSETS[i].name, name) == 0) {
            return &ASSETS[i];
        }
    }
    return NULL;
}

const char *asset_type(const char *name)
{
    const char *ending = strrchr(name, '.');

    for (size_t i = 0; ending && i < sizeof TYPES / sizeof TYPES[0]; i++) {
        if (strcmp(TYPES[i].ending, ending) == 0) {
            return TYPES[i].type;
        }
    }
    return NULL;
}
