#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned fail_countdown;

void mem_fail_at(unsigned nth)
{
    fail_countdown = nth;
}

static bool told_to_fail(void)
{
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void *or_die(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return or_die(calloc(1, size ? size : 1));
}

char *mem_strdup(const char *s)
{
    return or_die(strdup(s));
}

char *mem_strndup(const char *s, size_t len)
{
    return or_die(strndup(s, len));
}

void *mem_try_array(size_t count, size_t size)
{
    return told_to_fail() ? NULL : calloc(count ? count : 1, size);
}

void *mem_try_resize(void *p, size_t count, size_t size)
{
    return told_to_fail() ? NULL : reallocarray(p, count ? count : 1, size);
}
