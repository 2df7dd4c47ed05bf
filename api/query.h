#ifndef API_QUERY_H
#define API_QUERY_H

#include "common/buf.h"

/*
 * The query string of a request against a table of the parameters that an endpoint knows. Strict:
 * a parameter that is unknown, comes twice, is out of range or is not valid UTF-8 is refused.
 */
#define QUERY_PARAMS_MAX 8
#define QUERY_TEXT_CHARS 64  /* as in the table characters */
#define QUERY_TEXT_BYTES 256 /* 64 characters of 4 bytes */
#define QUERY_PAIR_CHARS 129 /* two of them with a colon between */
#define QUERY_PAIR_BYTES 516

enum query_kind { QUERY_INT, QUERY_TEXT, QUERY_TEXT_OPTIONAL };

struct query_param {
    const char *name;
    enum query_kind kind;
    int64_t min, max, fallback; /* QUERY_INT; of a text max: characters, 0: QUERY_TEXT_CHARS */
    const char *help;           /* for the description of the api */
};

struct query_value {
    bool given;
    int64_t number;
    size_t len;
    char text[QUERY_PAIR_BYTES + 1]; /* within QUERY_TEXT_BYTES for QUERY_TEXT_CHARS */
};

struct query_error {
    char param[QUERY_TEXT_BYTES + 1]; /* "": no parameter to name */
    char detail[320];                 /* a sentence for the client */
};

/*
 * query: what follows "?", may be NULL. values[i] belongs to params[i], n <= QUERY_PARAMS_MAX. An
 * empty optional text counts as not given. False and *e (a 400) on refusal.
 */
bool query_parse(const char *query, const struct query_param *params, size_t n,
                 struct query_value *values, struct query_error *e) MUST_CHECK;

/*
 * The same for addresses that people pass around: what is unknown or malformed is passed over, of
 * a parameter that comes twice the first good value counts.
 */
void query_pick(const char *query, const struct query_param *params, size_t n,
                struct query_value *values);

/*
 * One value (a segment of a path, say) against p, where "+" is itself. The same refusals.
 */
bool query_parse_value(const struct query_param *p, const char *s, size_t len,
                       struct query_value *v, struct query_error *e) MUST_CHECK;

/* Most characters of a text. */
int query_text_max(const struct query_param *p);

/* Percent-decoding, "+" is a space. False when malformed or longer than cap. */
bool query_decode(const char *s, size_t len, char *out, size_t cap, size_t *out_len) MUST_CHECK;

/* Appends s percent-encoded, as the value of a parameter. */
void query_encode(struct buf *b, const char *s);

#endif
