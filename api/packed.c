#include "api/packed.h"

#include <string.h>

/* The order of jsonb: by the length of the key, then by its bytes. */
static const enum stat_key ORDER[STAT_COUNT] = {
    STAT_HP,         STAT_ATTACK,      STAT_DEFENSE,      STAT_CRIT_RATE,
    STAT_DAMAGE_AMP, STAT_CRIT_DAMAGE, STAT_ATTACK_SPEED, STAT_DAMAGE_REDUCTION,
};
/* "mode" comes after the first of them. */
static const char *const MODES[] = {
    [PACKED_SHEET] = ", \"mode\": \"sheet\"",
    [PACKED_PROFILE] = ", \"mode\": \"profile\"",
};

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *c, const char *s)
{
    size_t len = strlen(s);

    if ((size_t)(c->end - c->p) < len || memcmp(c->p, s, len) != 0) {
        return false;
    }
    c->p += len;
    return true;
}

/* Digits without a sign, a fraction or a zero in front. */
static bool take_value(struct cursor *c, uint32_t *out)
{
    const char *start = c->p;
    uint32_t v = 0;

    while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && v <= PACKED_VALUE_MAX) {
        v = v * 10 + (uint32_t)(*c->p++ - '0');
    }
    *out = v;
    return c->p > start && v <= PACKED_VALUE_MAX && (*start != '0' || c->p == start + 1);
}

static enum packed_mode take_mode(struct cursor *c)
{
    return take(c, MODES[PACKED_SHEET])     ? PACKED_SHEET
           : take(c, MODES[PACKED_PROFILE]) ? PACKED_PROFILE
                                            : PACKED_NO_MODE;
}

bool packed_parse(const char *text, size_t len, struct packed_stats *out)
{
    struct cursor c = {text, text + len};

    for (int i = 0; i < STAT_COUNT; i++) {
        if (!take(&c, i ? ", \"" : "{\"") || !take(&c, STAT_NAMES[ORDER[i]]) || !take(&c, "\": ") ||
            !take_value(&c, &out->value[ORDER[i]])) {
            return false;
        }
        if (i == 0) {
            out->mode = take_mode(&c);
        }
    }
    return take(&c, "}") && c.p == c.end;
}

void packed_print(struct buf *b, const struct packed_stats *p)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        buf_addstr(b, i ? ", \"" : "{\"");
        buf_addstr(b, STAT_NAMES[ORDER[i]]);
        buf_addstr(b, "\": ");
        buf_addi64(b, p->value[ORDER[i]]);
        if (i == 0 && p->mode != PACKED_NO_MODE) {
            buf_addstr(b, MODES[p->mode]);
        }
    }
    buf_addch(b, '}');
}
