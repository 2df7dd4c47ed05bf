/* A stored image with arbitrary bytes: refused, or every access stays inside. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps the compiler from leaving the reads out */

static unsigned touch_row(const struct image *img, const struct image_row *r)
{
    unsigned sum = img->classes[r->cls].text_len;

    for (uint32_t k = 0; k < r->name_len; k++) {
        sum += (unsigned char)img->text[r->name_off + k];
    }
    sum += image_find(img, r->server, img->text + r->name_off, r->name_len) != NULL;
    return sum + (unsigned)image_tier_number(r->tier);
}

/* Reads all that requests may read. */
static unsigned touch(const struct image *img)
{
    unsigned sum = 0;

    for (int server = IMAGE_ANY; server < (int)img->head->servers; server++) {
        for (int cls = IMAGE_ANY; cls < (int)img->head->classes; cls++) {
            struct image_list list = image_list_of(img, (struct image_board){server, cls});

            for (uint32_t i = 0; i < list.count; i++) {
                const struct image_row *r = image_list_row(&list, i);

                sum += touch_row(img, r) + image_list_rank(&list, r);
                MUST(image_list_tied_at(&list, i + 1) ==
                     image_list_tied_rank(&list, r->power_score));
            }
        }
        sum += img->stats[server < 0 ? img->head->servers : (uint32_t)server].tier_count[0];
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
        return image_open((void *)(uintptr_t)data, size, &e) != NULL;
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
    img = image_open(block, size, &e);
    if (!img) {
        munmap(block, size);
        return 0;
    }
    sink = touch(img);
    image_unref(img);
    return 0;
}
