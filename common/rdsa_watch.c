#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/rdsa_parts.h"

/*
 * When Sentinels are told to fail over, the old master stays alive, and for some ten seconds takes
 * writes that are lost afterwards. So we listen to all of them, and look again where the master is
 * when one tells of a change or has just been reached.
 */
struct rdsa_watch {
    struct rds_addr addrs[RDS_SENTINELS_MAX];
    struct rdsa *conns[RDS_SENTINELS_MAX];
    int count;
};

static const char *const CHANNELS[] = {"+switch-master"};

static void on_reached(void *ctx)
{
    rdsa_look_again(ctx);
}

/* "<name> <old host> <old port> <new host> <new port>" */
static void on_switch(void *ctx, UNUSED const char *channel, const char *bytes, size_t len)
{
    struct rdsa *c = ctx;
    size_t n = strlen(c->cf.addr->master);

    if (len > n && bytes[n] == ' ' && memcmp(bytes, c->cf.addr->master, n) == 0) {
        rdsa_look_again(c);
    }
}

struct rdsa_watch *rdsa_watch_start(struct rdsa *c)
{
    const struct rds_addr *a = c->cf.addr;
    struct rdsa_watch *w = mem_alloc(sizeof *w);

    w->count = a->sentinel_count;
    for (int i = 0; i < w->count; i++) {
        struct rdsa_config cf = {.base = c->cf.base,
                                 .addr = &w->addrs[i],
                                 .role = "sentinel",
                                 .quiet = true,
                                 .on_up = on_reached,
                                 .channels = CHANNELS,
                                 .channel_count = ARRAY_LEN(CHANNELS),
                                 .on_message = on_switch,
                                 .ctx = c};

        rds_sentinel_addr(a, i, &w->addrs[i]);
        w->conns[i] = rdsa_new(&cf);
    }
    return w;
}

void rdsa_watch_free(struct rdsa_watch *w)
{
    for (int i = 0; w && i < w->count; i++) {
        rdsa_free(w->conns[i]);
    }
    free(w);
}
