#ifndef CTL_INTERRUPT_H
#define CTL_INTERRUPT_H

#include <signal.h>

/*
 * SIGINT and SIGTERM from now on only set the flag that is returned, so that a command can clean up
 * after itself; blocking calls are interrupted.
 */
const volatile sig_atomic_t *interrupt_watch(void);

#endif
