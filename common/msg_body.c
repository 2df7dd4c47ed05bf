#include <bzlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "common/b64.h"
#include "common/msg_parts.h"

#define CHUNK (16 * KIB)

/* ---- decompression ---- */

static bool damaged(struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "the compressed body is damaged");
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory to decompress a body");
}

static bool too_long(const struct buf *out, struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "the body is longer than %zu bytes", out->max);
}

/* kombu calls it gzip and writes zlib; both headers are read. */
static bool unpack_zlib(const char *in, size_t len, struct buf *out, struct err *e)
{
    z_stream z = {0};
    int rc = Z_OK;

    if (inflateInit2(&z, 15 + 32) != Z_OK) { /* zlib or gzip, by its header */
        return no_memory(e);
    }
    z.next_in = (unsigned char *)(uintptr_t)in; /* zlib does not write there */
    z.avail_in = (unsigned)len;
    while (rc == Z_OK && buf_reserve(out, CHUNK)) {
        z.next_out = (unsigned char *)out->data + out->len;
        z.avail_out = CHUNK;
        rc = inflate(&z, Z_NO_FLUSH);
        out->len += CHUNK - z.avail_out;
    }
    inflateEnd(&z);
    return out->failed ? too_long(out, e) : rc == Z_STREAM_END || damaged(e);
}

static bool unpack_bzip2(const char *in, size_t len, struct buf *out, struct err *e)
{
    bz_stream z = {0};
    int rc = BZ_OK;

    if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK) {
        return no_memory(e);
    }
    z.next_in = (char *)(uintptr_t)in; /* libbz2 does not write there */
    z.avail_in = (unsigned)len;
    while (rc == BZ_OK && buf_reserve(out, CHUNK)) {
        z.next_out = out->data + out->len;
        z.avail_out = CHUNK;
        rc = BZ2_bzDecompress(&z);
        out->len += CHUNK - z.avail_out;
        if (rc == BZ_OK && z.avail_in == 0 && z.avail_out > 0) {
            break; /* it wants more than there is */
        }
    }
    BZ2_bzDecompressEnd(&z);
    return out->failed ? too_long(out, e) : rc == BZ_STREAM_END || damaged(e);
}

/* By the names under which kombu knows them. */
static const struct packing {
    const char *name;
    bool (*unpack)(const char *in, size_t len, struct buf *out, struct err *e);
} PACKINGS[] = {
    {"application/x-gzip", unpack_zlib}, {"gzip", unpack_zlib},   {"zlib", unpack_zlib},
    {"application/x-bz2", unpack_bzip2}, {"bzip2", unpack_bzip2}, {"bzip", unpack_bzip2},
};

/* *packing NULL: not compressed. */
static bool find_packing(const cJSON *headers, const struct packing **packing, struct err *e)
{
    const char *name = json_get_str(headers, "compression");

    *packing = NULL;
    for (size_t i = 0; name && i < ARRAY_LEN(PACKINGS); i++) {
        if (strcasecmp(name, PACKINGS[i].name) == 0) {
            *packing = &PACKINGS[i];
        }
    }
    return !name || *packing ||
           err_set(e, ERR_PERMANENT, "ContentDisallowed",
                   "header \"compression\": only zlib and bzip2 are accepted, not %.100s", name);
}

/* ---- the body ---- */

static bool is_one_of(const char *s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(s, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Only JSON in UTF-8. Pickle could run code; the others nobody has asked for. */
static bool check_content(const cJSON *root, struct err *e)
{
    static const char *const TYPES[] = {"application/json"};
    static const char *const ENCODINGS[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    const char *type = json_get_str(root, "content-type");
    const char *encoding = json_get_str(root, "content-encoding");

    if (type && !is_one_of(type, TYPES, ARRAY_LEN(TYPES))) {
        return err_set(e, ERR_PERMANENT, "ContentDisallowed",
                       "field \"content-type\": only application/json is accepted, not %.100s",
                       type);
    }
    if (encoding && !is_one_of(encoding, ENCODINGS, ARRAY_LEN(ENCODINGS))) {
        return err_set(e, ERR_PERMANENT, "ContentDisallowed",
                       "field \"content-encoding\": only utf-8 is accepted, not %.100s", encoding);
    }
    return true;
}

static bool decode_text(const cJSON *root, const char *body, struct buf *out, struct err *e)
{
    const char *encoding = json_get_str(json_get_obj(root, "properties"), "body_encoding");

    if (!encoding) {
        return buf_addstr(out, body) || no_memory(e);
    }
    if (strcasecmp(encoding, "base64") != 0) {
        return msg_refuse(e, "ValueError", "body_encoding", "base64 or null");
    }
    return b64_decode(out, body, strlen(body)) ||
           msg_refuse(e, "ValueError", "body", "valid base64");
}

bool msg_decode_body(struct msg *m, const cJSON *headers, struct err *e)
{
    const char *body = json_get_str(m->root, "body");
    const struct packing *packing;
    struct buf text, plain;
    struct buf *last = &text;
    bool ok = false;

    buf_init(&text, MSG_BYTES_MAX);
    buf_init(&plain, MSG_BYTES_MAX);
    if (!body) {
        msg_refuse(e, "ValueError", "body", "a text");
        goto out;
    }
    if (!check_content(m->root, e) || !find_packing(headers, &packing, e) ||
        !decode_text(m->root, body, &text, e)) {
        goto out;
    }
    if (packing) {
        last = &plain;
        if (!packing->unpack(text.data ? text.data : "", text.len, &plain, e)) {
            goto out;
        }
    }
    m->body = json_parse(last->data ? last->data : "", last->len, e);
    ok = m->body != NULL || err_prefix(e, "field \"body\"");
out:
    buf_fini(&text);
    buf_fini(&plain);
    return ok;
}
