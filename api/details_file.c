#include "api/details_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "api/state_file.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"

#define MAGIC     "AION2DET"
#define VERSION   1u
#define PIECE     MIB     /* read or written at once */
#define LEVEL_MAX 0xfffff /* as the store keeps it */

struct file_head {
    char magic[8];
    uint32_t version;
    uint32_t crc; /* CRC-32 of the whole file with this field 0 */
    uint64_t size;
    uint32_t count;
    char day[DETAILS_DAY_SIZE + 1];
};

/* Followed by the bytes of class, legion and payload. */
struct file_record {
    int64_t id;
    int64_t power;
    int64_t fetched_us;
    uint32_t key;
    uint32_t rank, server_rank;
    int32_t level;
    int32_t item_level;
    uint32_t value[STAT_COUNT];
    uint16_t cls_len, legion_len, text_len;
    uint8_t kind; /* enum detail_stats */
    uint8_t mode; /* enum detail_mode */
    uint8_t packed_mode;
    uint8_t failed_last, has_place;
    uint8_t zero[1];
};

_Static_assert(sizeof(struct file_head) == 40, "without a gap");
_Static_assert(sizeof(struct file_record) == 88, "without a gap");

/* ---- storing ---- */

struct writing {
    struct buf piece;
    uint32_t count;
};

static void add_one(void *ctx, const struct details_item *it)
{
    struct writing *w = ctx;
    const struct detail *d = &it->d;
    struct file_record r = {.id = d->id,
                            .power = d->power,
                            .fetched_us = d->fetched_us,
                            .key = it->key,
                            .rank = it->rank,
                            .server_rank = it->server_rank,
                            .level = d->level,
                            .item_level = d->item_level,
                            .cls_len = (uint16_t)strlen(d->cls),
                            .legion_len = (uint16_t)strlen(d->legion),
                            .kind = (uint8_t)d->kind,
                            .mode = (uint8_t)d->mode,
                            .failed_last = d->failed_last,
                            .has_place = it->has_place};

    if (d->kind == DETAIL_PACKED) {
        memcpy(r.value, d->packed.value, sizeof r.value);
        r.packed_mode = (uint8_t)d->packed.mode;
    } else if (d->kind == DETAIL_TEXT) {
        r.text_len = (uint16_t)d->text_len;
    }
    buf_add(&w->piece, (const char *)&r, sizeof r);
    buf_add(&w->piece, d->cls, r.cls_len);
    buf_add(&w->piece, d->legion, r.legion_len);
    buf_add(&w->piece, d->text, r.text_len);
    w->count++;
}

static bool write_piece(struct state_file *f, struct writing *w, uint32_t *crc, struct err *e)
{
    if (w->piece.failed) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory to store " DETAILS_FILE_NAME);
    }
    *crc = (uint32_t)crc32(*crc, (const unsigned char *)w->piece.data, (uInt)w->piece.len);
    if (!state_file_write(f, w->piece.data, w->piece.len, e)) {
        return false;
    }
    buf_reset(&w->piece);
    return true;
}

static uint32_t crc_of_head(const struct file_head *h)
{
    struct file_head plain = *h;

    plain.crc = 0;
    return (uint32_t)crc32(0, (const unsigned char *)&plain, sizeof plain);
}

/* Count and size are known at the end, and so is what stands before them in the checksum. */
static bool write_all(struct state_file *f, struct details *s, struct writing *w, struct err *e)
{
    struct file_head h = {.magic = MAGIC, .version = VERSION};
    uint32_t at = 0, crc = 0;
    bool more = true;

    details_day(s, h.day);
    if (!state_file_write(f, &h, sizeof h, e)) {
        return false;
    }
    while (more) {
        more = details_each(s, &at, add_one, w);
        if ((!more || w->piece.len >= PIECE || w->piece.failed) && !write_piece(f, w, &crc, e)) {
            return false;
        }
    }
    h.count = w->count;
    h.size = f->size;
    h.crc = (uint32_t)crc32_combine(crc_of_head(&h), crc, (z_off_t)(h.size - sizeof h));
    return state_file_rewrite_head(f, &h, sizeof h, e);
}

