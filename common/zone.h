#ifndef COMMON_ZONE_H
#define COMMON_ZONE_H

#include <time.h>

#include "common/cron.h"

/*
 * Time zones by name (Europe/Berlin) from the system's tzdata, through libc. libc knows one zone at
 * a time, so looking one up changes the variable TZ of this process, under a lock. "" is the zone
 * that the process was started in.
 */
#define ZONE_NAME_SIZE 64

/*
 * For programs with threads, while they have one: puts TZ into the environment, so that nothing
 * there moves later. Others need not call it.
 */
void zone_start(void);

/* The name is one that tzdata has; otherwise false and *e says why. */
bool zone_check(const char *name, struct err *e) MUST_CHECK;

/* For cron.h; borrows the name. */
struct cron_zone zone_of(const char *name);

/* Local time of a moment. The text of out->tm_zone stays: libc keeps those it has seen. */
void zone_local(const char *name, int64_t unix_s, struct tm *out);

/* The moment at which the clock shows the date and time in tm (tm_year to tm_sec). */
int64_t zone_to_unix(const char *name, const struct tm *tm);

/* "2026-11-23 12:10:00 KST"; text in out. */
#define ZONE_TEXT_SIZE 96
const char *zone_text(const char *name, int64_t unix_s, char out[ZONE_TEXT_SIZE]);

#endif
