#ifndef COMMON_LETTERS_LUA_H
#define COMMON_LETTERS_LUA_H

#include "common/script.h"

/* The steps behind letters.h; each names its keys and arguments at its top. */
extern struct script LETTERS_LUA_PUT_BACK, LETTERS_LUA_DROP;

extern struct script LETTERS_LUA_NEWEST;

#endif
