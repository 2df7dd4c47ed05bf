/* Lines of the log as JSON: whatever a line holds, the object can be read. */

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1); /* of its own, so that reading past the end is seen */
    char out[LOG_JSON_MAX];
    struct err e;
    cJSON *v;
    size_t n;

    MUST(line);
    memcpy(line, data, size);
    line[size] = '\0';
    n = log_to_json(line, out);
    MUST(n <= sizeof out && !memchr(out, '\n', n));
    v = json_parse(out, n, &e);
    MUST(v);
    cJSON_Delete(v);
    log_has_field(line, "id");
    free(line);
    return 0;
}
