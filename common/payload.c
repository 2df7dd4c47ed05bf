#include "common/payload.h"

#include <stdio.h>
#include <string.h>

#include "common/number.h"
#include "common/text.h"

#define KEY_MAX     16
#define KEY_UNKNOWN (-1)
#define KEY_MODE    STAT_COUNT /* the others are stats */

/* The known keys differ in length, so the length finds the only candidate. */
static const int8_t KEY_OF_LENGTH[KEY_MAX + 1] = {[0] = KEY_UNKNOWN,
                                                  [1] = KEY_UNKNOWN,
                                                  [2] = STAT_HP,
                                                  [3] = KEY_UNKNOWN,
                                                  [4] = KEY_MODE,
                                                  [5] = KEY_UNKNOWN,
                                                  [6] = STAT_ATTACK,
                                                  [7] = STAT_DEFENSE,
                                                  [8] = KEY_UNKNOWN,
                                                  [9] = STAT_CRIT_RATE,
                                                  [10] = STAT_DAMAGE_AMP,
                                                  [11] = STAT_CRIT_DAMAGE,
                                                  [12] = STAT_ATTACK_SPEED,
                                                  [13] = KEY_UNKNOWN,
                                                  [14] = KEY_UNKNOWN,
                                                  [15] = KEY_UNKNOWN,
                                                  [16] = STAT_DAMAGE_REDUCTION};

static const char MODE[] = "mode";
static const char PROFILE[] = "profile";

enum value_kind {
    VALUE_INVALID, /* not JSON */
    VALUE_STRING,
    VALUE_NUMBER,
    VALUE_OBJECT,
    VALUE_ARRAY,
    VALUE_TRUE,
    VALUE_FALSE,
    VALUE_NULL
};

static const char *const KIND_NAMES[] = {
    [VALUE_INVALID] = "not JSON", [VALUE_STRING] = "a string", [VALUE_NUMBER] = "a number",
    [VALUE_OBJECT] = "an object", [VALUE_ARRAY] = "an array",  [VALUE_TRUE] = "a boolean",
    [VALUE_FALSE] = "a boolean",  [VALUE_NULL] = "null"};

struct cursor {
    const char *p;
    const char *end;
};

/* A stat that is not usable: why, and where its text is. */
struct bad_stat {
    const char *text;
    size_t len;
    enum value_kind kind;
    bool negative; /* of a VALUE_NUMBER; otherwise it is too large */
};

struct reading {
    struct cursor c;
    struct payload_stats *stats;
    unsigned bad; /* bit 1 << stat */
    struct bad_stat why[STAT_COUNT];
    bool is_profile;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r')) {
        c->p++;
    }
}

/* Takes one given byte, after space. */
static bool take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->p < c->end && *c->p == wanted) {
        c->p++;
        return true;
    }
    return false;
}

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

/* At the backslash; the character it stands for, -1 when malformed. */
static int take_escape(struct cursor *c)
{
    static const char FROM[] = "\"\\/bfnrt";
    static const char TO[] = "\"\\/\b\f\n\r\t";
    const char *known;
    int value = 0;

    if (c->end - c->p < 2) {
        return -1;
    }
    c->p += 2;
    known = c->p[-1] ? strchr(FROM, c->p[-1]) : NULL;
    if (known) {
        return TO[known - FROM];
    }
    if (c->p[-1] != 'u' || c->end - c->p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*c->p++);

        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static bool skip_string(struct cursor *c)
{
    for (c->p++; c->p < c->end;) {
        unsigned char ch = (unsigned char)*c->p;

        if (ch == '"') {
            c->p++;
            return true;
        }
        if (ch < 0x20 || (ch == '\\' && take_escape(c) < 0)) {
            return false;
        }
        if (ch != '\\') {
            c->p++;
        }
    }
    return false;
}

static enum value_kind skip_word(struct cursor *c, const char *word, enum value_kind kind)
{
    size_t len = strlen(word);

    if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0) {
        return VALUE_INVALID;
    }
    c->p += len;
    return kind;
}

static enum value_kind skip_scalar(struct cursor *c)
{
    struct number number;
    size_t len;

    switch (c->p < c->end ? *c->p : '\0') {
    case '"':
        return skip_string(c) ? VALUE_STRING : VALUE_INVALID;
    case 't':
        return skip_word(c, "true", VALUE_TRUE);
    case 'f':
        return skip_word(c, "false", VALUE_FALSE);
    case 'n':
        return skip_word(c, "null", VALUE_NULL);
    default:
        len = number_read(c->p, (size_t)(c->end - c->p), &number);
        c->p += len;
        return len > 0 ? VALUE_NUMBER : VALUE_INVALID;
    }
}

/* Which brackets are open, innermost last. */
struct nesting {
    uint8_t is_object[PAYLOAD_DEPTH_MAX / 8];
    unsigned depth;
};

