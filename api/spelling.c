#include "api/spelling.h"

#include <string.h>

#include "common/realm.h"

int spelling_list(const struct request *rq, const char *server, const char *out[SPELLINGS_MAX])
{
    const char *names[REALM_SPELLINGS_MAX];
    int n = realm_spellings(rq->loop->settings->source.region, server, names);
    int count = 1;

    out[0] = server;
    for (int i = 0; i < n && count < SPELLINGS_MAX; i++) {
        if (strcmp(names[i], server) != 0) {
            out[count++] = names[i];
        }
    }
    for (int i = count; i < SPELLINGS_MAX; i++) {
        out[i] = NULL;
    }
    return count;
}

int spelling_find_server(const struct request *rq, const struct image *img, const char *server)
{
    int found = image_find_server(img, server, strlen(server));
    const char *names[SPELLINGS_MAX];
    int n;

    if (found >= 0) { /* nearly always */
        return found;
    }
    n = spelling_list(rq, server, names);
    for (int i = 1; i < n && found < 0; i++) {
        found = image_find_server(img, names[i], strlen(names[i]));
    }
    return found;
}

static const struct image_row *find_row(const struct image *img, const char *server,
                                        const char *name)
{
    int found = image_find_server(img, server, strlen(server));

    return found < 0 ? NULL : image_find(img, found, name, strlen(name));
}

const struct image_row *spelling_find_person(const struct request *rq, const char *server,
                                             const char *name, const char **stored)
{
    const struct image *img = rq->loop->image;
    const struct image_row *row = img ? find_row(img, server, name) : NULL;
    const char *names[SPELLINGS_MAX] = {server};
    int n = row || !img ? 0 : spelling_list(rq, server, names);
    int i;

    for (i = 0; !row && i + 1 < n; i++) {
        row = find_row(img, names[i + 1], name);
    }
    if (stored) {
        *stored = row ? names[i] : server;
    }
    return row;
}
