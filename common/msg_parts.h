#ifndef COMMON_MSG_PARTS_H
#define COMMON_MSG_PARTS_H

#include "common/msg.h"

/* The inside of msg_parse: msg.c (forms), msg_fields.c (one reader per field), msg_body.c (the
 * envelope's body: encoding, compression). */

/* Sets *e to: field "name": expected ... Returns false. */
bool msg_refuse(struct err *e, const char *type, const char *field, const char *expected);

/* The members of the object that carries a message's fields, by the table for m->form. */
bool msg_read_fields(const cJSON *obj, struct msg *m, struct err *e) MUST_CHECK;
/* The third element of a protocol 2 body. */
bool msg_read_embed(const cJSON *embed, struct msg *m, struct err *e) MUST_CHECK;
/* What the envelope says beside the headers. Nothing in there can be wrong enough to refuse. */
void msg_read_properties(const cJSON *root, struct msg *m);
/* The task's id from the object, as m->id. False and *e: it is there and no id. */
bool msg_read_id(const cJSON *obj, const char *member, struct msg *m, struct err *e) MUST_CHECK;
bool msg_read_args(const cJSON *v, struct msg *m, struct err *e) MUST_CHECK;
bool msg_read_kwargs(const cJSON *v, struct msg *m, struct err *e) MUST_CHECK;

/* The body's JSON as m->body. headers may be NULL. */
bool msg_decode_body(struct msg *m, const cJSON *headers, struct err *e) MUST_CHECK;

#endif
