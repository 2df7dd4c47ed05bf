#include "common/token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char *const SCOPES[] = {"read", "operate", "admin"};

#define RANDOM_BYTES 32
#define PREFIX_LEN   (sizeof TOKEN_PREFIX - 1)
#define LOOKS_LIKE   16 /* characters after the prefix from which on a text is taken for a token */

const char *token_scope_name(enum token_scope scope)
{
    return SCOPES[scope];
}

bool token_scope_parse(const char *name, enum token_scope *scope)
{
    for (size_t i = 0; i < ARRAY_LEN(SCOPES); i++) {
        if (strcmp(SCOPES[i], name) == 0) {
            *scope = (enum token_scope)i;
            return true;
        }
    }
    return false;
}

static void fill_random(unsigned char *bytes, size_t len)
{
    ssize_t n;

    do {
        n = getrandom(bytes, len, 0); /* up to 256 bytes come at once */
    } while (n < 0 && errno == EINTR);
    MUST(n == (ssize_t)len);
}

void token_make(char out[TOKEN_SIZE])
{
    unsigned char bytes[RANDOM_BYTES + 1] = {0}; /* one more, so that groups of three are whole */
    char *p = out + PREFIX_LEN;

    fill_random(bytes, RANDOM_BYTES);
    memcpy(out, TOKEN_PREFIX, PREFIX_LEN);
    for (size_t i = 0; i < RANDOM_BYTES; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 |
                     (i + 2 < RANDOM_BYTES ? bytes[i + 2] : 0U);

        for (int shift = 18; shift >= 0 && p < out + TOKEN_SIZE - 1; shift -= 6) {
            *p++ = ALPHABET[v >> shift & 63];
        }
    }
    *p = '\0';
    OPENSSL_cleanse(bytes, sizeof bytes);
}

void token_hash(const void *bytes, size_t len, unsigned char out[TOKEN_HASH_SIZE])
{
    SHA256(bytes, len, out);
}

bool token_hash_equal(const unsigned char a[TOKEN_HASH_SIZE],
                      const unsigned char b[TOKEN_HASH_SIZE])
{
    return CRYPTO_memcmp(a, b, TOKEN_HASH_SIZE) == 0;
}

const char *token_hash_hex(const unsigned char hash[TOKEN_HASH_SIZE], char out[TOKEN_HEX_SIZE])
{
    char *p = stpcpy(out, "\\x");

    for (int i = 0; i < TOKEN_HASH_SIZE; i++) {
        p += snprintf(p, 3, "%02x", hash[i]);
    }
    return out;
}

bool token_hash_parse(const char *hex, unsigned char hash[TOKEN_HASH_SIZE])
{
    if (strncmp(hex, "\\x", 2) != 0 || strlen(hex) != TOKEN_HEX_SIZE - 1 ||
        strspn(hex + 2, "0123456789abcdef") != 2 * TOKEN_HASH_SIZE) {
        return false;
    }
    for (int i = 0; i < TOKEN_HASH_SIZE; i++) {
        unsigned byte;

        if (sscanf(hex + 2 + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        hash[i] = (unsigned char)byte;
    }
    return true;
}

void token_scrub_known(char *text, const char *token)
{
    size_t len = strlen(token);

    for (char *p = text; len > 0 && (p = strstr(p, token)) != NULL; p += len) {
        memset(p, '*', len);
    }
}

void token_scrub(char *text)
{
    for (char *p = text; (p = strstr(p, TOKEN_PREFIX)) != NULL;) {
        size_t len;

        p += PREFIX_LEN;
        len = strspn(p, ALPHABET);
        if (len >= LOOKS_LIKE) {
            memset(p, '*', len);
        }
        p += len;
    }
}
