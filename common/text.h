#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include "common/base.h"

/* Strict parsing: the whole string or nothing. False leaves *out alone. */
bool text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out) MUST_CHECK;
bool text_n_to_i64(const char *s, size_t len, int64_t min, int64_t max, int64_t *out) MUST_CHECK;

/* Strict UTF-8 (no overlong forms, surrogates or values above U+10FFFF). */
bool text_is_utf8(const char *s, size_t len);
/* Puts a question mark for every byte that is not part of valid UTF-8. */
void text_make_utf8(char *s);
/* Code points in valid UTF-8. */
size_t text_utf8_count(const char *s, size_t len);
/* A control character (C0, DEL) is in it. */
bool text_has_control(const char *s, size_t len);

/* Copies at most cap - 1 bytes and always terminates; false when clipped. cap > 0. */
bool text_copy(char *dst, size_t cap, const char *src);

/* 64-bit FNV-1a. For tables whose keys do not come from an attacker. */
uint64_t text_hash(const void *bytes, size_t len);

#endif
