#include "api/image_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/state_file.h"

bool image_file_store(const char *dir, const struct image *img, struct err *e)
{
    const char *rest = (const char *)img->block + sizeof(struct image_header);
    struct image_header head;
    struct state_file f;

    memcpy(&head, img->head, sizeof head);       /* and whatever lies between its fields */
    head.crc = image_crc(img->block, head.size); /* here, where nobody waits for it */
    if (!state_file_begin(&f, dir, IMAGE_FILE_NAME, e)) {
        return false;
    }
    if (!state_file_write(&f, &head, sizeof head, e) ||
        !state_file_write(&f, rest, head.size - sizeof head, e)) {
        state_file_abandon(&f);
        return false;
    }
    return state_file_commit(&f, e);
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
        err_set(e, ERR_RETRYABLE, "OSError", "map " IMAGE_FILE_NAME " in STATE_DIR: %s",
                strerror(errno));
        return NULL;
    }
    img = image_open(block, (size_t)st.st_size, e);
    if (!img) {
        munmap(block, (size_t)st.st_size);
    }
    return img;
}

struct image *image_file_load(const char *dir, struct err *e)
{
    int fd = state_file_open(dir, IMAGE_FILE_NAME, e);
    struct image *img;

    if (fd < 0) {
        return NULL;
    }
    img = map_and_check(fd, e);
    close(fd);
    return img;
}
