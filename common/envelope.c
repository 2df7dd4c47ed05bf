#include "common/envelope.h"

#include <string.h>

#include "common/b64.h"
#include "common/uuid.h"

bool envelope_wrap(struct buf *out, const struct envelope_to *to, const char *headers,
                   const char *body, size_t body_len)
{
    char tag[UUID_SIZE];

    uuid_random(tag);
    buf_addstr(out, "{\"body\": \"");
    b64_encode(out, body, body_len);
    buf_addstr(out, "\", \"content-encoding\": \"utf-8\", \"content-type\": \"application/json\", "
                    "\"headers\": ");
    buf_addstr(out, headers ? headers : "{}");
    buf_addf(out, ", \"properties\": {\"delivery_mode\": %d, \"delivery_info\": {\"exchange\": ",
             to->transient ? 1 : 2);
    buf_add_json(out, to->exchange, strlen(to->exchange));
    buf_addstr(out, ", \"routing_key\": ");
    buf_add_json(out, to->routing_key, strlen(to->routing_key));
    buf_addf(out, "}, \"priority\": 0, \"body_encoding\": \"base64\", \"delivery_tag\": \"%s\"}}",
             tag);
    return !out->failed;
}

static bool is_json_type(const cJSON *root)
{
    const char *type = json_get_str(root, "content-type");

    return !type || strcmp(type, "application/json") == 0;
}

/* The body's JSON, decoded when the properties say base64. */
static cJSON *read_body(const cJSON *root, struct err *e)
{
    const char *text = json_get_str(root, "body");
    const char *coding = json_get_str(json_get_obj(root, "properties"), "body_encoding");
    cJSON *body = NULL;
    struct buf bytes;

    if (!text) {
        err_set(e, ERR_PERMANENT, "ValueError", "an envelope without a body");
        return NULL;
    }
    if (!coding || strcmp(coding, "base64") != 0) {
        return json_parse(text, strlen(text), e);
    }
    buf_init(&bytes, ENVELOPE_BYTES_MAX);
    if (b64_decode(&bytes, text, strlen(text))) {
        body = json_parse(bytes.data ? bytes.data : "", bytes.len, e);
    } else {
        err_set(e, ERR_PERMANENT, "ValueError", "the envelope's body is not base64");
    }
    buf_fini(&bytes);
    return body;
}

bool envelope_open(struct envelope *v, const char *bytes, size_t len, struct err *e)
{
    *v = (struct envelope){0};
    if (len > ENVELOPE_BYTES_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "an envelope of %zu bytes", len);
    }
    v->root = json_parse(bytes, len, e);
    if (!v->root) {
        return false;
    }
    v->headers = json_get_obj(v->root, "headers");
    if (!cJSON_IsObject(v->root) || !is_json_type(v->root) || json_has(v->headers, "compression")) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "not an envelope with uncompressed JSON inside");
    }
    v->body = read_body(v->root, e);
    return v->body != NULL;
}

void envelope_fini(struct envelope *v)
{
    cJSON_Delete(v->root);
    cJSON_Delete(v->body);
    *v = (struct envelope){0};
}
