#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "api/admin/route.h"

/*
 * Segment by segment and byte by byte: nothing is decoded or tidied up before, so there is one
 * spelling of an address, and "//", "/./" or "%2f" are other ones that do not exist.
 */
bool admin_path_matches(const char *pattern, const char *path,
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
        if (have == 0 && want > 0) {
            return false; /* "/" is an address, an empty segment of another one is not */
        }
        pattern += 1 + want;
        path += 1 + have;
    }
    return *pattern == *path;
}

bool admin_is_near_host(const char *host)
{
    char name[INET_ADDRSTRLEN];
    struct in_addr addr;
    size_t len = strcspn(host, ":");

    if (host[0] == '[' || !memchr(host, '.', len)) {
        return true;
    }
    snprintf(name, sizeof name, "%.*s", (int)len, host);
    return len < sizeof name && inet_pton(AF_INET, name, &addr) == 1;
}
