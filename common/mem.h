#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include "common/base.h"

/* For small sizes that we choose: these die when memory is out (the supervisor restarts us). */
void *mem_alloc(size_t size); /* zeroed */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);

/*
 * For sizes that come from outside: NULL when memory is out, when count * size overflows, or when a
 * test asked for it. mem_try_resize leaves the old block valid on failure; new bytes are not
 * zeroed.
 */
void *mem_try_array(size_t count, size_t size) MUST_CHECK; /* zeroed */
void *mem_try_resize(void *p, size_t count, size_t size) MUST_CHECK;

/* Tests: the nth try from now on fails (1 = the next), once; 0 turns it off. */
void mem_fail_at(unsigned nth);

#endif
