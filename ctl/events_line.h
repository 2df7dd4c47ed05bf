#ifndef CTL_EVENTS_LINE_H
#define CTL_EVENTS_LINE_H

#include "common/json.h"
#include "ctl/term.h"

/* One event as a line for people. */

/*
 * Names of tasks by id: only the first events of a task tell its name. The newest few thousand are
 * remembered.
 */
#define EVENT_NAMES 4096
struct event_names {
    struct {
        char id[64];
        char name[80];
    } slots[EVENT_NAMES];
};
/* Remembers the name that an event tells, if any. */
void event_names_learn(struct event_names *n, const cJSON *event);
/* "" when it is not known. */
const char *event_names_find(const struct event_names *n, const char *id);

/* An event is an object with a type. */
bool event_is_one(const cJSON *v);

/* Time, type, node, task and what is special about it, in at most `width` columns (0: any). */
void event_print_line(const struct term *t, const cJSON *event, const struct event_names *names,
                      int width);
/* Every member, "name=JSON", in one line. */
void event_print_dump(const struct term *t, const cJSON *event);

#endif