static bool nesting_in_object(const struct nesting *n)
{
    unsigned top = n->depth - 1;

    return n->is_object[top / 8] >> (top % 8) & 1;
}

static bool nesting_push(struct nesting *n, bool is_object)
{
    uint8_t bit = (uint8_t)(1u << (n->depth % 8));

    if (n->depth == PAYLOAD_DEPTH_MAX) {
        return false;
    }
    if (is_object) {
        n->is_object[n->depth / 8] |= bit;
    } else {
        n->is_object[n->depth / 8] &= (uint8_t)~bit;
    }
    n->depth++;
    return true;
}

static bool skip_key(struct cursor *c)
{
    skip_space(c);
    return c->p < c->end && *c->p == '"' && skip_string(c) && take(c, ':');
}

/* After a value: closes what ends here. False: malformed. Depth 0, or the next value follows. */
static bool after_value(struct cursor *c, struct nesting *n)
{
    while (n->depth > 0) {
        bool in_object = nesting_in_object(n);

        if (take(c, ',')) {
            return !in_object || skip_key(c);
        }
        if (!take(c, in_object ? '}' : ']')) {
            return false;
        }
        n->depth--;
    }
    return true;
}

/* At a bracket: goes in, up to the first value inside or past an empty pair. */
static bool enter(struct cursor *c, struct nesting *n)
{
    bool is_object = *c->p == '{';

    c->p++;
    if (!nesting_push(n, is_object)) {
        return false;
    }
    if (take(c, is_object ? '}' : ']')) {
        n->depth--;
        return after_value(c, n);
    }
    return !is_object || skip_key(c);
}

/* A whole array or object. */
static bool skip_nested(struct cursor *c)
{
    struct nesting n;
    bool ok;

    n.depth = 0;
    do {
        skip_space(c);
        if (c->p < c->end && (*c->p == '{' || *c->p == '[')) {
            ok = enter(c, &n);
        } else {
            ok = skip_scalar(c) != VALUE_INVALID && after_value(c, &n);
        }
    } while (ok && n.depth > 0);
    return ok;
}

static enum value_kind skip_value(struct cursor *c)
{
    skip_space(c);
    if (c->p < c->end && (*c->p == '{' || *c->p == '[')) {
        enum value_kind kind = *c->p == '{' ? VALUE_OBJECT : VALUE_ARRAY;

        return skip_nested(c) ? kind : VALUE_INVALID;
    }
    return skip_scalar(c);
}

static int known_key(const char *key, size_t len)
{
    int found = len <= KEY_MAX ? KEY_OF_LENGTH[len] : KEY_UNKNOWN;
    const char *name = found == KEY_MODE ? MODE : found >= 0 ? STAT_NAMES[found] : "";

    return found >= 0 && memcmp(key, name, len) == 0 ? found : KEY_UNKNOWN;
}

/*
 * What stands between the quotes of a string, if it is as short as a known key; returns its length.
 * All that matters is ASCII, so other characters only need to differ.
 */
static size_t take_short(const char *text, const char *end, char plain[KEY_MAX + 1])
{
    struct cursor c = {text, end};
    size_t len = 0;

    while (c.p < c.end && len < KEY_MAX + 1) {
        int ch = *c.p == '\\' ? take_escape(&c) : (unsigned char)*c.p++;

        plain[len++] = (char)(ch > 0 && ch < 0x80 ? ch : 0x7f);
    }
    return len;
}

/* A key written with escapes. */
static int known_escaped_key(const char *key, const char *end)
{
    char plain[KEY_MAX + 1];

    return known_key(plain, take_short(key, end, plain));
}

/* "key": and which it is; KEY_UNKNOWN for others. False: malformed. */
static bool read_key(struct cursor *c, int *key)
{
    const char *start;
    const char *end;

    skip_space(c);
    if (c->p == c->end || *c->p != '"') {
        return false;
    }
    start = c->p + 1;
    if (!skip_string(c)) {
        return false;
    }
    end = c->p - 1;
    *key = memchr(start, '\\', (size_t)(end - start)) ? known_escaped_key(start, end)
                                                      : known_key(start, (size_t)(end - start));
    return take(c, ':');
}

/* What nearly every stat is: up to 12 digits and nothing else. Takes nothing when it is not. */
static bool read_plain_integer(struct cursor *c, double *out)
{
    const char *p = c->p;
    int64_t v = 0;

    while (p < c->end && p - c->p <= 12 && *p >= '0' && *p <= '9') {
        v = v * 10 + (*p++ - '0');
    }
    if (p == c->p || p - c->p > 12 || (*c->p == '0' && p - c->p > 1) || p == c->end ||
        (*p != ',' && *p != '}')) {
        return false;
    }
    *out = (double)v;
    c->p = p;
    return true;
}

