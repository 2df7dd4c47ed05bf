/* Query strings, the negotiated headers, and any text put into a page. */

#include <stdlib.h>
#include <string.h>

#include "api/html.h"
#include "api/negotiate.h"
#include "api/query.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever it is, a page reads only good values from it. */
static void pick(const char *s, const struct query_param *params, struct query_value *values)
{
    query_pick(s, params, 3, values);
    for (int i = 0; i < 2; i++) {
        MUST(values[i].given == (values[i].len > 0));
        MUST(text_is_utf8(values[i].text, values[i].len));
        MUST(text_utf8_count(values[i].text, values[i].len) <= QUERY_TEXT_CHARS);
    }
    MUST(values[2].number >= 1 && values[2].number <= 1000);
}

static void put_into_page(const char *s)
{
    struct buf b;

    buf_init(&b, MIB);
    html_add_text(&b, s);
    for (size_t i = 0; i < b.len; i++) {
        MUST(!strchr("<>\"'", b.data[i]) || b.data[i] == '\0');
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct query_param PARAMS[] = {
        {"server", QUERY_TEXT_OPTIONAL, 0, 0, 0, ""},
        {"name", QUERY_TEXT, 0, 0, 0, ""},
        {"limit", QUERY_INT, 1, 1000, 100, ""},
    };
    static const char *const LANGUAGES[] = {"ko", "en"};
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
    pick(s, PARAMS, values);
    put_into_page(s);
    (void)negotiate_gzip(s);
    (void)negotiate_html(s);
    MUST(negotiate_language(s, LANGUAGES, ARRAY_LEN(LANGUAGES)) < ARRAY_LEN(LANGUAGES));
    MUST(!negotiate_not_modified(s, "\"a\"") || strchr(s, '*') || strstr(s, "\"a\""));
    free(s);
    return 0;
}
