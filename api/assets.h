#ifndef API_ASSETS_H
#define API_ASSETS_H

#include "common/base.h"

/* Files compiled into the program (embed.sh), by their path below api/. A NUL follows each. */
struct asset {
    const char *name;
    const char *begin, *end;
    const char *gz_begin, *gz_end; /* compressed; NULL: that would save nothing */
    const char *hash;              /* of the content, 16 hexadecimal digits */
};
extern const struct asset ASSETS[];
extern const size_t ASSET_COUNT;
/* Changes when any of the files does. */
extern const char ASSETS_VERSION[];

/* NULL: there is none of that name. */
const struct asset *asset_find(const char *name);
/* The media type of a file for readers by the ending of its name; NULL: it is none for them. */
const char *asset_type(const char *name);

#endif
