#include "worker/failures.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define HOLD (2 * FAILURES_MAX) /* sorted and cut when this many are held */

void failures_init(struct failures *f)
{
    *f = (struct failures){.id_limit = INT64_MAX};
}

void failures_fini(struct failures *f)
{
    for (uint32_t i = 0; i < f->server_count; i++) {
        free(f->servers[i].name);
    }
    free(f->servers);
    free(f->at);
    failures_init(f);
}

static int by_id(const void *a, const void *b)
{
    const struct failure *x = a;
    const struct failure *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

void failures_settle(struct failures *f)
{
    if (f->count > 0) {
        qsort(f->at, f->count, sizeof *f->at, by_id);
    }
    if (f->count > FAILURES_MAX) {
        f->count = FAILURES_MAX;
        f->id_limit = f->at[FAILURES_MAX - 1].id;
    }
}

bool failures_add(struct failures *f, const struct failure *one)
{
    if (one->id > f->id_limit) {
        return true;
    }
    if (!f->at) {
        f->at = mem_try_array(HOLD, sizeof *f->at);
        if (!f->at) {
            return false;
        }
    }
    f->at[f->count++] = *one;
    if (f->count == HOLD) {
        failures_settle(f);
    }
    return true;
}

void failures_drop_server(struct failures *f, const char *server)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < f->count; i++) {
        if (strcmp(f->at[i].server, server) != 0) {
            f->at[kept++] = f->at[i];
        }
    }
    f->count = kept;
}

struct failed_server *failures_add_server(struct failures *f, const char *name, size_t len)
{
    struct failed_server *bigger =
        mem_try_resize(f->servers, (size_t)f->server_count + 1, sizeof *bigger);
    char *copy = mem_try_array(len + 1, 1);

    if (bigger) {
        f->servers = bigger;
    }
    if (!bigger || !copy) {
        free(copy);
        return NULL;
    }
    memcpy(copy, name, len);
    f->servers[f->server_count] = (struct failed_server){.name = copy, .name_len = len};
    return &f->servers[f->server_count++];
}

bool failures_has_server(const struct failures *f, const char *name, size_t len)
{
    for (uint32_t i = 0; i < f->server_count; i++) {
        if (f->servers[i].name_len == len && memcmp(f->servers[i].name, name, len) == 0) {
            return true;
        }
    }
    return false;
}
