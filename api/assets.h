#ifndef API_ASSETS_H
#define API_ASSETS_H

#include "common/base.h"

/* Files compiled into the program (embed.sh), by their path below api/. A NUL follows each. */
struct asset {
    const char *name;
    const char *begin, *end;
};
extern const struct asset ASSETS[];
extern const size_t ASSET_COUNT;

/* NULL: there is none of that name. */
const struct asset *asset_find(const char *name);

#endif
