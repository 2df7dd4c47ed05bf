#ifndef CTL_IMPORT_NDJSON_H
#define CTL_IMPORT_NDJSON_H

#include "ctl/import_row.h"

struct import_ndjson {
    struct buf scratch; /* strings whose escapes were resolved */
    bool has_id;
};

void import_ndjson_init(struct import_ndjson *nd);
void import_ndjson_fini(struct import_ndjson *nd);

/* The next line: an object with the keys of IMPORT_COLUMNS, each of its JSON type or null. */
enum import_status import_ndjson_next(struct import_ndjson *nd, char *data, size_t len, bool eof,
                                      struct import_record *rec) MUST_CHECK;

#endif
