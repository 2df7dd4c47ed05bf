/* REDIS_URL: the bytes as they are, and after each scheme. */

#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/rds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *url)
{
    struct rds_addr a;
    struct err e = {.text = ""};
    char text[RDS_TEXT_SIZE];
    bool ok = rds_parse_url(url, &a, &e);

    MUST(ok || e.text[0] != '\0');
    if (!ok) {
        return;
    }
    /* Exactly one way leads there. */
    MUST((a.host[0] != '\0') + (a.path[0] != '\0') + (a.master[0] != '\0') == 1);
    MUST((a.master[0] != '\0') == (a.sentinel_count > 0));
    MUST(a.sentinel_count <= RDS_SENTINELS_MAX && a.db >= 0);
    for (int i = 0; i < a.sentinel_count; i++) {
        MUST(a.sentinels[i].host[0] && a.sentinels[i].port > 0 && a.sentinels[i].port < 65536);
    }
    rds_addr_text(&a, text);
    MUST(memchr(text, '\0', sizeof text));
    conf_mask_url(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const SCHEMES[] = {"", "redis://", "unix:///", "redis+sentinel://",
                                          "redis+sentinel://u:p@h:1,h/"};
    char *url = malloc(size + 64);

    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        size_t n = strlen(SCHEMES[i]);

        memcpy(url, SCHEMES[i], n);
        memcpy(url + n, data, size);
        url[n + size] = '\0';
        parse(url);
    }
    free(url);
    return 0;
}
