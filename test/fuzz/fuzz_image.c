/* A stored image with arbitrary bytes: refused, or every access stays inside. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps the compiler from leaving the reads out */

/* Reads all that requests may read. */
static unsigned touch(const struct image *img)
{
    unsigned sum = 0;

    for (int board = IMAGE_BOARD_ALL; board < (int)img->head->servers; board++) {
        for (uint32_t i = 0; i < image_board_total(img, board); i++) {
            const struct image_row *r = image_board_row(img, board, i);

            for (uint32_t k = 0; k < r->name_len; k++) {
                sum += (unsigned char)img->text[r->name_off + k];
            }
            sum += image_find(img, r->server, img->text + r->name_off, r->name_len) != NULL;
            sum += img->classes[r->cls].text_len;
        }
    }
    return sum + (image_find_server(img, "Siel", 4) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_header head;
    struct image *img;
    struct err e;
    void *block;

    if (size < sizeof head) {
        return image_open((void *)(uintptr_t)data, size, IMAGE_CHECK_ALL, &e) != NULL;
    }
    block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return 0;
    }
    /* What no fuzzer guesses is made right, so that the checks behind it are reached. */
    memcpy(block, data, size);
    memcpy(&head, block, sizeof head);
    memcpy(head.magic, IMAGE_MAGIC, sizeof head.magic);
    head.version = IMAGE_VERSION;
    head.size = size;
    memcpy(block, &head, sizeof head);
    ((struct image_header *)block)->crc = image_crc(block, size);
    img = image_open(block, size, IMAGE_CHECK_ALL, &e);
    if (!img) {
        munmap(block, size);
        return 0;
    }
    sink = touch(img);
    image_unref(img);
    return 0;
}
