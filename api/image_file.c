#include "api/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASIDE_NAME IMAGE_FILE_NAME ".new"

static bool os_error(struct err *e, const char *what)
{
    return err_set(e, ERR_RETRYABLE, "OSError", "%s in STATE_DIR: %s", what, strerror(errno));
}

/*
 * Opens the file aside and locks it, so that processes that share the folder write one after the
 * other. Another process may have renamed it between the two calls: then it is the live one.
 */
static int open_aside(int dir, struct err *e)
{
    struct stat mine, there;
    int fd = openat(dir, ASIDE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0) {
        os_error(e, "create " ASIDE_NAME);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 &&
        fstatat(dir, ASIDE_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 && mine.st_ino == there.st_ino &&
        ftruncate(fd, 0) == 0) {
        return fd;
    }
    err_set(e, ERR_RETRYABLE, "OSError", "another process is storing the ranking");
    close(fd);
    return -1;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n < 4 * MIB ? n : 4 * MIB);

        if (done < 0 && errno != EINTR) {
            return false;
        }
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return true;
}

bool image_file_store(const char *dir, const struct image *img, struct err *e)
{
    int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dfd < 0 ? -1 : open_aside(dfd, e);
    bool ok = false;

    if (dfd < 0) {
        return os_error(e, "open the folder");
    }
    if (fd < 0) {
        goto out;
    }
    if (!write_all(fd, img->block, img->head->size) || fsync(fd) < 0) {
        os_error(e, "write " ASIDE_NAME);
        unlinkat(dfd, ASIDE_NAME, 0); /* gives the space back when the disk is full */
        goto out;
    }
    if (renameat(dfd, ASIDE_NAME, dfd, IMAGE_FILE_NAME) < 0 || fsync(dfd) < 0) {
        os_error(e, "rename " ASIDE_NAME);
        goto out;
    }
    ok = true;
out:
    if (fd >= 0) {
        close(fd);
    }
    close(dfd);
    return ok;
}

static struct image *map_and_check(int fd, struct err *e)
{
    struct stat st;
    struct image *img;
    void *block;

    if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct image_header)) {
        err_set(e, ERR_PERMANENT, "ImageError", "not a usable ranking image: too short");
        return NULL;
    }
    block = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (block == MAP_FAILED) {
        os_error(e, "map " IMAGE_FILE_NAME);
        return NULL;
    }
    img = image_open(block, (size_t)st.st_size, IMAGE_CHECK_ALL, e);
    if (!img) {
        munmap(block, (size_t)st.st_size);
    }
    return img;
}

struct image *image_file_load(const char *dir, struct err *e)
{
    char path[4200];
    struct image *img;
    int fd;

    *e = (struct err){.cls = ERR_NONE};
    if (snprintf(path, sizeof path, "%s/%s", dir, IMAGE_FILE_NAME) >= (int)sizeof path) {
        err_set(e, ERR_PERMANENT, "OSError", "STATE_DIR is too long");
        return NULL;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT) {
            os_error(e, "open " IMAGE_FILE_NAME);
        }
        return NULL;
    }
    img = map_and_check(fd, e);
    close(fd);
    return img;
}
