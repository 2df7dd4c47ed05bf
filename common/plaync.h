#ifndef COMMON_PLAYNC_H
#define COMMON_PLAYNC_H

#include "common/json.h"
#include "common/stats.h"

/*
 * What the official site answers, read and mapped to our eight stats. Pure: no network, no clock.
 * The site publishes no final stats; they are added up from worn items, titles and Daevanion boards
 * ("sheet"), or taken from the printed percentages of the profile alone ("profile"). The two are
 * different scales and are never ranked together. docs/source.md has the rules and where they come
 * from. Everything here is hostile input: HTML in names, numbers as texts, null lists, wrong ids.
 */
#define PLAYNC_ID_SIZE    64  /* of a characterId; the site's have 44 characters */
#define PLAYNC_NAME_SIZE  257 /* 64 code points of 4 bytes */
#define PLAYNC_SLOTS_MAX  48
#define PLAYNC_BOARDS_MAX 16
#define PLAYNC_HITS_MAX   200 /* of one search page */

/* How an answer is to be taken. Only PLAYNC_NOT_FOUND may be remembered as "no such character". */
enum plaync_verdict {
    PLAYNC_OK,
    PLAYNC_NOT_FOUND,
    PLAYNC_BUSY,        /* 403, 429, 503, a web page: leave the site alone for a while */
    PLAYNC_UNAVAILABLE, /* anything else that is not a sensible answer */
};

/* A content type of ours; NULL is none. */
bool plaync_is_json(const char *content_type);

/* What the status line, the content type and the JSON say together. doc may be NULL (no JSON). */
enum plaync_verdict plaync_judge(long status, const char *content_type, const cJSON *doc,
                                 struct err *e);

/* Whom we ask for: an answer about somebody else is no answer. */
struct plaync_key {
    char character_id[PLAYNC_ID_SIZE]; /* plain, not percent-encoded */
    int server_id;
};

struct plaync_hit {
    struct plaync_key key;
    char name[PLAYNC_NAME_SIZE];
    int pc_id; /* 0: the answer has none */
    int level;
};
/*
 * The hit with exactly this name on this server, among those of a search answer (which match
 * anywhere in the name). PLAYNC_NOT_FOUND: none of them is it.
 */
enum plaync_verdict plaync_read_search(const cJSON *doc, const char *name, int server_id,
                                       struct plaync_hit *hit, struct err *e);
/* Whether more pages follow this one (from 1) of a search. */
bool plaync_has_more(const cJSON *doc, int page);

/* Sums over lines of items, titles and boards, each in hundredths of its unit. */
enum plaync_sum {
    SUM_WEAPON_FIXING_DAMAGE,
    SUM_FIXING_DAMAGE,
    SUM_DAMAGE_RATIO,
    SUM_AMPLIFY_ALL,
    SUM_AMPLIFY_PVE,
    SUM_CRITICAL,
    SUM_CRITICAL_RATIO,
    SUM_AMPLIFY_CRITICAL,
    SUM_COMBAT_SPEED,
    SUM_ARMOR_DEFENSE,
    SUM_DEFENSE,
    SUM_DEFENSE_RATIO,
    SUM_DECREASE_DAMAGE,
    SUM_DECREASE_PVE,
    SUM_HP_MAX,
    SUM_HP_RATIO,
    SUM_COUNT
};
struct plaync_sums {
    int64_t at[SUM_COUNT];
};

/* Percentages that the profile prints, in hundredths of a percent. */
enum plaync_print {
    PRINT_STR_ATTACK,
    PRINT_DESTRUCTION_ATTACK,
    PRINT_AGI_CRITICAL,
    PRINT_DEATH_CRITICAL,
    PRINT_TIME_SPEED,
    PRINT_JUSTICE_DEFENSE,
    PRINT_CON_HP,
    PRINT_LIFE_HP,
    PRINT_COUNT
};

struct plaync_info {
    struct plaync_key key;
    char name[PLAYNC_NAME_SIZE];
    char legion[PLAYNC_NAME_SIZE]; /* "": none */
    int level;
    int pc_id;
    int race_id;        /* 1 Elyos, 2 Asmodian, 0 unknown */
    int64_t power;      /* -1: unknown */
    int64_t item_level; /* -1: unknown */
    int64_t prints[PRINT_COUNT];
    struct plaync_sums titles;
    int board_ids[PLAYNC_BOARDS_MAX]; /* boards with at least one open node */
    int board_count;
};
/* asked: NULL takes any character. */
enum plaync_verdict plaync_read_info(const cJSON *doc, const struct plaync_key *asked,
                                     struct plaync_info *info, struct err *e);

struct plaync_slot {
    int64_t item_id;
    int enchant;
    int exceed;
    int slot_pos;
};
struct plaync_slots {
    struct plaync_slot at[PLAYNC_SLOTS_MAX];
    int count;
};
enum plaync_verdict plaync_read_equipment(const cJSON *doc, struct plaync_slots *slots,
                                          struct err *e);

/* Adds the lines of one worn item, or of the open nodes of one board. An empty item (id 0) adds
 * nothing. On anything but PLAYNC_OK the sums are as before. */
enum plaync_verdict plaync_add_item(const cJSON *doc, int64_t item_id, struct plaync_sums *sums,
                                    struct err *e);
/* The template of an empty slot. */
bool plaync_is_no_item(const cJSON *doc);
enum plaync_verdict plaync_add_board(const cJSON *doc, struct plaync_sums *sums, struct err *e);

/* The eight stats; sums of items and boards, without the titles (they are in info). */
void plaync_stats_sheet(const struct plaync_info *info, const struct plaync_sums *sums,
                        int64_t stats[STAT_COUNT]);
void plaync_stats_profile(const struct plaync_info *info, int64_t stats[STAT_COUNT]);

/* "Gladiator" ... for a pcId; NULL when it is unknown (a class newer than this program). */
const char *plaync_class_of(int pc_id);

/* Text of the site for people: tags removed, entities unescaped once. False: too long, not UTF-8 or
 * with control characters. */
bool plaync_clean_name(const char *html, char out[PLAYNC_NAME_SIZE]);
/* %XX undone once. False: a broken escape, too long, or bytes that no id has. */
bool plaync_decode_id(const char *text, char out[PLAYNC_ID_SIZE]);

/* "+10.6%", "346", "-3%" in hundredths; *percent: with a percent sign. False: not a number. */
bool plaync_read_amount(const char *text, int64_t *hundredths, bool *percent);

#endif
