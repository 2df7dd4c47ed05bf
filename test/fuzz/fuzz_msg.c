/* Task messages. What is accepted must survive being rewritten, with the same meaning. */

#include <stdlib.h>
#include <string.h>

#include "common/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rewritten(struct msg *m)
{
    struct msg again;
    struct err e;
    size_t len;
    char *text;

    if (msg_needs_adoption(m) && !msg_adopt(m, "an-id", INT64_C(1700000000000), &e)) {
        abort();
    }
    if (!msg_set_retries(m, 7, MSG_NO_TIME, &e)) {
        abort();
    }
    text = msg_print(m, &len);
    if (!text) {
        return; /* longer than allowed now */
    }
    if (msg_parse(text, len, &again, &e) != MSG_OK || strcmp(again.id, m->id) != 0 ||
        strcmp(again.task, m->task) != 0 || again.retries != 7 ||
        again.expires_us != m->expires_us || msg_needs_adoption(&again)) {
        abort();
    }
    msg_fini(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg m;
    struct err e = {0};
    enum msg_verdict v = msg_parse((const char *)data, size, &m, &e);

    if (v == MSG_OK) {
        check_rewritten(&m);
    } else if (e.text[0] == '\0' || (v == MSG_REFUSED) != (m.id[0] != '\0')) {
        abort(); /* every refusal says why, and only to somebody */
    }
    msg_fini(&m);
    return 0;
}
