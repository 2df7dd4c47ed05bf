#include "ctl/import_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "ctl/import_row.h"

#define FIRST_BYTES (1 * MIB)

static bool skip_bom(struct import_source *s, struct err *e)
{
    bool full;

    if (!import_source_more(s, &full, e)) {
        return false;
    }
    if (s->end >= 3 && memcmp(s->data, "\xef\xbb\xbf", 3) == 0) {
        s->start = 3;
    }
    return true;
}

bool import_source_open(struct import_source *s, const char *path, struct err *e)
{
    struct stat st;

    *s = (struct import_source){.fd = STDIN_FILENO};
    if (strcmp(path, "-") != 0) {
        s->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (s->fd < 0 || fstat(s->fd, &st) != 0) {
        return err_set(e, ERR_PERMANENT, "OSError", "%s: %s", path, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_PERMANENT, "OSError", "%s: is a directory", path);
    }
    s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    s->data = mem_try_array(FIRST_BYTES, 1);
    if (!s->data) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    s->cap = FIRST_BYTES;
    return skip_bom(s, e);
}

void import_source_close(struct import_source *s)
{
    if (s->fd > STDIN_FILENO) {
        close(s->fd);
    }
    free(s->data);
}

/* Room behind the unread bytes; *full when there is none to be had. */
static bool make_room(struct import_source *s, bool *full, struct err *e)
{
    char *bigger;

    *full = false;
    if (s->start > 0) {
        memmove(s->data, s->data + s->start, s->end - s->start);
        s->end -= s->start;
        s->start = 0;
    }
    if (s->end < s->cap) {
        return true;
    }
    if (s->cap >= IMPORT_LINE_MAX) {
        *full = true;
        return true;
    }
    bigger = mem_try_resize(s->data, s->cap * 2, 1);
    if (!bigger) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    s->data = bigger;
    s->cap *= 2;
    return true;
}

bool import_source_more(struct import_source *s, bool *full, struct err *e)
{
    if (!make_room(s, full, e)) {
        return false;
    }
    while (!s->eof && s->end < s->cap) {
        ssize_t n = read(s->fd, s->data + s->end, s->cap - s->end);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(e, ERR_PERMANENT, "OSError", "cannot read: %s", strerror(errno));
        }
        s->eof = n == 0;
        s->end += (size_t)n;
        s->bytes_read += (uint64_t)n;
    }
    return true;
}
