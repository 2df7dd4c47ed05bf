/* CSV as an import reads it. Also: a record is the same however the bytes are cut. */
#include <stdlib.h>
#include <string.h>

#include "ctl/import_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies, so that the sanitizer sees a read beyond the end and undoubling has its own bytes. */
static char *copy_of(const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    MUST(copy);
    memcpy(copy, data, len);
    return copy;
}

static void check_record(const struct csv_record *r, const char *data, size_t len)
{
    MUST(r->consumed > 0 && r->consumed <= len);
    for (size_t i = 0; i < r->n && i < CSV_FIELDS_MAX; i++) {
        MUST(r->field[i].p >= data && r->field[i].p + r->field[i].len <= data + len);
    }
}

/* Whatever part was there before: the answer is "more" or the one that the whole gives. */
static void check_cut(const char *data, size_t len, size_t cut, const struct csv_record *whole)
{
    struct csv_record r;
    char *part = copy_of(data, cut);

    if (csv_parse(part, cut, false, &r) == CSV_RECORD) {
        MUST(r.n == whole->n && r.consumed == whole->consumed && r.consumed <= len);
    }
    free(part);
}

static void read_all(char *data, size_t len)
{
    static const char HEADER[] = "server,name,class,level,power,stats_payload,raw_payload\n";
    struct import_csv csv = {0};
    struct import_record rec;
    struct buf out;
    struct err e;
    char header[sizeof HEADER];

    memcpy(header, HEADER, sizeof HEADER);
    MUST(import_csv_next(&csv, header, sizeof HEADER - 1, true, &rec) == IMPORT_BLANK);
    buf_init(&out, 16 * MIB);
    for (size_t at = 0; at < len; at += rec.consumed) {
        if (import_csv_next(&csv, data + at, len - at, true, &rec) == IMPORT_ROW &&
            import_row_encode(&rec.cells, &out, &e)) {
            MUST(import_row_key_len(out.data) <= out.len);
        }
        buf_reset(&out);
        MUST(rec.consumed > 0);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct csv_record r;
    char *copy = copy_of(text, size);

    if (size > 0 && csv_parse(copy, size, true, &r) == CSV_RECORD) {
        check_record(&r, copy, size);
        check_cut(text, size, size / 2, &r);
        check_cut(text, size, size - 1, &r);
    }
    free(copy);
    copy = copy_of(text, size);
    read_all(copy, size);
    free(copy);
    return 0;
}
