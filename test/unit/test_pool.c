/* The pool with real children: this program is its own child when it is started with --child. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>
#include <signal.h>

#include "common/clock.h"
#include "worker/child.h"
#include "worker/pool.h"

enum { JOBS_MAX = 4096, WAIT_MS = 20000 };

static struct settings SETTINGS = {.test_tasks = true, .log_level = "warn"};

/* What has been heard of each job. */
struct heard {
    int begun, ended;
    int pid;
    enum pool_end end;
    bool ok;
    char value[64];
    char text[256]; /* the frame, or the log's tail */
    int signal;
    int64_t limit_ms;
};

static struct lab {
    struct event_base *base;
    struct pool *pool;
    uint64_t last; /* job given */
    int ended;
    struct heard jobs[JOBS_MAX];
} lab;

static void on_begin(void *ctx, uint64_t job, int pid)
{
    (void)ctx;
    lab.jobs[job].begun++;
    lab.jobs[job].pid = pid;
}

static void on_done(void *ctx, uint64_t job, const struct pool_outcome *o)
{
    struct heard *h = &lab.jobs[job];

    (void)ctx;
    h->ended++;
    h->end = o->end;
    h->pid = o->pid;
    h->ok = o->ok;
    h->signal = o->signal;
    h->limit_ms = o->limit_ms;
    snprintf(h->value, sizeof h->value, "%.*s", (int)o->value_len, o->value ? o->value : "");
    snprintf(h->text, sizeof h->text, "%.*s", o->frame ? (int)o->len : 255,
             o->frame ? o->frame : o->log_tail);
    lab.ended++;
}

static void on_free(void *ctx)
{
    (void)ctx;
}

static void lab_open(int size, int64_t max_tasks, int64_t max_memory_bytes)
{
    struct pool_config cf = {.size = size,
                             .max_tasks = max_tasks,
                             .max_memory_bytes = max_memory_bytes,
                             .stop_limit_ms = 500,
                             .on_begin = on_begin,
                             .on_done = on_done,
                             .on_free = on_free};

    memset(&lab, 0, sizeof lab);
    lab.base = cf.base = event_base_new();
    lab.pool = pool_new(&cf);
}

static int lab_close(void **state)
{
    (void)state;
    pool_free(lab.pool);
    event_base_free(lab.base);
    return 0;
}

static void turn_ms(int64_t ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    event_base_loopexit(lab.base, &tv);
    event_base_dispatch(lab.base);
}

/* Runs the loop until the condition holds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        int64_t end_ms = clock_mono_ms() + WAIT_MS;                                                \
                                                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(clock_mono_ms() < end_ms);                                                 \
            turn_ms(2);                                                                            \
        }                                                                                          \
    } while (0)

static uint64_t give_limited(const char *task, const char *args, const char *kwargs,
                             int64_t soft_ms, int64_t hard_ms)
{
    char frame[512];
    struct pool_work work = {
        .job = ++lab.last, .frame = frame, .soft_ms = soft_ms, .hard_ms = hard_ms};

    assert_true(lab.last < JOBS_MAX);
    work.len = (size_t)snprintf(frame, sizeof frame,
                                "{\"id\":\"%d\",\"task\":\"%s\",\"worker\":\"lab\",\"args\":[%s],"
                                "\"kwargs\":{%s},\"retries\":0,\"slot\":-1}",
                                (int)lab.last, task, args, kwargs);
    UNTIL(pool_capacity(lab.pool) > 0);
    assert_true(pool_run(lab.pool, &work));
    return lab.last;
}

static uint64_t give(const char *task, const char *args)
{
    return give_limited(task, args, "", 0, 0);
}

static struct heard *end_of(uint64_t job)
{
    UNTIL(lab.jobs[job].ended);
    return &lab.jobs[job];
}

/* Until the pool knows that tasks are short. */
static void warm_up(void)
{
    for (int i = 0; i < 60; i++) {
        give("test.noop", "");
    }
    UNTIL(lab.ended == (int)lab.last);
    assert_int_equal(pool_capacity(lab.pool), pool_size(lab.pool) * POOL_QUEUE_MAX);
}

static void all_ended_once(void)
{
    UNTIL(lab.ended >= (int)lab.last);
    for (uint64_t i = 1; i <= lab.last; i++) {
        assert_int_equal(lab.jobs[i].ended, 1);
        assert_int_equal(lab.jobs[i].begun, 1);
    }
}