bool details_file_store(const char *dir, struct details *s, struct err *e)
{
    struct state_file f;
    struct writing w = {.count = 0};
    bool ok;

    if (!state_file_begin(&f, dir, DETAILS_FILE_NAME, e)) {
        return false;
    }
    buf_init(&w.piece, 16 * MIB);
    ok = write_all(&f, s, &w, e);
    buf_fini(&w.piece);
    if (!ok) {
        state_file_abandon(&f);
        return false;
    }
    return state_file_commit(&f, e);
}

/* ---- reading ---- */

struct reading {
    int fd;
    struct details *s;
    bool other_day; /* places in it are of another day than those that are there */
    char *piece;    /* PIECE bytes */
    size_t have, at;
    bool failed; /* the disk gave less than it has promised */
};

static bool refuse(struct err *e, const char *why)
{
    return err_set(e, ERR_PERMANENT, "FileError", "not usable details of characters: %s", why);
}

static bool fill(struct reading *r)
{
    ssize_t n;

    memmove(r->piece, r->piece + r->at, r->have - r->at);
    r->have -= r->at;
    r->at = 0;
    do {
        n = read(r->fd, r->piece + r->have, PIECE - r->have);
    } while (n < 0 && errno == EINTR);
    r->failed = n < 0;
    r->have += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* The next n bytes, at most PIECE; NULL at the end. They are gone with the next call. */
static const char *take(struct reading *r, size_t n)
{
    const char *bytes;

    while (r->have - r->at < n) {
        if (!fill(r)) {
            return NULL;
        }
    }
    bytes = r->piece + r->at;
    r->at += n;
    return bytes;
}

static bool rewind_to(struct reading *r, size_t at)
{
    r->have = r->at = 0;
    return lseek(r->fd, (off_t)at, SEEK_SET) == (off_t)at;
}

static bool read_head(struct reading *r, struct file_head *h, struct err *e)
{
    struct stat st;
    const char *bytes;

    if (fstat(r->fd, &st) < 0 || !rewind_to(r, 0) || !(bytes = take(r, sizeof *h))) {
        return refuse(e, "too short");
    }
    memcpy(h, bytes, sizeof *h);
    if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0 || h->version != VERSION) {
        return refuse(e, "another kind of file, or of another version");
    }
    if (st.st_size < 0 || h->size != (uint64_t)st.st_size) {
        return refuse(e, "its size is not what it says");
    }
    if (h->count > DETAILS_MAX || memchr(h->day, '\0', DETAILS_DAY_SIZE) == NULL ||
        !text_is_utf8(h->day, strlen(h->day)) || text_has_control(h->day, strlen(h->day))) {
        return refuse(e, "its head is damaged");
    }
    return true;
}

static bool check_crc(struct reading *r, const struct file_head *h, struct err *e)
{
    uint32_t crc = crc_of_head(h);

    for (;;) {
        crc =
            (uint32_t)crc32(crc, (const unsigned char *)r->piece + r->at, (uInt)(r->have - r->at));
        r->at = r->have;
        if (!fill(r)) {
            break;
        }
    }
    return (!r->failed && crc == h->crc) || refuse(e, "its checksum is wrong");
}

static bool take_text(const char **p, size_t len, char out[DETAIL_NAME_MAX + 1])
{
    if (len > DETAIL_NAME_MAX || !text_is_utf8(*p, len) || memchr(*p, '\0', len)) {
        return false;
    }
    memcpy(out, *p, len);
    out[len] = '\0';
    *p += len;
    return true;
}

/* It goes into answers as it is. */
static bool take_payload(const char *p, size_t len, struct detail *d)
{
    struct err ignored;
    cJSON *v = json_parse(p, len, &ignored);

    cJSON_Delete(v);
    d->text = v ? mem_try_array(len + 1, 1) : NULL;
    if (!d->text) {
        return false;
    }
    memcpy(d->text, p, len);
    d->text_len = len;
    return true;
}

