#include "common/peers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/mem.h"

#define SLOTS_MIN 256u
#define NETWORK_6 8 /* bytes of an IPv6 address that say whose it is */

struct slot {
    struct net_addr key;
    unsigned count; /* 0: free */
};

struct peers {
    pthread_mutex_t lock;
    unsigned each;
    const struct net_list *exempt;
    uint64_t seed; /* so that nobody can choose addresses that meet in one place */
    size_t mask;
    struct slot *slots; /* at least twice as many as there can be connections */
};

struct peers *peers_new(unsigned each, unsigned all, const struct net_list *exempt)
{
    struct peers *p = mem_alloc(sizeof *p);
    size_t slots = SLOTS_MIN;

    while (slots < (size_t)all * 2) {
        slots *= 2;
    }
    p->each = each;
    p->exempt = exempt;
    p->mask = slots - 1;
    p->slots = mem_alloc(slots * sizeof *p->slots);
    MUST(getrandom(&p->seed, sizeof p->seed, 0) == sizeof p->seed);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void peers_free(struct peers *p)
{
    if (p) {
        pthread_mutex_destroy(&p->lock);
        free(p->slots);
        free(p);
    }
}

/* A proxy of this machine, as most are. */
static bool is_local(const struct net_addr *a)
{
    static const struct net_addr LOCAL[] = {{AF_INET, {127, 0, 0, 1}}, {AF_INET6, {[15] = 1}}};

    return memcmp(a, &LOCAL[0], sizeof *a) == 0 || memcmp(a, &LOCAL[1], sizeof *a) == 0;
}

/* Whom a connection counts for; of family 0: nobody. */
static struct net_addr key_of(const struct peers *p, const struct sockaddr *sa)
{
    struct net_addr a = {.family = 0}, nobody = {.family = 0};

    if (!net_from_sockaddr(sa, &a) || is_local(&a) || (p->exempt && net_list_has(p->exempt, &a))) {
        return nobody;
    }
    if (a.family == AF_INET6) {
        memset(a.bytes + NETWORK_6, 0, sizeof a.bytes - NETWORK_6);
    }
    return a;
}

static size_t home_of(const struct peers *p, const struct net_addr *key)
{
    uint64_t half[2], h;

    memcpy(half, key->bytes, sizeof half);
    h = (half[0] ^ p->seed) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 32) ^ half[1]) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 29) ^ p->seed) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(h >> 32) & p->mask;
}

/* The slot of the key, or the free one where it belongs. NULL: none is free. */
static struct slot *find(const struct peers *p, const struct net_addr *key)
{
    size_t home = home_of(p, key);

    for (size_t i = 0; i <= p->mask; i++) {
        struct slot *s = &p->slots[(home + i) & p->mask];

        if (s->count == 0 || memcmp(&s->key, key, sizeof *key) == 0) {
            return s;
        }
    }
    return NULL;
}

bool peers_add(struct peers *p, const struct sockaddr *sa, struct net_addr *key)
{
    struct slot *s;
    bool has_room;

    *key = key_of(p, sa);
    if (key->family == 0) {
        return true;
    }
    pthread_mutex_lock(&p->lock);
    s = find(p, key);
    has_room = s && s->count < p->each;
    if (has_room) {
        s->key = *key;
        s->count++;
    }
    pthread_mutex_unlock(&p->lock);
    return has_room;
}

/* Closes the gap: whoever was pushed past it moves back. */
static void close_gap(struct peers *p, size_t gap)
{
    for (size_t i = (gap + 1) & p->mask; p->slots[i].count > 0; i = (i + 1) & p->mask) {
        size_t home = home_of(p, &p->slots[i].key);

        if (((i - home) & p->mask) >= ((i - gap) & p->mask)) {
            p->slots[gap] = p->slots[i];
            p->slots[i].count = 0;
            gap = i;
        }
    }
}

void peers_remove(struct peers *p, const struct net_addr *key)
{
    struct slot *s;

    if (key->family == 0) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    s = find(p, key);
    MUST(s && s->count > 0);
    if (--s->count == 0) {
        close_gap(p, (size_t)(s - p->slots));
    }
    pthread_mutex_unlock(&p->lock);
}
