#ifndef API_DETAILS_FILE_H
#define API_DETAILS_FILE_H

#include "api/details.h"

/*
 * The details store on disk, <dir>/details.bin (state_file.h): what a service that starts without
 * PostgreSQL knows of characters beside their places. Written and read as a stream, some 110 bytes
 * a character; nothing of it is in memory twice. Of this machine's byte order.
 */
#define DETAILS_FILE_NAME "details.bin"

/* False and *e: what was stored before is untouched. */
bool details_file_store(const char *dir, struct details *s, struct err *e) MUST_CHECK;
/*
 * Adds what is stored to the store, in doubt; who is there stays. False: *e says why, e->cls is
 * ERR_NONE when there is none. A file that is damaged is refused before anything of it is used.
 */
bool details_file_load(const char *dir, struct details *s, struct err *e) MUST_CHECK;
/* The same of an open file. Any bytes may come in. */
bool details_file_read(int fd, struct details *s, struct err *e) MUST_CHECK;

#endif
