#include "common/zone.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONE_FOLDER "/usr/share/zoneinfo/"

/* Where libc looks when TZ is not set. */
#define ZONE_DEFAULT ":/etc/localtime"

/* What TZ and what follows say is changed and asked for under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* TZ as the process was started, and the zone that libc has now. */
static char own[256];
static char current[ZONE_NAME_SIZE];
static bool started;

static void start(void)
{
    const char *tz = getenv("TZ");

    if (started) {
        return;
    }
    snprintf(own, sizeof own, "%s", tz && strlen(tz) < sizeof own ? tz : ZONE_DEFAULT);
    MUST(setenv("TZ", own, 1) == 0);
    tzset();
    started = true;
}

void zone_start(void)
{
    pthread_mutex_lock(&lock);
    start();
    pthread_mutex_unlock(&lock);
}

static void switch_to(const char *name)
{
    char tz[sizeof ZONE_FOLDER + ZONE_NAME_SIZE + 1];

    start();
    if (strcmp(name, current) == 0) {
        return;
    }
    snprintf(tz, sizeof tz, ":" ZONE_FOLDER "%.*s", ZONE_NAME_SIZE - 1, name);
    MUST(setenv("TZ", name[0] ? tz : own, 1) == 0);
    tzset();
    snprintf(current, sizeof current, "%s", name);
}

void zone_local(const char *name, int64_t unix_s, struct tm *out)
{
    time_t t = (time_t)unix_s;

    pthread_mutex_lock(&lock);
    switch_to(name);
    if (!localtime_r(&t, out)) { /* a year that does not fit an int */
        *out = (struct tm){0};
    }
    pthread_mutex_unlock(&lock);
}

int64_t zone_to_unix(const char *name, const struct tm *tm)
{
    struct tm copy = *tm, there;
    int64_t wall = timegm(&copy);

    zone_local(name, wall, &there);
    zone_local(name, wall - there.tm_gmtoff, &there); /* the offset on that side of a change */
    return wall - there.tm_gmtoff;
}

const char *zone_text(const char *name, int64_t unix_s, char out[ZONE_TEXT_SIZE])
{
    struct tm tm;

    zone_local(name, unix_s, &tm);
    snprintf(out, ZONE_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d %.16s", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
             tm.tm_zone ? tm.tm_zone : "");
    return out;
}

static int offset_s(const void *ctx, int64_t unix_s)
{
    struct tm tm;

    zone_local(ctx, unix_s, &tm);
    return (int)tm.tm_gmtoff;
}

struct cron_zone zone_of(const char *name)
{
    return (struct cron_zone){offset_s, name};
}

static bool is_name(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/");

    return len > 0 && len < ZONE_NAME_SIZE && name[len] == '\0' && name[0] != '/';
}

/* Without its file libc would take the name for UTC without a word. */
static bool has_file(const char *name)
{
    char path[sizeof ZONE_FOLDER + ZONE_NAME_SIZE], magic[4] = "";
    int fd;

    snprintf(path, sizeof path, ZONE_FOLDER "%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (read(fd, magic, sizeof magic) != (ssize_t)sizeof magic) {
        magic[0] = '\0';
    }
    close(fd);
    return memcmp(magic, "TZif", sizeof magic) == 0;
}

bool zone_check(const char *name, struct err *e)
{
    if (is_name(name) && (strcmp(name, "UTC") == 0 || has_file(name))) {
        return true;
    }
    return err_set(e, ERR_PERMANENT, "ValueError",
                   "no time zone \"%.80s\" here; a name like Europe/Berlin, Asia/Seoul or UTC "
                   "(package tzdata)",
                   name);
}
