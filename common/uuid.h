#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/base.h"

#define UUID_SIZE 37 /* text and its NUL */

/* Random (version 4). */
void uuid_random(char out[UUID_SIZE]);
/* The same name always gives the same id (version 8, from a 128-bit FNV-1a of the name). */
void uuid_from_name(const char *name, char out[UUID_SIZE]);

#endif
