#include "common/realm.h"

#include <string.h>
#include <strings.h>

/* What people and programs call a server beside the names of the table. */
static const struct {
    const char *alias, *name;
} ALIASES[] = {{"Nezakan", "Nezekan"}};

static const char *undo_alias(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++) {
        if (strcasecmp(ALIASES[i].alias, name) == 0) {
            return ALIASES[i].name;
        }
    }
    return name;
}

static bool is_called(const struct realm *r, const char *name)
{
    return strcasecmp(r->name, name) == 0 || strcasecmp(r->local_name, name) == 0;
}

const struct realm *realm_find(const char *region, const char *name)
{
    name = undo_alias(name);
    for (size_t i = 0; i < REALM_COUNT; i++) {
        const struct realm *r = &REALMS[i];

        if (strcmp(r->region, region) == 0 && is_called(r, name)) {
            return r;
        }
    }
    return NULL;
}

const char *realm_canonical(const char *name)
{
    name = undo_alias(name);
    for (size_t i = 0; i < REALM_COUNT; i++) {
        if (is_called(&REALMS[i], name)) {
            return REALMS[i].name;
        }
    }
    return NULL;
}

static int add_spelling(const char *out[], int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(out[i], name) == 0) {
            return n;
        }
    }
    MUST(n < REALM_SPELLINGS_MAX);
    out[n] = name;
    return n + 1;
}

int realm_spellings(const char *region, const char *name, const char *out[REALM_SPELLINGS_MAX])
{
    const struct realm *r = realm_find(region, name);
    int n = 0;

    if (!r) {
        return add_spelling(out, n, name);
    }
    n = add_spelling(out, n, r->name);
    n = add_spelling(out, n, r->local_name);
    for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++) {
        if (strcmp(ALIASES[i].name, r->name) == 0) {
            n = add_spelling(out, n, ALIASES[i].alias);
        }
    }
    return n;
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
