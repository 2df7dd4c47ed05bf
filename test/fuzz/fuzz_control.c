/* Requests of remote control: whatever is read can be answered, and the answer can be read. */

#include <stdlib.h>
#include <string.h>

#include "common/pidbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct pidbox_request *r)
{
    char list[PIDBOX_LIST_SIZE];
    struct pidbox_reply reply = {
        .reply_to = r->reply_to, .ticket = r->ticket, .node = "n@h", .value = "null", .clock = 1};
    struct envelope answer;
    struct buf out;
    struct err e;

    buf_init(&out, ENVELOPE_BYTES_MAX);
    if (!pidbox_list(list, r->reply_to) || !pidbox_write_reply(&out, &reply) ||
        !envelope_open(&answer, out.data, out.len, &e)) {
        abort();
    }
    envelope_fini(&answer);
    buf_fini(&out);
}

/* The parser of bodies has its own way in: most inputs would end at the envelope. */
static bool read_as_body(const uint8_t *data, size_t size, struct pidbox_request *r, struct err *e)
{
    struct envelope_to to = {.exchange = "x", .routing_key = ""};
    struct buf out;
    bool ok;

    buf_init(&out, ENVELOPE_BYTES_MAX);
    if (!envelope_wrap(&out, &to, NULL, (const char *)data, size)) {
        abort();
    }
    ok = pidbox_read_request(out.data, out.len, r, e);
    buf_fini(&out);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int as_body = 0; as_body < 2; as_body++) {
        struct pidbox_request r;
        struct err e = {0};
        bool ok = as_body ? read_as_body(data, size, &r, &e)
                          : pidbox_read_request((const char *)data, size, &r, &e);

        if (!ok && e.text[0] == '\0') {
            abort(); /* every refusal says why */
        }
        if (ok && (!r.method || pidbox_address(&r, "n@h") > PIDBOX_UNKNOWN_MATCHER)) {
            abort();
        }
        if (ok && r.reply_to) {
            check_answer(&r);
        }
        pidbox_request_fini(&r);
    }
    return 0;
}
