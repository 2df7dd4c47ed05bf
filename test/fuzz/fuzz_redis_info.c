/* The text that INFO answers, from whatever calls itself Redis. */

#include <stdlib.h>
#include <string.h>

#include "common/rds_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const FIELDS[] = {"role", "maxmemory_policy", "used_memory", ""};
    char *info = malloc(size + 1), text[16];
    struct err e = {.text = ""};
    int64_t n;

    memcpy(info, data, size);
    info[size] = '\0';
    MUST(rds_judge(info, &e) == RDS_SAFE || e.text[0] != '\0');
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        MUST(!rds_info_text(info, FIELDS[i], text, sizeof text) || strlen(text) < sizeof text);
        if (rds_info_i64(info, FIELDS[i], &n)) {
            MUST(strstr(info, FIELDS[i]));
        }
    }
    free(info);
    return 0;
}
