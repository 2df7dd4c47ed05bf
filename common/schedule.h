#ifndef COMMON_SCHEDULE_H
#define COMMON_SCHEDULE_H

#include "common/uuid.h"

/*
 * Slot arithmetic, pure. A schedule has a slot at every multiple of its interval since the epoch;
 * a slot is named by the unix second at which it begins. `interval_s` is 1 or more everywhere, and
 * times are by Redis' clock.
 */

/* The slot that is on at now_us (negative times round down as well). */
int64_t schedule_slot_s(int64_t now_us, int64_t interval_s);

/* When the slot after the one at now_us begins; always later than now_us. */
int64_t schedule_next_us(int64_t now_us, int64_t interval_s);

/*
 * How many slots went by between `last_s`, the last one sent, and `slot_s`, both excluded. last_s
 * need not be a slot of this interval: the interval may have been another one when it was sent.
 */
int64_t schedule_missed(int64_t last_s, int64_t slot_s, int64_t interval_s);

/* The last slot sent began more than two intervals ago: no beat does its work. */
bool schedule_is_late(int64_t last_s, int64_t now_us, int64_t interval_s);

/* The task id of a slot: the same wherever and however often it is made. */
void schedule_task_id(const char *schedule, int64_t slot_s, char out[UUID_SIZE]);

#endif