/* As the store keeps them. */
static bool are_packed(const uint32_t value[STAT_COUNT])
{
    for (int i = 0; i < STAT_COUNT; i++) {
        if (value[i] > PACKED_VALUE_MAX) {
            return false;
        }
    }
    return true;
}

static bool is_sound(const struct file_record *r)
{
    return r->level >= 0 && r->level <= LEVEL_MAX && r->item_level >= DETAIL_UNKNOWN &&
           r->power >= DETAIL_UNKNOWN && r->kind < DETAIL_LONG && r->mode <= DETAIL_PROFILE &&
           r->packed_mode <= PACKED_PROFILE && are_packed(r->value) && r->failed_last <= 1 &&
           r->has_place <= 1 && (r->text_len > 0) == (r->kind == DETAIL_TEXT) &&
           r->text_len <= DETAIL_TEXT_MAX && (!r->has_place || (r->rank > 0 && r->server_rank > 0));
}

/* p: the texts behind the record. False: it is not as it was written. it->d is to be freed. */
static bool read_item(const struct file_record *r, const char *p, struct details_item *it)
{
    *it = (struct details_item){.key = r->key,
                                .has_place = r->has_place,
                                .rank = r->rank,
                                .server_rank = r->server_rank,
                                .d = {.id = r->id,
                                      .power = r->power,
                                      .fetched_us = r->fetched_us,
                                      .level = r->level,
                                      .item_level = r->item_level,
                                      .failed_last = r->failed_last,
                                      .mode = (enum detail_mode)r->mode,
                                      .kind = (enum detail_stats)r->kind}};
    memcpy(it->d.packed.value, r->value, sizeof r->value);
    it->d.packed.mode = (enum packed_mode)r->packed_mode;
    return take_text(&p, r->cls_len, it->d.cls) && take_text(&p, r->legion_len, it->d.legion) &&
           (r->kind != DETAIL_TEXT || take_payload(p, r->text_len, &it->d));
}

/* One character; a text that is not fit for an answer costs only that one. */
static bool take_one(struct reading *r)
{
    const char *bytes = take(r, sizeof(struct file_record));
    struct file_record rec;
    struct details_item it;

    if (!bytes) {
        return false;
    }
    memcpy(&rec, bytes, sizeof rec);
    bytes = take(r, (size_t)rec.cls_len + rec.legion_len + rec.text_len);
    if (!bytes || !is_sound(&rec)) {
        return false;
    }
    if (read_item(&rec, bytes, &it)) {
        it.has_place &= !r->other_day;
        details_restore(r->s, &it);
    }
    detail_fini(&it.d);
    return true;
}

static void take_day(struct reading *r, const struct file_head *h)
{
    char day[DETAILS_DAY_SIZE];

    details_day(r->s, day);
    if (day[0] == '\0' && h->day[0] != '\0') {
        details_begin_day(r->s, h->day);
    } else {
        r->other_day = strcmp(day, h->day) != 0;
    }
}

static bool read_all(struct reading *r, struct err *e)
{
    struct file_head h;

    if (!read_head(r, &h, e) || !check_crc(r, &h, e)) {
        return false;
    }
    if (!rewind_to(r, sizeof h)) {
        return refuse(e, "it cannot be read twice");
    }
    take_day(r, &h);
    for (uint32_t i = 0; i < h.count; i++) {
        if (!take_one(r)) {
            return refuse(e, "a character in it is damaged");
        }
    }
    return true;
}

bool details_file_read(int fd, struct details *s, struct err *e)
{
    struct reading r = {.fd = fd, .s = s, .piece = mem_try_array(PIECE, 1)};
    bool ok;

    if (!r.piece) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory to read " DETAILS_FILE_NAME);
    }
    ok = read_all(&r, e);
    free(r.piece);
    return ok;
}

bool details_file_load(const char *dir, struct details *s, struct err *e)
{
    int fd = state_file_open(dir, DETAILS_FILE_NAME, e);
    bool ok = fd >= 0 && details_file_read(fd, s, e);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}
