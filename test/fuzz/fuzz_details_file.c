/* Stored details of characters with arbitrary bytes: refused, or what comes back can be told. */

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "api/details_file.h"
#include "common/json.h"
#include "common/text.h"

#define CRC_AT  12
#define SIZE_AT 16
#define HEAD    40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(void *ctx, const struct details_item *it)
{
    struct buf b;
    cJSON *v;

    (void)ctx;
    buf_init(&b, 64 * KIB);
    detail_add_stats(&b, &it->d);
    v = json_parse(b.data, b.len, NULL);
    MUST(v);
    cJSON_Delete(v);
    buf_fini(&b);
    MUST(text_is_utf8(it->d.cls, strlen(it->d.cls)));
    MUST(text_is_utf8(it->d.legion, strlen(it->d.legion)));
}

/* What no fuzzer guesses is made right, so that the checks behind it are reached. */
static void write_sound(int fd, const uint8_t *data, size_t size)
{
    static const char MAGIC[] = "AION2DET\1\0\0\0\0\0\0";
    uint8_t head[HEAD];
    uint64_t all = size;
    uint32_t crc;

    memcpy(head, data, sizeof head);
    memcpy(head, MAGIC, SIZE_AT);
    memcpy(head + SIZE_AT, &all, sizeof all);
    crc = (uint32_t)crc32(0, head, sizeof head);
    crc = (uint32_t)crc32(crc, data + HEAD, (uInt)(size - HEAD));
    memcpy(head + CRC_AT, &crc, sizeof crc);
    MUST(pwrite(fd, head, sizeof head, 0) == (ssize_t)sizeof head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("details", 0);
    struct details *s = details_new();
    uint32_t at = 0;
    struct err e;

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    if (size >= HEAD) {
        write_sound(fd, data, size);
    }
    (void)!details_file_read(fd, s, &e);
    while (details_each(s, &at, tell, NULL)) {
    }
    details_free(s);
    close(fd);
    return 0;
}
