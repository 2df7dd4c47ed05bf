#ifndef CTL_JSON_SCAN_H
#define CTL_JSON_SCAN_H

#include "common/buf.h"

/*
 * Strict JSON (RFC 8259) read in place, without a tree: an import checks gigabytes of payloads that
 * it only passes on. Refused beside wrong syntax, since jsonb refuses it too: \u0000, a lone
 * surrogate, a number outside the range of numeric. Nesting is limited to JSON_DEPTH_MAX.
 * The text must be valid UTF-8; that is the caller's check.
 */
enum json_kind {
    JSON_STRING,
    JSON_NUMBER,
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

/* Bytes of somebody else's buffer. p == NULL: absent. */
struct span {
    const char *p;
    size_t len;
};

struct json_scan {
    const char *p, *end;
    bool inside;     /* json_scan_member() is behind the opening brace */
    const char *why; /* static text, once something was refused */
};

struct json_member {
    struct span key;   /* between the quotes, escapes as they stand */
    struct span value; /* of a string: between the quotes, escapes as they stand */
    enum json_kind kind;
};

/* Whether text is one JSON value and nothing else. False: *why is a static text. */
bool json_scan_check(struct span text, enum json_kind *kind, const char **why) MUST_CHECK;

/* Walks the members of the object that text must be. */
void json_scan_object(struct json_scan *s, struct span text);
/* 1: *m is the next member; 0: that was all, the text ends well; -1: s->why says what is wrong. */
int json_scan_member(struct json_scan *s, struct json_member *m) MUST_CHECK;

/* Appends a string that was scanned, its escapes resolved. */
void json_scan_decode(struct span raw, struct buf *out);

/* Whether text is a JSON number that numeric can hold. */
bool json_scan_is_number(struct span text);

#endif
