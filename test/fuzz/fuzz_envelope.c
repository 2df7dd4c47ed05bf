/*
 * What others publish and answer: envelopes, events inside them, requests of remote control. What
 * is read must be printable, and what is wrapped anew must read the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "common/pidbox.h"
#include "ctl/events_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const cJSON *event)
{
    static struct event_names names;
    static FILE *nowhere;
    struct term t = {.colour = true};

    nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
    t.out = nowhere;
    if (event_is_one(event)) {
        event_names_learn(&names, event);
        event_print_line(&t, event, &names, 80);
        event_print_line(&t, event, &names, 0);
        event_print_dump(&t, event);
    }
}

static void wrap_again(const struct envelope *v)
{
    struct envelope_to to = {.exchange = "x", .routing_key = "k"};
    char *body = json_print(v->body);
    struct envelope again;
    struct buf b;
    struct err e;

    MUST(body);
    buf_init(&b, ENVELOPE_BYTES_MAX);
    if (envelope_wrap(&b, &to, NULL, body, strlen(body))) {
        MUST(envelope_open(&again, b.data, b.len, &e));
        MUST((again.body->type & 0xff) == (v->body->type & 0xff));
        envelope_fini(&again);
    }
    buf_fini(&b);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct pidbox_request r;
    struct envelope v;
    struct err e;
    const cJSON *event;

    if (envelope_open(&v, bytes, size, &e)) {
        show(v.body);
        if (cJSON_IsArray(v.body)) {
            cJSON_ArrayForEach(event, v.body)
            {
                show(event);
            }
        }
        wrap_again(&v);
    }
    envelope_fini(&v);
    if (pidbox_read_request(bytes, size, &r, &e)) {
        (void)pidbox_address(&r, "aion2@host");
    }
    pidbox_request_fini(&r);
    return 0;
}
