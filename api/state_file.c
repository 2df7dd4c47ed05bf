#include "api/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_MAX (4 * MIB) /* at once */

static bool os_error(struct err *e, const char *what, const char *name)
{
    return err_set(e, ERR_RETRYABLE, "OSError", "%s %s in STATE_DIR: %s", what, name,
                   strerror(errno));
}

/*
 * Opens the file aside and locks it. Another process may have renamed it between the two calls:
 * then it is the live one.
 */
static bool open_aside(struct state_file *f, struct err *e)
{
    struct stat mine, there;

    f->fd = openat(f->dir, f->aside, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (f->fd < 0) {
        return os_error(e, "create", f->aside);
    }
    if (flock(f->fd, LOCK_EX | LOCK_NB) == 0 && fstat(f->fd, &mine) == 0 &&
        fstatat(f->dir, f->aside, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        mine.st_ino == there.st_ino && ftruncate(f->fd, 0) == 0) {
        return true;
    }
    close(f->fd);
    return err_set(e, ERR_RETRYABLE, "OSError", "another process is storing %s", f->name);
}

bool state_file_begin(struct state_file *f, const char *dir, const char *name, struct err *e)
{
    f->name = name;
    f->size = 0;
    MUST(snprintf(f->aside, sizeof f->aside, "%s.new", name) < (int)sizeof f->aside);
    f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0) {
        return os_error(e, "open the folder of", name);
    }
    if (!open_aside(f, e)) {
        close(f->dir);
        return false;
    }
    return true;
}

bool state_file_write(struct state_file *f, const void *bytes, size_t n, struct err *e)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t done = write(f->fd, p, n < WRITE_MAX ? n : WRITE_MAX);

        if (done < 0 && errno != EINTR) {
            return os_error(e, "write", f->aside);
        }
        if (done > 0) {
            p += done;
            n -= (size_t)done;
            f->size += (size_t)done;
        }
    }
    return true;
}

bool state_file_rewrite_head(struct state_file *f, const void *bytes, size_t n, struct err *e)
{
    return pwrite(f->fd, bytes, n, 0) == (ssize_t)n || os_error(e, "write", f->aside);
}

static void close_all(struct state_file *f)
{
    close(f->fd);
    close(f->dir);
}

void state_file_abandon(struct state_file *f)
{
    unlinkat(f->dir, f->aside, 0); /* gives the space back when the disk is full */
    close_all(f);
}

bool state_file_commit(struct state_file *f, struct err *e)
{
    bool ok;

    if (fsync(f->fd) < 0) {
        os_error(e, "write", f->aside);
        state_file_abandon(f);
        return false;
    }
    ok = (renameat(f->dir, f->aside, f->dir, f->name) == 0 && fsync(f->dir) == 0) ||
         os_error(e, "rename", f->aside);
    close_all(f);
    return ok;
}

int state_file_open(const char *dir, const char *name, struct err *e)
{
    char path[4200];
    int fd;

    *e = (struct err){.cls = ERR_NONE};
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        err_set(e, ERR_PERMANENT, "OSError", "STATE_DIR is too long");
        return -1;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        os_error(e, "open", name);
    }
    return fd;
}
