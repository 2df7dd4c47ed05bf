#include "common/realm.h"

#include <string.h>
#include <strings.h>

const struct realm *realm_find(const char *region, const char *name)
{
    for (size_t i = 0; i < REALM_COUNT; i++) {
        const struct realm *r = &REALMS[i];

        if (strcmp(r->region, region) == 0 &&
            (strcasecmp(r->name, name) == 0 || strcasecmp(r->local_name, name) == 0)) {
            return r;
        }
    }
    return NULL;
}

const struct realm *realm_by_id(const char *region, int server_id)
{
    for (size_t i = 0; i < REALM_COUNT; i++) {
        if (REALMS[i].server_id == server_id && strcmp(REALMS[i].region, region) == 0) {
            return &REALMS[i];
        }
    }
    return NULL;
}

bool realm_is_region(const char *region)
{
    for (size_t i = 0; i < REALM_COUNT; i++) {
        if (strcmp(REALMS[i].region, region) == 0) {
            return true;
        }
    }
    return false;
}
