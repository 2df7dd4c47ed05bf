/* Query strings and the two negotiated headers. */

#include <stdlib.h>
#include <string.h>

#include "api/negotiate.h"
#include "api/query.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct query_param PARAMS[] = {
        {"server", QUERY_TEXT_OPTIONAL, 0, 0, 0, ""},
        {"name", QUERY_TEXT, 0, 0, 0, ""},
        {"limit", QUERY_INT, 1, 1000, 100, ""},
    };
    struct query_value values[ARRAY_LEN(PARAMS)];
    struct query_error e;
    char *s = malloc(size + 1); /* of its own, so that reading past the end is seen */

    MUST(s);
    memcpy(s, data, size);
    s[size] = '\0';
    if (query_parse(s, PARAMS, ARRAY_LEN(PARAMS), values, &e)) {
        MUST(values[1].len > 0 && text_is_utf8(values[1].text, values[1].len));
        MUST(text_utf8_count(values[1].text, values[1].len) <= QUERY_TEXT_CHARS);
        MUST(values[2].number >= 1 && values[2].number <= 1000);
    } else {
        MUST(text_is_utf8(e.param, strlen(e.param)) && *e.detail);
    }
    (void)negotiate_gzip(s);
    MUST(!negotiate_not_modified(s, "\"a\"") || strchr(s, '*') || strstr(s, "\"a\""));
    free(s);
    return 0;
}