static void test_an_answer(void **state)
{
    struct heard *h;

    (void)state;
    lab_open(1, 0, 0);
    assert_int_equal(pool_capacity(lab.pool), 0); /* the child has not started yet */
    h = end_of(give("test.add", "2,3"));
    assert_int_equal(h->end, POOL_ANSWERED);
    assert_true(h->ok);
    assert_string_equal(h->value, "5");
    assert_string_equal(h->text, "{\"ok\":true,\"result\":5}");
    h = end_of(give("test.add", "null"));
    assert_int_equal(h->end, POOL_ANSWERED);
    assert_false(h->ok);
    assert_non_null(strstr(h->text, "TypeError"));
    assert_int_equal(h->begun, 1);
}

static void test_nothing_waits_behind_something_long(void **state)
{
    uint64_t slow;

    (void)state;
    lab_open(2, 0, 0);
    warm_up();
    slow = give("test.sleep", "1");
    for (int i = 0; i < 20; i++) {
        give("test.noop", "");
    }
    UNTIL(lab.ended == (int)lab.last - 1);
    assert_int_equal(lab.jobs[slow].ended, 0);
    all_ended_once();
}

static void test_a_death_costs_one_job(void **state)
{
    uint64_t slow;

    (void)state;
    lab_open(1, 0, 0);
    warm_up();
    slow = give("test.sleep", "20");
    for (int i = 0; i < 10; i++) {
        give("test.noop", "");
    }
    turn_ms(5);
    kill(lab.jobs[slow].pid, SIGKILL);
    all_ended_once();
    for (uint64_t i = slow; i <= lab.last; i++) {
        assert_int_equal(lab.jobs[i].end, i == slow ? POOL_LOST : POOL_ANSWERED);
    }
    assert_int_equal(lab.jobs[slow].signal, SIGKILL);
}

static void test_resizing_under_load(void **state)
{
    static const int SIZES[] = {6, 1, 4, 2, 3};
    struct err e;

    (void)state;
    lab_open(2, 0, 0);
    warm_up();
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        assert_true(pool_resize(lab.pool, SIZES[i], &e));
        assert_int_equal(pool_size(lab.pool), SIZES[i]);
        for (int k = 0; k < 300; k++) {
            give(k % 50 == 0 ? "test.sleep" : "test.noop", "0.01");
        }
        UNTIL(pool_alive_count(lab.pool) == SIZES[i]);
    }
    all_ended_once();
    for (uint64_t i = 1; i <= lab.last; i++) {
        assert_int_equal(lab.jobs[i].end, POOL_ANSWERED);
    }
    assert_false(pool_resize(lab.pool, 0, &e));
    assert_false(pool_resize(lab.pool, POOL_SIZE_MAX + 1, &e));
}

static void look_at_tasks(void *ctx, const struct pool_child *child)
{
    int64_t *most = ctx;

    assert_true(child->pid > 0);
    *most = child->tasks > *most ? child->tasks : *most;
}

static void test_a_child_is_replaced_after_so_many_tasks(void **state)
{
    int64_t most = 0;

    (void)state;
    lab_open(2, 7, 0);
    for (int i = 0; i < 100; i++) {
        give("test.noop", "");
        pool_each_child(lab.pool, look_at_tasks, &most);
    }
    all_ended_once();
    assert_in_range(most, 1, 7);
    for (uint64_t i = 1; i <= lab.last; i++) {
        int same = 0;

        for (uint64_t k = 1; k <= lab.last; k++) {
            same += lab.jobs[k].pid == lab.jobs[i].pid;
        }
        assert_in_range(same, 1, 7);
    }
}

static void look_at_memory(void *ctx, const struct pool_child *child)
{
    *(int64_t *)ctx = child->rss_bytes;
}

static void test_a_child_is_replaced_when_it_has_grown(void **state)
{
    int64_t rss_bytes = 0;
    int first;

    (void)state;
    lab_open(1, 0, INT64_C(100) * 1024 * 1024);
    first = end_of(give("test.leak", "30000000"))->pid;
    assert_int_equal(end_of(give("test.leak", "30000000"))->pid, first);
    pool_each_child(lab.pool, look_at_memory, &rss_bytes);
    assert_true(rss_bytes > 60000000);
    assert_int_equal(end_of(give("test.leak", "60000000"))->pid, first);
    assert_int_not_equal(end_of(give("test.noop", ""))->pid, first);
    all_ended_once();
}

static void test_limits(void **state)
{
    struct heard *h;

    (void)state;
    lab_open(1, 0, 0);
    h = end_of(give_limited("test.sleep", "20", "", 100, 10000));
    assert_int_equal(h->end, POOL_ANSWERED);
    assert_non_null(strstr(h->text, "\"cancelled\""));
    assert_non_null(strstr(h->text, "SoftTimeLimitExceeded"));
    h = end_of(give_limited("test.stubborn", "20", "", 50, 200));
    assert_int_equal(h->end, POOL_TIME_LIMIT);
    assert_int_equal(h->limit_ms, 200);
    h = end_of(give_limited("test.sleep", "0.3", "", 0, 10000)); /* not asked, not killed */
    assert_true(h->ok);
    all_ended_once();
}

