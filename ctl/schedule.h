#ifndef CTL_SCHEDULE_H
#define CTL_SCHEDULE_H

#include "ctl/schedules.h"

/* The verbs of aion2ctl schedule that change something; schedule.c has the table and the others. */
int schedule_cmd_set(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_remove(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_pause(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_resume(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_run(const struct ctl_settings *s, int argc, char **argv);

extern const struct opt SCHEDULE_SET_OPTS[], SCHEDULE_PAUSE_OPTS[], SCHEDULE_NO_OPTS[];

/* One line about a schedule after it was changed: its timetable and the next slot. */
void schedule_print_short(const struct schedule *s, int64_t now_s);

#endif
