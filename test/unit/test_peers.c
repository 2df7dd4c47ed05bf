#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/peers.h"

static bool add(struct peers *p, const char *address, struct net_addr *key)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;

    if (strchr(address, ':')) {
        sa.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
    } else {
        sa.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, address, &v4->sin_addr), 1);
    }
    return peers_add(p, (struct sockaddr *)&sa, key);
}

static void test_each_has_its_share(void **state)
{
    struct peers *p = peers_new(3, 100, NULL);
    struct net_addr key[3], other, refused;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(add(p, "203.0.113.7", &key[i]));
    }
    assert_false(add(p, "203.0.113.7", &refused));
    assert_false(add(p, "::ffff:203.0.113.7", &refused)); /* the same, seen by another socket */
    assert_true(add(p, "203.0.113.8", &other));
    peers_remove(p, &key[1]);
    assert_true(add(p, "::ffff:203.0.113.7", &key[1]));
    assert_false(add(p, "203.0.113.7", &refused));
    for (int i = 0; i < 3; i++) {
        peers_remove(p, &key[i]);
    }
    peers_remove(p, &other);
    assert_true(add(p, "203.0.113.7", &key[0]));
    peers_free(p);
}

static void test_an_ipv6_network_is_one(void **state)
{
    struct peers *p = peers_new(1, 100, NULL);
    struct net_addr key;

    (void)state;
    assert_true(add(p, "2001:db8:1:2::1", &key));
    assert_false(add(p, "2001:db8:1:2:ffff::9", &key));
    assert_true(add(p, "2001:db8:1:3::1", &key));
    peers_free(p);
}

static void test_who_is_not_counted(void **state)
{
    static const char *const LOCAL[] = {"127.0.0.1", "::1", "::ffff:127.0.0.1"};
    struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
    struct peers *p = peers_new(1, 100, NULL);
    struct net_addr key;

    (void)state;
    for (int i = 0; i < 30; i++) {
        assert_true(add(p, LOCAL[i % 3], &key));
        assert_false(key.family != 0);
        if (i % 2) {
            peers_remove(p, &key); /* does nothing */
        }
        assert_true(peers_add(p, (struct sockaddr *)&unix_address, &key));
        assert_false(key.family != 0);
    }
    assert_true(add(p, "127.0.0.2", &key));
    assert_true(key.family != 0);
    assert_false(add(p, "127.0.0.2", &key));
    peers_free(p);
}

static void test_proxies_are_not_counted(void **state)
{
    struct net_list proxies = {0};
    struct net_addr key;
    struct peers *p = peers_new(1, 100, &proxies);
    struct err e;

    (void)state;
    assert_true(net_list_parse("10.0.0.0/8, 2001:db8::7", &proxies, &e));
    for (int i = 0; i < 5; i++) {
        assert_true(add(p, "10.1.2.3", &key));
        assert_int_equal(key.family, 0);
        assert_true(add(p, "2001:db8::7", &key));
    }
    assert_true(add(p, "2001:db8::8", &key));
    assert_false(add(p, "2001:db8::9", &key));
    peers_free(p);
}

/* As many as there may be come and go in any order; a plain array of counts says what must be. */
static void test_many_come_and_go(void **state)
{
    enum { ADDRESSES = 400, PLACES = 300, EACH = 4, STEPS = 200000 };
    struct peers *p = peers_new(EACH, PLACES, NULL);
    static struct net_addr held[PLACES];
    static int whose[PLACES], counts[ADDRESSES];
    int taken = 0;
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        int n;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        n = (int)(x % ADDRESSES);
        if (taken < PLACES && x >> 40 & 3) {
            char text[32];

            snprintf(text, sizeof text, "10.%d.0.%d", n / 200, n % 200 + 1);
            assert_int_equal(add(p, text, &held[taken]), counts[n] < EACH);
            if (counts[n] < EACH) {
                whose[taken++] = n;
                counts[n]++;
            }
        } else if (taken > 0) {
            int which = (int)((x >> 20) % (uint64_t)taken);

            peers_remove(p, &held[which]);
            counts[whose[which]]--;
            held[which] = held[--taken];
            whose[which] = whose[taken];
        }
    }
    while (taken > 0) {
        peers_remove(p, &held[--taken]);
    }
    peers_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_has_its_share), cmocka_unit_test(test_an_ipv6_network_is_one),
        cmocka_unit_test(test_who_is_not_counted), cmocka_unit_test(test_proxies_are_not_counted),
        cmocka_unit_test(test_many_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
