#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include "common/base.h"

/*
 * Bearer tokens of the operators' side: "a2_" and 43 characters of base64url, 32 random bytes.
 * What is stored is their SHA-256. Each scope may do what those before it may. Pure but for
 * token_make.
 */
#define TOKEN_PREFIX    "a2_"
#define TOKEN_SIZE      47 /* text and its NUL */
#define TOKEN_HASH_SIZE 32
#define TOKEN_NAME_MAX  64 /* characters of its name */

enum token_scope { TOKEN_READ, TOKEN_OPERATE, TOKEN_ADMIN, TOKEN_SCOPE_COUNT };

/* "read", "operate", "admin" */
const char *token_scope_name(enum token_scope scope);
bool token_scope_parse(const char *name, enum token_scope *scope) MUST_CHECK;

/* A new one. */
void token_make(char out[TOKEN_SIZE]);
/* SHA-256 of any bytes. */
void token_hash(const void *bytes, size_t len, unsigned char out[TOKEN_HASH_SIZE]);
/* In a time that does not depend on where they differ. */
bool token_hash_equal(const unsigned char a[TOKEN_HASH_SIZE],
                      const unsigned char b[TOKEN_HASH_SIZE]);
/* "\xDEADBEEF...": how PostgreSQL reads a bytea. */
#define TOKEN_HEX_SIZE (2 * TOKEN_HASH_SIZE + 3)
const char *token_hash_hex(const unsigned char hash[TOKEN_HASH_SIZE], char out[TOKEN_HEX_SIZE]);
/* The same back; false when it is not such a text. */
bool token_hash_parse(const char *hex, unsigned char hash[TOKEN_HASH_SIZE]) MUST_CHECK;

/*
 * Overwrites what looks like a token in the text with "*": people paste them where they do not
 * belong, and from there they would go into logs.
 */
void token_scrub(char *text);
/* The same for one that is known and may look otherwise; "" is none. */
void token_scrub_known(char *text, const char *token);

#endif
