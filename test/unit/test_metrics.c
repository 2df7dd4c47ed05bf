/* Counting, and the two formats that Prometheus reads. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/metrics.h"

enum { M_DONE, M_NOW, M_TIME, M_PAIR, M_COUNT };

static const char *const COLOURS[] = {"red", "say \"hi\"\\\n", "other"};
static const char *const SIZES[] = {"s", "l"};
static const struct metric_label COLOUR = {"colour", COLOURS, 3};
static const struct metric_label SIZE = {"size", SIZES, 2};
static const int64_t BOUNDS[] = {50, 1000, 2000000};
static const struct metric_buckets FEW = {BOUNDS, 3};

static const struct metric TABLE[M_COUNT] = {
    [M_DONE] = {"t_done_total", METRIC_COUNTER, METRIC_ONE, "Done", {&COLOUR}, NULL},
    [M_NOW] = {"t_now_seconds", METRIC_GAUGE, METRIC_US, "Now\nand \\ then", {NULL}, NULL},
    [M_TIME] = {"t_time_seconds", METRIC_HISTOGRAM, METRIC_US, "Time", {NULL}, &FEW},
    [M_PAIR] = {"t_pair_total", METRIC_COUNTER, METRIC_ONE, "Pair", {&COLOUR, &SIZE}, NULL},
};

/* Groups are registered for good, so one for all tests. */
static struct metric_group group = {TABLE, M_COUNT, NULL};
static struct metric_group shared = {TABLE, M_COUNT, NULL};
static int shared_fd;

static char *show(enum metrics_format format)
{
    struct buf b;

    buf_init(&b, MIB);
    metrics_print(&b, format);
    return buf_take(&b, NULL);
}

static void assert_shown(const char *line)
{
    char *text = show(METRICS_TEXT), whole[200];

    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(text, whole)) {
        print_error("%s is not in\n%s", line, text);
        fail();
    }
    free(text);
}

static void test_before_registration_nothing_happens(void **state)
{
    struct metric_group nobody = {TABLE, M_COUNT, NULL};

    (void)state;
    metrics_add(&nobody, M_DONE, 0, 1);
    metrics_set(&nobody, M_NOW, 0, 1);
    metrics_observe(&nobody, M_TIME, 0, 1);
    assert_null(nobody.cells);
}

static void test_counters(void **state)
{
    (void)state;
    metrics_add(&group, M_DONE, 0, 2);
    metrics_add(&group, M_DONE, 0, 3);
    metrics_add(&group, M_DONE, 1, 1);
    assert_shown("t_done_total{colour=\"red\"} 5");
    assert_shown("t_done_total{colour=\"say \\\"hi\\\"\\\\\\n\"} 1");
    assert_shown("t_done_total{colour=\"other\"} 0");
}

static void test_two_labels(void **state)
{
    (void)state;
    metrics_add(&group, M_PAIR, 2 * SIZE.count + 1, 7);
    assert_shown("t_pair_total{colour=\"other\",size=\"l\"} 7");
    assert_shown("t_pair_total{colour=\"red\",size=\"l\"} 0");
}

static void test_a_gauge_is_shown_once_it_is_known(void **state)
{
    char *text = show(METRICS_TEXT);

    (void)state;
    assert_null(strstr(text, "\nt_now_seconds "));
    assert_non_null(strstr(text, "# HELP t_now_seconds Now\\nand \\\\ then\n"));
    free(text);
    metrics_set(&group, M_NOW, 0, 1500000);
    assert_shown("t_now_seconds 1.500000");
    metrics_set(&group, M_NOW, 0, -2000001);
    assert_shown("t_now_seconds -2.000001");
    metrics_set(&group, M_NOW, 0, METRIC_UNKNOWN);
    text = show(METRICS_TEXT);
    assert_null(strstr(text, "\nt_now_seconds "));
    free(text);
}

static void test_histograms(void **state)
{
    static const int64_t VALUES[] = {0, -5, 50, 51, 1000, 2000001};

    (void)state;
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        metrics_observe(&group, M_TIME, 0, VALUES[i]);
    }
    assert_shown("t_time_seconds_bucket{le=\"0.00005\"} 3");
    assert_shown("t_time_seconds_bucket{le=\"0.001\"} 5");
    assert_shown("t_time_seconds_bucket{le=\"2\"} 5");
    assert_shown("t_time_seconds_bucket{le=\"+Inf\"} 6");
    assert_shown("t_time_seconds_sum 2.001102");
    assert_shown("t_time_seconds_count 6");
}

static void test_openmetrics(void **state)
{
    char *text = show(METRICS_OPEN);
    size_t len = strlen(text);

    (void)state;
    assert_non_null(strstr(text, "# TYPE t_done counter\nt_done_total{"));
    assert_string_equal(text + len - 6, "# EOF\n");
    free(text);
}

static void test_which_format_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(metrics_negotiate(NULL), METRICS_TEXT);
    assert_int_equal(metrics_negotiate("text/plain;version=0.0.4"), METRICS_TEXT);
    assert_int_equal(metrics_negotiate("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
                     METRICS_OPEN);
}

static void test_the_place_of_a_value(void **state)
{
    (void)state;
    assert_int_equal(metrics_series(&COLOUR, "red"), 0);
    assert_int_equal(metrics_series(&COLOUR, "no colour at all"), 2);
}

#define THREADS 4
#define TIMES   20000

static void *count_a_lot(void *arg)
{
    metrics_use_shard((unsigned)(size_t)arg);
    for (int i = 0; i < TIMES; i++) {
        metrics_add(&group, M_PAIR, 0, 1);
        metrics_observe(&group, M_TIME, 0, 5000000);
    }
    return NULL;
}

/* Shard 9 does not exist: it counts where everybody else does. */
static void test_threads_lose_nothing(void **state)
{
    static const size_t SHARDS[THREADS] = {1, 2, 0, 9};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_a_lot, (void *)SHARDS[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_shown("t_pair_total{colour=\"red\",size=\"s\"} 80000");
    assert_shown("t_time_seconds_count 80006");
}

static void test_processes_count_together(void **state)
{
    struct metric_group mine = {TABLE, M_COUNT, NULL};
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        bool ok = metrics_attach(&mine, shared_fd);

        metrics_add(&mine, M_DONE, 2, 11);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_shown("t_done_total{colour=\"other\"} 11");
}

static void test_strange_memory_is_refused(void **state)
{
    struct metric_group mine = {TABLE, M_COUNT, NULL};
    FILE *f = tmpfile();

    (void)state;
    assert_false(metrics_attach(&mine, -1));
    assert_false(metrics_attach(&mine, fileno(f)));
    assert_null(mine.cells);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    metrics_register(&group, 3);
    shared_fd = metrics_register_shared(&shared);
    return shared_fd < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_registration_nothing_happens),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_two_labels),
        cmocka_unit_test(test_a_gauge_is_shown_once_it_is_known),
        cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_which_format_is_asked_for),
        cmocka_unit_test(test_the_place_of_a_value),
        cmocka_unit_test(test_threads_lose_nothing),
        cmocka_unit_test(test_processes_count_together),
        cmocka_unit_test(test_strange_memory_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
