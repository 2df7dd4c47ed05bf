/* Every small parser of common/ on the same bytes: JSON, base64, ISO times, Redis URLs, UTF-8. */

#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/rds.h"
#include "common/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What b64_decode accepts must encode back to the same text. */
static void base64_round_trip(const char *text, size_t len)
{
    struct buf plain, again;

    buf_init(&plain, MIB);
    buf_init(&again, MIB);
    if (b64_decode(&plain, text, len) && len > 0) {
        bool same;

        MUST(b64_encode(&again, plain.data, plain.len));
        /* The unused bits of the last character may differ; the length may not. */
        same = again.len == len;
        MUST(same);
    }
    buf_fini(&plain);
    buf_fini(&again);
}

/* What json_parse accepts prints as JSON that it accepts again. */
static void json_round_trip(const char *text, size_t len)
{
    struct err e;
    cJSON *v = json_parse(text, len, &e);
    char *printed;

    if (!v) {
        MUST(e.text[0] != '\0');
        return;
    }
    printed = json_print(v);
    cJSON_Delete(v);
    MUST(printed);
    v = json_parse(printed, strlen(printed), &e);
    MUST(v);
    cJSON_Delete(v);
    free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct rds_addr addr;
    struct err e;
    int64_t v;

    memcpy(text, data, size);
    text[size] = '\0';
    json_round_trip(text, size);
    base64_round_trip(text, size);
    if (clock_parse_iso(text, &v)) {
        char iso[CLOCK_ISO_SIZE];
        int64_t again;

        MUST(clock_parse_iso(clock_iso(v, "Z", iso), &again) && again == v);
    }
    if (text_n_to_i64(text, size, -100, 100, &v)) {
        MUST(v >= -100 && v <= 100);
    }
    if (!rds_parse_url(text, &addr, &e)) {
        MUST(e.text[0] != '\0');
    }
    conf_mask_url(text);
    log_quote(text);
    free(text);
    return 0;
}
