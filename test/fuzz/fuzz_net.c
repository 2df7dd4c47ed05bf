/* Networks of TRUSTED_PROXIES and the X-Forwarded-For header: the first line is the list. */

#include <stdlib.h>
#include <string.h>

#include "common/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const char *text)
{
    struct net_list list;
    struct err e = {0};

    if (!net_list_parse(text, &list, &e)) {
        MUST(*e.text);
        return;
    }
    MUST(list.count <= NET_LIST_MAX);
    for (int i = 0; i < list.count; i++) {
        MUST(net_list_has(&list, &list.at[i].addr)); /* a network holds its own address */
    }
}

/* Whatever a client writes: it is believed only behind a proxy, and never further than it goes. */
static void check_header(const char *header)
{
    struct net_list proxies;
    struct net_addr near, far;
    char text[NET_TEXT_SIZE];
    struct err e;

    MUST(net_list_parse("10.0.0.0/8, fd00::/8", &proxies, &e));
    MUST(net_parse("10.0.0.1", &near) && net_parse("1.2.3.4", &far));
    MUST(net_step_back(&proxies, header, &near) == net_list_has(&proxies, &near) ||
         net_list_has(&proxies, &near));
    MUST(*net_client_text(&near, text));
    MUST(!net_step_back(&proxies, header, &far));
    MUST(strcmp(net_client_text(&far, text), "1.2.3.4") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1); /* of its own, so that reading past the end is seen */
    char *line;

    MUST(s);
    memcpy(s, data, size);
    s[size] = '\0';
    line = strchr(s, '\n');
    check_header(s);
    check_header(line ? line + 1 : "");
    if (line) {
        *line = '\0';
    }
    check_list(s);
    free(s);
    return 0;
}
