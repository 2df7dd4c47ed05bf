#ifndef COMMON_REALM_H
#define COMMON_REALM_H

#include "common/base.h"

/*
 * The game's servers. A deployment serves one region ("kr", "tw", "nae", "naw", "eu", "la", "as"):
 * the same number and the same name are different worlds in different regions. Players write a
 * server's name in their language or in English; stored is always the canonical English one.
 */
struct realm {
    const char *region;
    int server_id; /* of the site; 1xxx Elyos, 2xxx Asmodian */
    const char *name;
    const char *local_name; /* the same as name where the site is English */
};
extern const struct realm REALMS[];
extern const size_t REALM_COUNT;

/*
 * By any of its names (ASCII letters in any case) within a region: those of the table, or one that
 * is still in use ("Nezakan", which the site spells Nezekan). NULL: none of ours.
 */
const struct realm *realm_find(const char *region, const char *name);

/*
 * The canonical name of a server of whichever region: no local name means different servers in two
 * of them. NULL: none of ours.
 */
const char *realm_canonical(const char *name);

/*
 * Every name under which characters of a server may be stored, the canonical one first: what is
 * stored comes from other programs, too. Of a name that is not known, that name alone. Returns how
 * many; they are static texts, or `name` itself.
 */
#define REALM_SPELLINGS_MAX 4
int realm_spellings(const char *region, const char *name, const char *out[REALM_SPELLINGS_MAX]);
const struct realm *realm_by_id(const char *region, int server_id);
bool realm_is_region(const char *region);

#endif
