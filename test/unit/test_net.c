#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "common/net.h"

static struct net_addr addr(const char *text)
{
    struct net_addr a;

    assert_true(net_parse(text, &a));
    return a;
}

static void test_clients(void **state)
{
    static const struct {
        const char *text, *client;
    } CASES[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"::ffff:1.2.3.4", "1.2.3.4"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2::", "2001:db8:1:2::/64"},
        {"::1", "::/64"},
    };
    char text[NET_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct net_addr a = addr(CASES[i].text);

        assert_string_equal(net_client_text(&a, text), CASES[i].client);
    }
    assert_string_equal(net_client_text(&(struct net_addr){0}, text), "unknown");
    assert_string_equal(net_text(&(struct net_addr){0}, text), "unknown");
    assert_string_equal(net_text(&(struct net_addr){AF_INET, {1, 2, 3, 4}}, text), "1.2.3.4");
    assert_string_equal(net_text(&(struct net_addr){AF_INET6, {[15] = 1}}, text), "::1");
}

static void test_sockaddrs(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x01020304)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct net_addr a, b;

    (void)state;
    assert_true(net_from_sockaddr((const struct sockaddr *)&v4, &a));
    b = addr("1.2.3.4");
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(net_from_sockaddr((const struct sockaddr *)&v6, &a));
    b = addr("::1");
    assert_memory_equal(&a, &b, sizeof a);
    assert_false(net_from_sockaddr(&other, &a));
}

static void test_lists(void **state)
{
    static const struct {
        const char *list;
        bool ok;
        int count;
    } CASES[] = {
        {"", true, 0},
        {" , ", true, 0},
        {"127.0.0.1", true, 1},
        {"127.0.0.1,10.0.0.0/8 ::1\tfd00::/8", true, 4},
        {"0.0.0.0/0", true, 1},
        {"::/0", true, 1},
        {"10.0.0.1/8", false, 0},
        {"10.0.0.0/33", false, 0},
        {"10.0.0.0/-1", false, 0},
        {"10.0.0.0/", false, 0},
        {"10.0.0.0/8/8", false, 0},
        {"fd00::1/127", false, 0},
        {"10.0.0", false, 0},
        {"localhost", false, 0},
        {"2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000:0000:0000", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct net_list list;
        struct err e = {0};

        if (net_list_parse(CASES[i].list, &list, &e) != CASES[i].ok) {
            fail_msg("\"%s\": %s", CASES[i].list, e.text);
        }
        if (CASES[i].ok) {
            assert_int_equal(list.count, CASES[i].count);
        }
    }
}

static void test_a_list_is_bounded(void **state)
{
    char text[10 * (NET_LIST_MAX + 1) + 1] = "";
    struct net_list list;
    struct err e;

    (void)state;
    for (int i = 0; i < NET_LIST_MAX; i++) {
        strcat(text, "10.0.0.1,");
    }
    assert_true(net_list_parse(text, &list, &e));
    assert_int_equal(list.count, NET_LIST_MAX);
    strcat(text, "10.0.0.1");
    assert_false(net_list_parse(text, &list, &e));
}

static void test_members(void **state)
{
    static const struct {
        const char *list, *text;
        bool in;
    } CASES[] = {
        {"", "1.2.3.4", false},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"0.0.0.0/0", "255.1.1.1", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "1.1.1.1", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"fd00:1::/33", "fd00:1:7fff::", true},
        {"fd00:1::/33", "fd00:1:8000::", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct net_addr a = addr(CASES[i].text);
        struct net_list list;
        struct err e;

        assert_true(net_list_parse(CASES[i].list, &list, &e));
        if (net_list_has(&list, &a) != CASES[i].in) {
            fail_msg("%s in \"%s\"", CASES[i].text, CASES[i].list);
        }
    }
}

/* Proxies 10.x and ::1; more: another header before this one would be read. */
static void test_steps(void **state)
{
    static const struct {
        const char *peer, *header, *client;
        bool more;
    } CASES[] = {
        {"5.5.5.5", "9.9.9.9", "5.5.5.5", false}, /* nobody we trust: it may say what it likes */
        {"10.0.0.1", "9.9.9.9", "9.9.9.9", false},
        {"10.0.0.1", "  9.9.9.9\t", "9.9.9.9", false},
        {"10.0.0.1", "1.1.1.1, 9.9.9.9", "9.9.9.9", false}, /* the left one is anybody's claim */
        {"10.0.0.1", "9.9.9.9,10.0.0.2", "9.9.9.9", false},
        {"10.0.0.1", "9.9.9.9, 10.0.0.3 ,10.0.0.2", "9.9.9.9", false},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", true},
        {"::1", "2001:db8::5", "2001:db8::5", false},
        {"10.0.0.1", "[2001:db8::5]", "2001:db8::5", false},
        {"10.0.0.1", "[2001:db8::5]:443", "2001:db8::5", false},
        {"10.0.0.1", "9.9.9.9:1234", "9.9.9.9", false},
        {"10.0.0.1", "::ffff:9.9.9.9", "9.9.9.9", false},
        {"10.0.0.1", "", "10.0.0.1", false},
        {"10.0.0.1", ",", "10.0.0.1", false},
        {"10.0.0.1", "9.9.9.9,", "10.0.0.1", false},
        {"10.0.0.1", ",9.9.9.9", "9.9.9.9", false},
        {"10.0.0.1", ",10.0.0.2", "10.0.0.2", false},
        {"10.0.0.1", "unknown", "10.0.0.1", false},
        {"10.0.0.1", "8.8.8.8, unknown, 10.0.0.2", "10.0.0.2", false},
        {"10.0.0.1", "_hidden", "10.0.0.1", false},
        {"10.0.0.1", "[9.9.9.9]", "10.0.0.1", false},
        {"10.0.0.1", "[2001:db8::5", "10.0.0.1", false},
        {"10.0.0.1", "[2001:db8::5]x", "10.0.0.1", false},
        {"10.0.0.1", "\"9.9.9.9\"", "10.0.0.1", false},
        {"10.0.0.1", "9.9.9.9 8.8.8.8", "10.0.0.1", false},
        {"10.0.0.1", "2001:db8:0000:0000:0000:0000:0000:0005%eth0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "10.0.0.1", false},
    };
    struct net_list proxies;
    struct err e;

    (void)state;
    assert_true(net_list_parse("10.0.0.0/8,::1", &proxies, &e));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct net_addr a = addr(CASES[i].peer), client = addr(CASES[i].client);

        if (net_step_back(&proxies, CASES[i].header, &a) != CASES[i].more) {
            fail_msg("\"%s\": wrong end", CASES[i].header);
        }
        if (memcmp(&a, &client, sizeof a) != 0) {
            fail_msg("\"%s\": not %s", CASES[i].header, CASES[i].client);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients), cmocka_unit_test(test_sockaddrs),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_a_list_is_bounded),
        cmocka_unit_test(test_members), cmocka_unit_test(test_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
