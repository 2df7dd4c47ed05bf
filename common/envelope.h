#ifndef COMMON_ENVELOPE_H
#define COMMON_ENVELOPE_H

#include "common/buf.h"
#include "common/json.h"

/*
 * kombu's envelope: what remote control and events are wrapped in, on channels and reply lists.
 * Pure. A stock worker exits, or turns deaf, on an envelope that lacks a member, so there is one
 * place that writes them, and it writes all.
 */
#define ENVELOPE_BYTES_MAX (16 * MIB)

struct envelope_to {
    const char *exchange;
    const char *routing_key;
    bool transient; /* delivery_mode 1: events and replies */
};

/*
 * Appends an envelope to out. headers: a JSON object as text, NULL for {}; body: JSON of body_len
 * bytes, which goes in as base64. False when out is full or memory is out.
 */
bool envelope_wrap(struct buf *out, const struct envelope_to *to, const char *headers,
                   const char *body, size_t body_len) MUST_CHECK;

struct envelope {
    cJSON *root;
    cJSON *body;          /* any JSON value */
    const cJSON *headers; /* an object inside root; NULL: none */
};

/*
 * Reads an envelope: the body may be base64 or plain text, its content JSON (a content type that
 * says something else is refused, and so is compression). False and *e when it is not one; *v is
 * for envelope_fini in any case.
 */
bool envelope_open(struct envelope *v, const char *bytes, size_t len, struct err *e) MUST_CHECK;
void envelope_fini(struct envelope *v);

#endif
