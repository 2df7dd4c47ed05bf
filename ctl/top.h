#ifndef CTL_TOP_H
#define CTL_TOP_H

#include "common/json.h"
#include "ctl/term.h"

/* The parts of aion2ctl top; top.c has the command and the loop. */

/*
 * Adds to a document of overview.h what has changed since an earlier one, `seconds` before:
 * "rates": {"over_s", "taken", "done", "retried", "dead"} a second each, and "change" in each of
 * its queues. Counters that went back, as when Redis was emptied, are left out. Pure.
 */
void top_add_rates(cJSON *doc, const cJSON *earlier, double seconds);

#define TOP_PANES 6
/* What is shown: all panes, or one in full. */
struct top_view {
    int rows;    /* of the terminal, 0: as many as it takes */
    int pane;    /* 1 to TOP_PANES, 0: all */
    bool live;   /* with a line about keys at the end */
    bool halted; /* it is not looked again by itself */
    double interval_s;
};
/* Prints the document; t->width says how wide. */
void top_print(const struct term *t, const cJSON *doc, const struct top_view *v);

/* The panes below the head: how many lines are left for them (0: no limit). */
void top_print_panes(const struct term *t, const cJSON *doc, const struct top_view *v, int left);

#endif
