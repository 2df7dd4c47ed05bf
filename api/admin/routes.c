#include "api/admin/route.h"

#include <string.h>

const struct admin_routes *const ADMIN_ROUTES[] = {
    &ADMIN_ROUTES_SELF,   &ADMIN_ROUTES_BATCHES, &ADMIN_ROUTES_SERVERS, &ADMIN_ROUTES_SCHEDULES,
    &ADMIN_ROUTES_QUEUES, &ADMIN_ROUTES_LETTERS, &ADMIN_ROUTES_WORKERS, &ADMIN_ROUTES_OVERVIEW};
const size_t ADMIN_ROUTES_COUNT = ARRAY_LEN(ADMIN_ROUTES);

/*
 * Segment by segment and byte by byte: nothing is decoded or tidied up before, so there is one
 * spelling of an address, and "//", "/./" or "%2f" are other ones that do not exist.
 */
static bool matches(const char *pattern, const char *path,
                    struct admin_segment ids[ADMIN_PATH_IDS_MAX])
{
    size_t n = 0;

    while (*pattern && *path) {
        size_t want = strcspn(pattern + 1, "/"), have = strcspn(path + 1, "/");

        if (*pattern != '/' || *path != '/') {
            return false;
        }
        if (pattern[1] == '{') {
            MUST(n < ADMIN_PATH_IDS_MAX);
            ids[n++] = (struct admin_segment){path + 1, have};
        } else if (want != have || memcmp(pattern + 1, path + 1, want) != 0) {
            return false;
        }
        if (have == 0) {
            return false;
        }
        pattern += 1 + want;
        path += 1 + have;
    }
    return *pattern == *path;
}

const struct admin_route *admin_route_find(const char *path, enum evhttp_cmd_type method,
                                           unsigned *methods,
                                           struct admin_segment ids[ADMIN_PATH_IDS_MAX])
{
    const struct admin_route *found = NULL;
    struct admin_segment seen[ADMIN_PATH_IDS_MAX];

    *methods = 0;
    for (size_t t = 0; t < ADMIN_ROUTES_COUNT; t++) {
        for (size_t i = 0; i < ADMIN_ROUTES[t]->count; i++) {
            const struct admin_route *r = &ADMIN_ROUTES[t]->rows[i];

            if (!matches(r->path, path, seen)) {
                continue;
            }
            *methods |= r->method;
            if (r->method == method && !found) {
                found = r;
                memcpy(ids, seen, sizeof seen);
            }
        }
    }
    return found;
}

size_t admin_route_ids(const struct admin_route *r)
{
    size_t n = 0;

    for (const char *p = r->path; (p = strchr(p, '{')) != NULL; p++) {
        n++;
    }
    return n;
}
