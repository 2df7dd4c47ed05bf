#ifndef CTL_SCHEDULE_H
#define CTL_SCHEDULE_H

#include "common/schedules.h"
#include "ctl/ctl.h"

/* Connects and looks around. False: it has said why, *code is what to return. */
bool schedule_call_open(struct schedules *t, const char *command, const struct ctl_settings *s,
                        int *code) MUST_CHECK;
void schedule_call_close(struct schedules *t);

/* One schedule, for schedule_fini. False: it has said why, and *s needs nothing. */
bool schedule_call_get(struct schedules *t, const char *command, const char *name,
                       struct schedule *s, int *code) MUST_CHECK;
/* Explains why there is none and gives the exit code. */
int schedule_call_fail(const char *command, const char *name, enum schedules_found found,
                       const struct err *e);

/* The verbs of aion2ctl schedule that change something; schedule.c has the table and the others. */
int schedule_cmd_set(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_remove(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_pause(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_resume(const struct ctl_settings *s, int argc, char **argv);
int schedule_cmd_run(const struct ctl_settings *s, int argc, char **argv);

extern const struct opt SCHEDULE_SET_OPTS[], SCHEDULE_PAUSE_OPTS[], SCHEDULE_NO_OPTS[];

#endif
