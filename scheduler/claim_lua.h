#ifndef SCHEDULER_CLAIM_LUA_H
#define SCHEDULER_CLAIM_LUA_H

#include "common/script.h"

/* The step behind claim.h; the order of its keys and arguments is told in claim.c. */
extern struct script CLAIM_SCRIPT;

#endif
