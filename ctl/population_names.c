#include "ctl/population_names.h"

#include <stdio.h>
#include <string.h>

/* One name in eight is in Latin letters. */
#define LATIN_EVERY   8
#define SYLLABLE_BITS 7 /* 128 syllables of Hangul */
#define PAIR_BITS     6 /* 64 pairs of letters */
#define HANGUL_BYTES  3 /* of a syllable in UTF-8 */

static const char HANGUL[] = "가강건검결겸경고공광구궁권규금기길나낙난남노누늘다단달담대도동두"
                             "둔라락란람량려련로록루류르리린림마만매맹명모목무묵문미민바박반발"
                             "방백별보복봄봉불비빈빛사산상새서석선설성세소솔송수순슬승시신아안"
                             "애야양여연열영예오온용우욱운울원월유윤은음의이인일임자장재전정제";
_Static_assert(sizeof HANGUL - 1 == HANGUL_BYTES << SYLLABLE_BITS, "128 different syllables");

static const char LATIN[] = "babebibodadedidofafefifohahehihojajejijokakekikolalelilomamemimo"
                            "naneninopapepiporarerirosasesisotatetitovavevivoyayeyiyozazezizo";
_Static_assert(sizeof LATIN - 1 == 2 << PAIR_BITS, "64 different pairs");

static const char *const SERVERS[] = {
    "시엘",         "네자칸",   "바이젤",   "카이시넬", "유스티엘", "아리엘",   "프레기온",
    "메스람타에다", "히타니에", "나니아",   "타하바타", "루터스",   "페르노스", "다미누",
    "카사카",       "바카르마", "챈가룽",   "코치룽",   "이슈타르", "티아마트", "포에타",
    "이스라펠",     "지켈",     "트리니엘", "루미엘",   "마르쿠탄", "아스펠",   "에레슈키갈",
    "브리트라",     "네몬",     "하달",     "루드라",   "울고른",   "무닌",     "오다르",
    "젠카카",       "크로메데", "콰이링",   "바바룽",   "파프니르", "인드나흐", "이스할겐",
};

uint64_t population_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A bijection of 0 .. 2^bits - 1: every step can be undone. */
static uint64_t scatter(uint64_t v, unsigned bits, uint64_t seed)
{
    uint64_t mask = (UINT64_C(1) << bits) - 1;

    v = (v ^ seed) & mask;
    v = (v * UINT64_C(0x9e3779b97f4a7c15)) & mask;
    v ^= v >> (bits / 2);
    v = (v * UINT64_C(0xd6e8feb86659fd93)) & mask;
    return v ^ v >> (bits / 2);
}

static unsigned bits_for(uint64_t count, unsigned step)
{
    unsigned bits = 2 * step;

    while (UINT64_C(1) << bits < count) {
        bits += step;
    }
    return bits;
}

void name_maker_init(struct name_maker *n, uint64_t seed, uint64_t count)
{
    n->seed = population_mix(seed ^ UINT64_C(0x6e616d6573));
    n->hangul_bits = bits_for(count, SYLLABLE_BITS);
    n->latin_bits = bits_for(count / LATIN_EVERY + 1, PAIR_BITS);
}

/* Half the names have a syllable more: equal length means the same number of bits. */
static void write_hangul(const struct name_maker *n, uint64_t i, char *out)
{
    unsigned bits = n->hangul_bits + (i % 2 ? SYLLABLE_BITS : 0);
    uint64_t v = scatter(i, bits, n->seed);

    for (unsigned at = 0; at < bits; at += SYLLABLE_BITS, v >>= SYLLABLE_BITS) {
        size_t syllable = v & ((1u << SYLLABLE_BITS) - 1);

        memcpy(out, HANGUL + syllable * HANGUL_BYTES, HANGUL_BYTES);
        out += HANGUL_BYTES;
    }
    *out = '\0';
}

static void write_latin(const struct name_maker *n, uint64_t i, char *out)
{
    uint64_t v = scatter(i, n->latin_bits, n->seed);
    char *start = out;

    for (unsigned at = 0; at < n->latin_bits; at += PAIR_BITS, v >>= PAIR_BITS) {
        memcpy(out, LATIN + 2 * (v & ((1u << PAIR_BITS) - 1)), 2);
        out += 2;
    }
    *out = '\0';
    *start = (char)(*start - 'a' + 'A');
}

void name_maker_write(const struct name_maker *n, uint64_t i, char *out)
{
    if (i % LATIN_EVERY == LATIN_EVERY - 1) {
        write_latin(n, i / LATIN_EVERY, out);
    } else {
        write_hangul(n, i, out);
    }
}

void population_server_name(uint64_t i, char *out)
{
    if (i < ARRAY_LEN(SERVERS)) {
        snprintf(out, POPULATION_NAME_SIZE, "%s", SERVERS[i]);
    } else {
        snprintf(out, POPULATION_NAME_SIZE, "서버%" PRIu64, i + 1);
    }
}
