#include "common/base.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "bug: %s:%d: must hold: %s\n", file, line, cond);
    abort();
}
