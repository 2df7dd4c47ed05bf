#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/base.h"

/* Milliseconds that never jump; for deadlines and durations. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Microseconds since the epoch; may step. */
int64_t clock_wall_us(void);

#define CLOCK_ISO_SIZE 96 /* whatever the numbers, so that the compiler sees it fit */
/* "2025-12-31T21:47:16.898687" (suffix "" or "Z" or "+00:00" is appended). buf: CLOCK_ISO_SIZE. */
const char *clock_iso(int64_t wall_us, const char *suffix, char buf[CLOCK_ISO_SIZE]);

/*
 * ISO 8601 date and time: "T" or space, optional fraction, optional "Z" or +hh:mm (none: UTC).
 * False when malformed or out of range.
 */
bool clock_parse_iso(const char *s, int64_t *wall_us) MUST_CHECK;

#endif
