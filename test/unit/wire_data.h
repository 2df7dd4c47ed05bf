#ifndef TEST_UNIT_WIRE_DATA_H
#define TEST_UNIT_WIRE_DATA_H

#include <stddef.h>

/* A file of test/data/wire: what real Celery programs wrote. Ends the test when it is not there;
 * the caller frees. */
char *wire_read(const char *name, size_t *len);

#endif
