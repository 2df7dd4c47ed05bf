#ifndef API_STATE_FILE_H
#define API_STATE_FILE_H

#include "common/err.h"

/*
 * A file in STATE_DIR that is the old one or the new one whenever the machine stops: written aside,
 * synced and renamed. Several processes may share a folder; they write one after the other.
 */
struct state_file {
    const char *name; /* static */
    char aside[64];   /* name and ".new" */
    int dir, fd;
    uint64_t size; /* written so far */
};

/* False and *e: nothing is open then. Otherwise it ends with state_file_commit or _abandon. */
bool state_file_begin(struct state_file *f, const char *dir, const char *name,
                      struct err *e) MUST_CHECK;
bool state_file_write(struct state_file *f, const void *bytes, size_t n, struct err *e) MUST_CHECK;
/* The first bytes once more, when all is known that they say. */
bool state_file_rewrite_head(struct state_file *f, const void *bytes, size_t n,
                             struct err *e) MUST_CHECK;
/* False and *e: what was stored before is untouched. */
bool state_file_commit(struct state_file *f, struct err *e) MUST_CHECK;
/* Gives the space back. */
void state_file_abandon(struct state_file *f);

/*
 * The stored file, open for reading. -1: *e says why; e->cls is ERR_NONE when there is none.
 */
int state_file_open(const char *dir, const char *name, struct err *e) MUST_CHECK;

#endif
