#ifndef WORKER_TURN_H
#define WORKER_TURN_H

#include <stdatomic.h>

#include "common/base.h"

/*
 * Who has a job that was sent to a child: the child, once it has begun it, or the supervisor, once
 * it has taken it back. Both decide in one atomic word, in memory they share, so that they always
 * agree, although neither waits for the other.
 *
 * Jobs sent to a child count 1, 2, 3, ... The word holds the last one begun and the last one taken
 * back (with all before it that had not begun).
 */
typedef _Atomic uint64_t turn_word;

/* The child's: may it begin this one? False: it was taken back, and is to be forgotten. */
bool turn_begin(turn_word *turn, uint32_t seq);
/* The supervisor's: takes back all up to `sent` that have not begun. Returns the last one begun. */
uint32_t turn_take_back(turn_word *turn, uint32_t sent);
/* The last one begun. */
uint32_t turn_begun(turn_word *turn);

#endif