static void set_stat(struct reading *r, int stat, double value, bool whole)
{
    r->stats->value[stat] = value;
    r->stats->fractional &= ~(1u << stat);
    r->stats->fractional |= (whole ? 0u : 1u) << stat;
    r->bad &= ~(1u << stat);
}

static bool read_stat(struct reading *r, int stat)
{
    struct number number = {0};
    struct bad_stat why = {0};
    double value;

    skip_space(&r->c);
    if (read_plain_integer(&r->c, &value)) {
        set_stat(r, stat, value, true);
        return true;
    }
    why.text = r->c.p;
    why.kind = skip_value(&r->c);
    why.len = (size_t)(r->c.p - why.text);
    if (why.kind == VALUE_NUMBER) {
        (void)number_read(why.text, why.len, &number);
        if (!number.negative && !number.above) {
            set_stat(r, stat, number.value, number.whole);
            return true;
        }
        why.negative = number.negative;
    }
    r->bad |= 1u << stat;
    r->why[stat] = why;
    return why.kind != VALUE_INVALID;
}

static bool read_mode(struct reading *r)
{
    char plain[KEY_MAX + 1];
    const char *start;
    enum value_kind kind;

    skip_space(&r->c);
    start = r->c.p;
    kind = skip_value(&r->c);
    r->is_profile = kind == VALUE_STRING &&
                    take_short(start + 1, r->c.p - 1, plain) == sizeof PROFILE - 1 &&
                    memcmp(plain, PROFILE, sizeof PROFILE - 1) == 0;
    return kind != VALUE_INVALID;
}

static bool read_member(struct reading *r)
{
    int key;

    if (!read_key(&r->c, &key)) {
        return false;
    }
    if (key == KEY_MODE) {
        return read_mode(r);
    }
    return key == KEY_UNKNOWN ? skip_value(&r->c) != VALUE_INVALID : read_stat(r, key);
}

/* After the opening brace of an object that is not empty. */
static bool read_members(struct reading *r)
{
    do {
        if (!read_member(r)) {
            return false;
        }
    } while (take(&r->c, ','));
    return take(&r->c, '}');
}

static bool at_end(struct cursor *c)
{
    skip_space(c);
    return c->p == c->end;
}

static enum payload_kind fault_of_payload(struct payload_fault *fault, enum value_kind kind)
{
    fault->stat = "";
    snprintf(fault->reason, sizeof fault->reason, "payload is %s", KIND_NAMES[kind]);
    return PAYLOAD_BAD;
}

/* The start of the value's text, cut between characters. */
static void clip_text(char *dst, size_t cap, const struct bad_stat *why)
{
    size_t len = why->len < cap - 4 ? why->len : cap - 4;

    while (len > 0 && len < why->len && ((unsigned char)why->text[len] & 0xc0) == 0x80) {
        len--;
    }
    if (!text_is_utf8(why->text, len) || text_has_control(why->text, len)) {
        snprintf(dst, cap, "(not text)");
        return;
    }
    memcpy(dst, why->text, len);
    memcpy(dst + len, "...", 4);
    if (len == why->len) {
        dst[len] = '\0';
    }
}

static enum payload_kind fault_of_stat(const struct reading *r, struct payload_fault *fault)
{
    int stat = __builtin_ctz(r->bad);
    const struct bad_stat *why = &r->why[stat];
    char found[48];

    fault->stat = STAT_NAMES[stat];
    clip_text(found, sizeof found, why);
    if (why->kind == VALUE_NUMBER) {
        snprintf(fault->reason, sizeof fault->reason, "%s is %s", found,
                 why->negative ? "negative" : "above " NUMBER_LIMIT_TEXT);
    } else if (why->kind == VALUE_NULL) {
        snprintf(fault->reason, sizeof fault->reason, "null is not a number");
    } else {
        snprintf(fault->reason, sizeof fault->reason, "%s is %s, not a number", found,
                 KIND_NAMES[why->kind]);
    }
    return PAYLOAD_BAD;
}

enum payload_kind payload_parse(const char *text, size_t len, struct payload_stats *stats,
                                struct payload_fault *fault)
{
    struct reading r;
    enum value_kind kind;

    r.c = (struct cursor){text, text + len};
    r.stats = stats;
    r.bad = 0;
    r.is_profile = false;
    memset(stats, 0, sizeof *stats);
    if (!take(&r.c, '{')) {
        kind = skip_value(&r.c);
        return fault_of_payload(fault, at_end(&r.c) ? kind : VALUE_INVALID);
    }
    if (take(&r.c, '}')) {
        return at_end(&r.c) ? PAYLOAD_EMPTY : fault_of_payload(fault, VALUE_INVALID);
    }
    if (!read_members(&r) || !at_end(&r.c)) {
        return fault_of_payload(fault, VALUE_INVALID);
    }
    if (r.is_profile) {
        return PAYLOAD_PROFILE;
    }
    return r.bad ? fault_of_stat(&r, fault) : PAYLOAD_STATS;
}
