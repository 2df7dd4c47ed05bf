/* Text from outside on a terminal: fits, stays valid UTF-8, commands nothing. */

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "ctl/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    free(text);
    return 0;
}
