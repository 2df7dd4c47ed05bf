#include "api/admin/route.h"

#include <string.h>

const struct admin_routes *const ADMIN_ROUTES[] = {
    &ADMIN_ROUTES_SELF,      &ADMIN_ROUTES_BATCHES,  &ADMIN_ROUTES_SERVERS,
    &ADMIN_ROUTES_SCHEDULES, &ADMIN_ROUTES_QUEUES,   &ADMIN_ROUTES_LETTERS,
    &ADMIN_ROUTES_WORKERS,   &ADMIN_ROUTES_OVERVIEW, &ADMIN_ROUTES_PAGES};
const size_t ADMIN_ROUTES_COUNT = ARRAY_LEN(ADMIN_ROUTES);

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

            if (!admin_path_matches(r->path, path, seen)) {
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
