#ifndef CTL_IMPORT_SOURCE_H
#define CTL_IMPORT_SOURCE_H

#include "common/err.h"

/* A file or pipe read into a buffer that grows up to one longest line. */
struct import_source {
    int fd;
    char *data; /* owned; the unread bytes are data[start .. end - 1] */
    size_t start, end, cap;
    bool eof;
    uint64_t bytes_read;
    uint64_t size; /* 0: not known */
};

/* path "-" is standard input. Skips a byte order mark. import_source_close() in any case. */
bool import_source_open(struct import_source *s, const char *path, struct err *e) MUST_CHECK;
void import_source_close(struct import_source *s);

/*
 * Reads until the buffer is full or the file ends; makes it larger first when it is full of unread
 * bytes. *full: it cannot grow further (the line is too long).
 */
bool import_source_more(struct import_source *s, bool *full, struct err *e) MUST_CHECK;

#endif