static void terminate(int signum, const char *task)
{
    uint64_t job = give(task, "20");
    struct heard *h;

    UNTIL(lab.jobs[job].begun);
    pool_terminate(lab.pool, job, signum);
    h = end_of(job);
    assert_int_equal(h->end, POOL_TERMINATED);
    assert_int_equal(h->signal, signum);
}

static void test_termination(void **state)
{
    uint64_t first, second;

    (void)state;
    lab_open(1, 0, 0);
    terminate(SIGTERM, "test.sleep"); /* blocked in children */
    terminate(SIGINT, "test.stubborn");
    terminate(SIGKILL, "test.stubborn");
    terminate(SIGUSR2, "test.sleep");
    terminate(SIGUSR1, "test.sleep");    /* asked to stop */
    terminate(SIGUSR1, "test.stubborn"); /* and killed if it does not */
    warm_up();
    first = give("test.sleep", "20");
    second = give("test.sleep", "20");
    turn_ms(2);
    pool_terminate(lab.pool, second, SIGTERM); /* not begun: at once */
    assert_int_equal(lab.jobs[second].end, POOL_TERMINATED);
    assert_int_equal(lab.jobs[first].ended, 0);
    pool_terminate(lab.pool, first, SIGTERM);
    assert_int_equal(end_of(first)->end, POOL_TERMINATED);
    pool_terminate(lab.pool, 999, SIGTERM); /* nobody's */
    assert_true(end_of(give("test.noop", ""))->ok);
}

static void test_an_abandoned_job_is_not_heard_of(void **state)
{
    uint64_t job;

    (void)state;
    lab_open(1, 0, 0);
    job = give("test.sleep", "20");
    UNTIL(lab.jobs[job].begun);
    assert_int_equal(pool_job_pid(lab.pool, job), lab.jobs[job].pid);
    pool_abandon(lab.pool, job);
    assert_int_equal(pool_job_pid(lab.pool, job), 0);
    assert_true(end_of(give("test.noop", ""))->ok);
    assert_int_equal(lab.jobs[job].ended, 0);
}

static void test_a_stopped_child(void **state)
{
    uint64_t job;

    (void)state;
    lab_open(1, 0, 0);
    job = give("test.sleep", "0.2");
    UNTIL(lab.jobs[job].begun);
    kill(lab.jobs[job].pid, SIGSTOP);
    turn_ms(100);
    kill(lab.jobs[job].pid, SIGCONT);
    assert_true(end_of(job)->ok); /* it went on in time */
    job = give("test.stubborn", "20");
    UNTIL(lab.jobs[job].begun);
    turn_ms(100); /* it runs, and not only as far as we know */
    kill(lab.jobs[job].pid, SIGSTOP);
    assert_int_equal(end_of(job)->end, POOL_LOST);
    assert_int_equal(lab.jobs[job].signal, SIGKILL);
    assert_true(end_of(give("test.noop", ""))->ok);
}

static void test_the_last_lines_of_the_dead(void **state)
{
    struct heard *h;

    (void)state;
    lab_open(1, 0, 0);
    h = end_of(give_limited(
        "test.crash", "", "\"signal\":6,\"lines\":[\"one\",\"two \\u00e9\",\"\",\"three\"]", 0, 0));
    assert_int_equal(h->end, POOL_LOST);
    assert_int_equal(h->signal, SIGABRT);
    assert_string_equal(h->text, "one\ntwo \xc3\xa9\n\nthree\n");
}

#define LAB_TEST(fn) cmocka_unit_test_teardown(fn, lab_close)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_an_answer),
        LAB_TEST(test_nothing_waits_behind_something_long),
        LAB_TEST(test_a_death_costs_one_job),
        LAB_TEST(test_resizing_under_load),
        LAB_TEST(test_a_child_is_replaced_after_so_many_tasks),
        LAB_TEST(test_a_child_is_replaced_when_it_has_grown),
        LAB_TEST(test_limits),
        LAB_TEST(test_termination),
        LAB_TEST(test_an_abandoned_job_is_not_heard_of),
        LAB_TEST(test_a_stopped_child),
        LAB_TEST(test_the_last_lines_of_the_dead),
    };

    if (argc == 3 && strcmp(argv[1], "--child") == 0) {
        return child_main(&SETTINGS, atoi(argv[2]));
    }
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
