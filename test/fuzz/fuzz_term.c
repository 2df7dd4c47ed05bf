/* Text from outside on a terminal: fits, stays valid UTF-8, commands nothing. */

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "ctl/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No line is wider than the terminal, and there are not more lines than allowed. */
static void check_wrapping(const char *text, int seed)
{
    char *lines = NULL, line[TERM_TEXT_SIZE], fitted[TERM_TEXT_SIZE];
    size_t len = 0;
    FILE *out = open_memstream(&lines, &len);
    struct term t = {.out = out};
    int count = 0;

    term_wrap(&t, TERM_PLAIN, seed % (TERM_COLUMNS - 1), 1 + seed % 4, text);
    fclose(out);
    for (char *p = lines; *p; p = strchr(p, '\n') + 1) {
        MUST(strcspn(p, "\n") < sizeof line);
        memcpy(line, p, strcspn(p, "\n"));
        line[strcspn(p, "\n")] = '\0';
        count++;
        MUST(text_is_utf8(line, strlen(line)));
        term_fit(fitted, line, TERM_COLUMNS);
        MUST(strcmp(fitted, line) == 0);
    }
    MUST(count <= 1 + seed % 4);
    free(lines);
}

/* A line that was fitted and is cut once more. */
static void check_clipping(const char *line, int width)
{
    char fitted[TERM_TEXT_SIZE];
    struct buf b;

    buf_init(&b, TERM_TEXT_SIZE);
    term_clip(&b, line, strlen(line), width);
    MUST(!b.failed && b.len <= strlen(line) && strncmp(line, b.data ? b.data : "", b.len) == 0);
    MUST(term_fit(fitted, b.data, TERM_TEXT_SIZE) <= width);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[TERM_TEXT_SIZE], again[TERM_TEXT_SIZE];
    int width = size > 0 ? data[0] : 0, used;
    char *text = strndup(size > 0 ? (const char *)data + 1 : "", size > 0 ? size - 1 : 0);

    MUST(text);
    used = term_fit(out, text, width);
    MUST(used >= 0 && used <= width);
    MUST(strlen(out) < sizeof out && text_is_utf8(out, strlen(out)));
    MUST(!text_has_control(out, strlen(out)));
    /* What fits is left as it is. */
    MUST(term_fit(again, out, width) == used);
    MUST(strcmp(out, again) == 0);
    check_clipping(out, width / 2);
    check_wrapping(text, width);
    free(text);
    return 0;
}
