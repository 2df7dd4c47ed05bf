#include "common/metrics_process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"

enum { P_BUILD, P_START, P_CPU, P_MEMORY, P_FILES, P_COUNT };

static const char *const VERSION[] = {AION2RANK_VERSION};
static const struct metric_label VERSION_LABEL = {"version", VERSION, ARRAY_LEN(VERSION)};

static const struct metric METRICS[P_COUNT] = {
    [P_BUILD] = {"aion2_build_info",
                 METRIC_GAUGE,
                 METRIC_ONE,
                 "1, with the program's version",
                 {&VERSION_LABEL},
                 NULL},
    [P_START] = {"process_start_time_seconds",
                 METRIC_GAUGE,
                 METRIC_US,
                 "When the process started, unix time",
                 {NULL},
                 NULL},
    [P_CPU] = {"process_cpu_seconds_total",
               METRIC_COUNTER,
               METRIC_US,
               "Time of processors that it used, its children that have ended included",
               {NULL},
               NULL},
    [P_MEMORY] = {"process_resident_memory_bytes",
                  METRIC_GAUGE,
                  METRIC_ONE,
                  "Resident memory",
                  {NULL},
                  NULL},
    [P_FILES] =
        {"process_open_fds", METRIC_GAUGE, METRIC_ONE, "Open file descriptors", {NULL}, NULL},
};
static struct metric_group group = {METRICS, P_COUNT, NULL};

void process_metrics_register(void)
{
    metrics_register(&group, 1);
    metrics_set(&group, P_BUILD, 0, 1);
    metrics_set(&group, P_START, 0, clock_wall_us());
}

static int64_t us(struct timeval tv)
{
    return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static int64_t cpu_us(void)
{
    struct rusage self = {0}, children = {0};

    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return us(self.ru_utime) + us(self.ru_stime) + us(children.ru_utime) + us(children.ru_stime);
}

static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = -1;

    if (f) {
        if (fscanf(f, "%*s %ld", &pages) != 1) {
            pages = -1;
        }
        fclose(f);
    }
    return pages < 0 ? METRIC_UNKNOWN : (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t n = -3; /* ".", ".." and the one that looks */

    if (!dir) {
        return METRIC_UNKNOWN;
    }
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

void process_metrics_collect(void)
{
    metrics_set(&group, P_CPU, 0, cpu_us());
    metrics_set(&group, P_MEMORY, 0, resident_bytes());
    metrics_set(&group, P_FILES, 0, open_files());
}
