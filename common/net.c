#include "common/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define V4_BYTES  4
#define V6_BYTES  16
#define V4_BITS   32
#define V6_BITS   128
#define CLIENT_V6 8 /* bytes of a /64 */

/* ::ffff:1.2.3.4 becomes 1.2.3.4: a listener on both families shows its clients so. */
static void set_v6(struct net_addr *out, const unsigned char bytes[V6_BYTES])
{
    static const unsigned char MAPPED[V6_BYTES - V4_BYTES] = {[10] = 0xff, [11] = 0xff};

    *out = (struct net_addr){.family = AF_INET6};
    if (memcmp(bytes, MAPPED, sizeof MAPPED) == 0) {
        out->family = AF_INET;
        memcpy(out->bytes, bytes + sizeof MAPPED, V4_BYTES);
    } else {
        memcpy(out->bytes, bytes, V6_BYTES);
    }
}

bool net_parse(const char *text, struct net_addr *out)
{
    unsigned char bytes[V6_BYTES];

    if (inet_pton(AF_INET6, text, bytes) == 1) {
        set_v6(out, bytes);
        return true;
    }
    if (inet_pton(AF_INET, text, bytes) != 1) {
        return false;
    }
    *out = (struct net_addr){.family = AF_INET};
    memcpy(out->bytes, bytes, V4_BYTES);
    return true;
}

bool net_from_sockaddr(const struct sockaddr *sa, struct net_addr *out)
{
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;

    if (sa->sa_family == AF_INET6) {
        set_v6(out, v6->sin6_addr.s6_addr);
    } else if (sa->sa_family == AF_INET) {
        *out = (struct net_addr){.family = AF_INET};
        memcpy(out->bytes, &v4->sin_addr, V4_BYTES);
    } else {
        return false;
    }
    return true;
}

const char *net_text(const struct net_addr *a, char out[NET_TEXT_SIZE])
{
    if (a->family == 0 || !inet_ntop(a->family, a->bytes, out, NET_TEXT_SIZE)) {
        text_copy(out, NET_TEXT_SIZE, "unknown");
    }
    return out;
}

const char *net_client_text(const struct net_addr *a, char out[NET_TEXT_SIZE])
{
    struct net_addr client = *a;
    size_t len;

    if (a->family == AF_INET6) {
        memset(client.bytes + CLIENT_V6, 0, V6_BYTES - CLIENT_V6);
    }
    len = strlen(net_text(&client, out));
    if (a->family == AF_INET6) {
        snprintf(out + len, NET_TEXT_SIZE - len, "/64");
    }
    return out;
}

/* ---- networks ---- */

static int bits_of(int family)
{
    return family == AF_INET ? V4_BITS : V6_BITS;
}

/* Nothing but zeros behind the first `bits`: 10.0.0.1/8 is more likely a mistake than meant. */
static bool is_network(const struct net_addr *a, int bits)
{
    for (int i = bits; i < bits_of(a->family); i++) {
        if (a->bytes[i / 8] & (0x80 >> i % 8)) {
            return false;
        }
    }
    return true;
}

static bool add_network(struct net_list *list, char *text)
{
    char *slash = strchr(text, '/');
    struct net_addr a;
    int64_t bits;

    if (slash) {
        *slash = '\0';
    }
    if (!net_parse(text, &a)) {
        return false;
    }
    bits = bits_of(a.family);
    if (slash && !text_to_i64(slash + 1, 0, bits, &bits)) {
        return false;
    }
    list->at[list->count].addr = a;
    list->at[list->count++].bits = (int)bits;
    return is_network(&a, (int)bits);
}

bool net_list_parse(const char *text, struct net_list *out, struct err *e)
{
    static const char SEPARATORS[] = ", \t";
    char one[NET_TEXT_SIZE];

    out->count = 0;
    for (const char *p = text + strspn(text, SEPARATORS); *p; p += strspn(p, SEPARATORS)) {
        size_t len = strcspn(p, SEPARATORS);

        if (out->count == NET_LIST_MAX) {
            return err_set(e, ERR_PERMANENT, "ConfigError", "more than %d networks", NET_LIST_MAX);
        }
        snprintf(one, sizeof one, "%.*s", (int)(len < sizeof one ? len : sizeof one), p);
        if (len >= sizeof one || !add_network(out, one)) {
            return err_set(e, ERR_PERMANENT, "ConfigError",
                           "\"%.*s\" is neither an IP address nor a network like 10.0.0.0/8",
                           (int)(len < sizeof one ? len : sizeof one), p);
        }
        p += len;
    }
    return true;
}

static bool has_prefix(const struct net_addr *a, const struct net_addr *net, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    int mask = 0xff00 >> rest & 0xff;

    return a->family == net->family && memcmp(a->bytes, net->bytes, (size_t)bytes) == 0 &&
           (rest == 0 || ((a->bytes[bytes] ^ net->bytes[bytes]) & mask) == 0);
}

bool net_list_has(const struct net_list *list, const struct net_addr *a)
{
    for (int i = 0; i < list->count; i++) {
        if (has_prefix(a, &list->at[i].addr, list->at[i].bits)) {
            return true;
        }
    }
    return false;
}

/* ---- X-Forwarded-For ---- */

/* "1.2.3.4", "1.2.3.4:5678", "2001:db8::1", "[2001:db8::1]" or "[2001:db8::1]:443". */
static bool parse_element(const char *s, size_t len, struct net_addr *out)
{
    char text[NET_TEXT_SIZE];
    char *end, *colon;

    if (len == 0 || len >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", (int)len, s);
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
        *end = '\0';
        return net_parse(text + 1, out) && strchr(text + 1, ':');
    }
    colon = strchr(text, ':');
    if (colon && !strchr(colon + 1, ':')) { /* one colon: a port follows */
        *colon = '\0';
    }
    return net_parse(text, out);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool net_step_back(const struct net_list *trusted, const char *forwarded_for, struct net_addr *a)
{
    size_t end = strlen(forwarded_for);

    while (net_list_has(trusted, a)) {
        size_t begin = end, stop = end;
        struct net_addr named;
        bool is_first;

        while (begin > 0 && forwarded_for[begin - 1] != ',') {
            begin--;
        }
        is_first = begin == 0;
        end = is_first ? 0 : begin - 1;
        while (begin < stop && is_space(forwarded_for[begin])) {
            begin++;
        }
        while (stop > begin && is_space(forwarded_for[stop - 1])) {
            stop--;
        }
        if (!parse_element(forwarded_for + begin, stop - begin, &named)) {
            return false;
        }
        *a = named;
        if (is_first) {
            return net_list_has(trusted, a);
        }
    }
    return false;
}
