#ifndef CTL_SCREEN_H
#define CTL_SCREEN_H

#include "common/base.h"

/*
 * The whole terminal for a live screen: the alternate buffer, keys one by one, and everything as it
 * was before when the program ends, is stopped (Ctrl-Z) or crashes.
 */
#define SCREEN_ROWS 24

/* False: standard input or output is no terminal, or one that cannot do this. */
bool screen_open(void) MUST_CHECK;
/* Fine more than once, and when it was never open. */
void screen_close(void);

/* 24 by 80 when the terminal does not say. */
void screen_size(int *rows, int *cols);

/*
 * Shows a frame: lines that end with a line feed, with colours but nothing else that commands a
 * terminal. What is too much for its size is cut. False when the terminal is gone.
 */
bool screen_show(const char *text, size_t len) MUST_CHECK;

enum { SCREEN_TIMEOUT = 0, SCREEN_RESIZED = -1, SCREEN_STOP = -2, SCREEN_ESCAPE = 27 };
/* Waits at most so long: the key, or one of these. STOP: a signal asks to end, or nobody is there
 * any more. */
int screen_wait(int64_t ms);

#endif
