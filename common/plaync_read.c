#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/plaync.h"
#include "common/text.h"

#define TITLES_MAX 3  /* one a category is worn */
#define LINES_MAX  64 /* of an item, a title or a board; more is nonsense */

static enum plaync_verdict unavailable(struct err *e, const char *what)
{
    err_set(e, ERR_RETRYABLE, "SourceError", "the source's answer is not understood: %s", what);
    return PLAYNC_UNAVAILABLE;
}

static enum plaync_verdict not_found(struct err *e)
{
    err_set(e, ERR_PERMANENT, "NotFound", "the source knows no such character");
    return PLAYNC_NOT_FOUND;
}

/* ---- the answer as a whole ---- */

bool plaync_is_json(const char *content_type)
{
    static const char JSON[] = "application/json";

    return content_type && strncasecmp(content_type, JSON, sizeof JSON - 1) == 0 &&
           strchr("; ", content_type[sizeof JSON - 1]); /* its NUL as well */
}

enum plaync_verdict plaync_judge(long status, const char *content_type, const cJSON *doc,
                                 struct err *e)
{
    const char *code = json_get_str(doc, "code");

    if (status == 200 && doc && plaync_is_json(content_type)) {
        return PLAYNC_OK;
    }
    /* A missing route is a 404 as well; only this code is about the character. */
    if (status == 404 && code && strcmp(code, "resource.not_found") == 0) {
        return not_found(e);
    }
    /* A redirect leads to a web page that says so. */
    if (status / 100 == 3 || status == 403 || status == 429 || status == 503 ||
        (status == 200 && !doc)) {
        err_set(e, ERR_RETRYABLE, "SourceBusy", "the source answered with status %ld and no data",
                status);
        return PLAYNC_BUSY;
    }
    err_set(e, ERR_RETRYABLE, "SourceError", "the source answered with status %ld", status);
    return PLAYNC_UNAVAILABLE;
}

/* A whole number; the site has some as texts. */
static bool get_i64(const cJSON *obj, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const char *text = json_get_str(obj, key);

    return text ? text_to_i64(text, min, max, out) : json_get_i64(obj, key, min, max, out);
}

static int get_int(const cJSON *obj, const char *key, int max, int fallback)
{
    int64_t v;

    return get_i64(obj, key, 0, max, &v) ? (int)v : fallback;
}

/* ---- search ---- */

/* The row has the name. One that is broken otherwise must not pass for "not found". */
static enum plaync_verdict read_hit(const cJSON *row, int server_id, struct plaync_hit *hit,
                                    struct err *e)
{
    const char *id = json_get_str(row, "characterId");

    hit->key.server_id = get_int(row, "serverId", INT_MAX, 0);
    if (hit->key.server_id > 0 && hit->key.server_id != server_id) {
        return PLAYNC_NOT_FOUND; /* a namesake */
    }
    hit->pc_id = get_int(row, "pcId", INT_MAX, 0);
    hit->level = get_int(row, "level", INT_MAX, 0);
    if (hit->key.server_id == 0 || !id || !plaync_decode_id(id, hit->key.character_id)) {
        return unavailable(e, "the server or the id of the character");
    }
    return PLAYNC_OK;
}

static bool has_name(const cJSON *row, const char *name, struct plaync_hit *hit)
{
    const char *html = json_get_str(row, "name");

    return html && plaync_clean_name(html, hit->name) && strcmp(hit->name, name) == 0;
}

enum plaync_verdict plaync_read_search(const cJSON *doc, const char *name, int server_id,
                                       struct plaync_hit *hit, struct err *e)
{
    const cJSON *list = json_get_arr(doc, "list");
    const cJSON *row;
    bool broken = false;
    int rows = 0;

    if (!list) {
        return unavailable(e, "field \"list\" is not an array");
    }
    cJSON_ArrayForEach(row, list)
    {
        if (++rows > PLAYNC_HITS_MAX) {
            break;
        }
        if (has_name(row, name, hit)) {
            enum plaync_verdict v = read_hit(row, server_id, hit, e);

            if (v == PLAYNC_OK) {
                return v;
            }
            broken |= v == PLAYNC_UNAVAILABLE;
        }
    }
    return broken ? PLAYNC_UNAVAILABLE : not_found(e);
}

bool plaync_has_more(const cJSON *doc, int page)
{
    return get_int(json_get_obj(doc, "pagination"), "endPage", INT_MAX, 0) > page;
}

/* ---- lines: an id and an amount ---- */

static const struct {
    const char *id;
    enum plaync_sum sum;
} LINE_IDS[] = {
    {"WeaponFixingDamage", SUM_WEAPON_FIXING_DAMAGE},
    {"FixingDamage", SUM_FIXING_DAMAGE},
    {"DamageRatio", SUM_DAMAGE_RATIO},
    {"AmplifyAllDamage", SUM_AMPLIFY_ALL},
    {"PvEAmplifyDamage", SUM_AMPLIFY_PVE},
    {"Critical", SUM_CRITICAL},
    {"CriticalRatio", SUM_CRITICAL_RATIO},
    {"AmplifyCriticalDamage", SUM_AMPLIFY_CRITICAL},
    {"CombatSpeed", SUM_COMBAT_SPEED},
    {"ArmorDefense", SUM_ARMOR_DEFENSE},
    {"Defense", SUM_DEFENSE},
    {"DefenseRatio", SUM_DEFENSE_RATIO},
    {"DecreaseDamage", SUM_DECREASE_DAMAGE},
    {"PvEDecreaseDamage", SUM_DECREASE_PVE},
    {"HPMax", SUM_HP_MAX},
    {"MaxHPRatio", SUM_HP_RATIO},
    {"HPMaxRatio", SUM_HP_RATIO},
};

static int find_line_id(const char *id)
{
    for (size_t i = 0; id && i < ARRAY_LEN(LINE_IDS); i++) {
        if (strcmp(LINE_IDS[i].id, id) == 0) {
            return (int)LINE_IDS[i].sum;
        }
    }
    return -1;
}

/* Titles and boards have texts in the language asked for instead of ids; the whole text counts. */
static const struct {
    enum plaync_sum sum;
    const char *texts[4]; /* ko, zh-TW, zh-CN, en */
} LINE_TEXTS[] = {
    {SUM_FIXING_DAMAGE, {"추가 공격력", "額外攻擊力", "额外攻击力", "Attack Bonus"}},
    {SUM_DEFENSE, {"추가 방어력", "額外防禦力", "额外防御力", "Defense Bonus"}},
    {SUM_HP_MAX, {"생명력", "生命力", "生命力", "HP"}},
    {SUM_CRITICAL, {"치명타", "暴擊", "暴击", "Critical Hit"}},
    {SUM_COMBAT_SPEED, {"전투 속도", "戰鬥速度", "战斗速度", "Combat Speed"}},
    {SUM_AMPLIFY_ALL, {"피해 증폭", "傷害增幅", "伤害增幅", "Damage Boost"}},
    {SUM_AMPLIFY_PVE, {"PVE 피해 증폭", "PVE傷害增幅", "PVE伤害增幅", "PvE Damage Boost"}},
    {SUM_DECREASE_DAMAGE, {"피해 내성", "傷害耐性", "伤害耐性", "Damage Tolerance"}},
    {SUM_DECREASE_PVE, {"PVE 피해 내성", "PVE傷害耐性", "PVE伤害耐性", "PvE Damage Tolerance"}},
    {SUM_AMPLIFY_CRITICAL,
     {"치명타 피해 증폭", "暴擊傷害增幅", "暴击伤害增幅", "Critical Damage Boost"}},
};

static int find_line_text(const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(LINE_TEXTS); i++) {
        for (size_t lang = 0; lang < ARRAY_LEN(LINE_TEXTS[i].texts); lang++) {
            const char *known = LINE_TEXTS[i].texts[lang];

            if (strlen(known) == len && memcmp(known, text, len) == 0) {
                return (int)LINE_TEXTS[i].sum;
            }
        }
    }
    return -1;
}

/* "<text> +35" or "<text> +5%": adds it when the text is one of ours. */
static bool add_text_line(const char *desc, struct plaync_sums *sums)
{
    const char *space = strrchr(desc, ' ');
    int sum = space ? find_line_text(desc, (size_t)(space - desc)) : -1;
    int64_t v;
    bool percent;

    if (sum < 0) {
        return true; /* an effect that does not count */
    }
    if (!plaync_read_amount(space + 1, &v, &percent)) {
        return false;
    }
    sums->at[sum] += v;
    return true;
}

/* [{"desc": "<text> +35"}, ...]; null is an empty list. */
static bool add_text_lines(const cJSON *list, struct plaync_sums *sums)
{
    const cJSON *line;
    int n = 0;

    if (!list || cJSON_IsNull(list)) {
        return true;
    }
    if (!cJSON_IsArray(list)) {
        return false;
    }
    cJSON_ArrayForEach(line, list)
    {
        const char *desc = json_get_str(line, "desc");

        if (++n > LINES_MAX || (desc && !add_text_line(desc, sums))) {
            return false;
        }
    }
    return true;
}

/* ---- info ---- */

/* Which line of which value is printed how; lines go by position, their texts are localised. */
static const struct {
    const char *type;
    int line;
    enum plaync_print print;
} PRINTS[] = {
    {"STR", 0, PRINT_STR_ATTACK},   {"Destruction", 0, PRINT_DESTRUCTION_ATTACK},
    {"AGI", 1, PRINT_AGI_CRITICAL}, {"Death", 0, PRINT_DEATH_CRITICAL},
    {"Time", 0, PRINT_TIME_SPEED},  {"Justice", 0, PRINT_JUSTICE_DEFENSE},
    {"CON", 0, PRINT_CON_HP},       {"Life", 0, PRINT_LIFE_HP},
};

/* The percentage at the end of a line: "공격력 증가 +15.8%". */
static bool read_print(const cJSON *line, int64_t *hundredths)
{
    const char *text = cJSON_GetStringValue(line);
    const char *space = text ? strrchr(text, ' ') : NULL;
    bool percent;

    return space && plaync_read_amount(space + 1, hundredths, &percent) && percent;
}

static bool read_value(const cJSON *stat, const char *type, struct plaync_info *info)
{
    const cJSON *lines = cJSON_GetObjectItemCaseSensitive(stat, "statSecondList");

    for (size_t i = 0; i < ARRAY_LEN(PRINTS); i++) {
        if (strcmp(PRINTS[i].type, type) != 0 || !cJSON_IsArray(lines)) {
            continue; /* the lines are null when the value is 0 */
        }
        if (!read_print(cJSON_GetArrayItem(lines, PRINTS[i].line),
                        &info->prints[PRINTS[i].print])) {
            return false;
        }
    }
    return true;
}

static bool read_values(const cJSON *doc, struct plaync_info *info)
{
    const cJSON *list = json_get_arr(json_get_obj(doc, "stat"), "statList");
    const cJSON *stat;
    int n = 0;

    if (!list) {
        return false;
    }
    cJSON_ArrayForEach(stat, list)
    {
        const char *type = json_get_str(stat, "type");

        if (++n > LINES_MAX || !type || !read_value(stat, type, info)) {
            return false;
        }
        if (strcmp(type, "ItemLevel") == 0) {
            get_i64(stat, "value", 0, INT32_MAX, &info->item_level);
        }
    }
    return true;
}

static bool read_titles(const cJSON *doc, struct plaync_info *info)
{
    const cJSON *title;
    int n = 0;

    cJSON_ArrayForEach(title, json_get_arr(json_get_obj(doc, "title"), "titleList"))
    {
        if (++n > TITLES_MAX ||
            !add_text_lines(cJSON_GetObjectItemCaseSensitive(title, "statList"), &info->titles) ||
            !add_text_lines(cJSON_GetObjectItemCaseSensitive(title, "equipStatList"),
                            &info->titles)) {
            return false;
        }
    }
    return true;
}

static void read_boards(const cJSON *doc, struct plaync_info *info)
{
    const cJSON *board;

    cJSON_ArrayForEach(board, json_get_arr(json_get_obj(doc, "daevanion"), "boardList"))
    {
        int id = get_int(board, "id", INT_MAX, 0);

        if (id > 0 && get_int(board, "openNodeCount", INT_MAX, 0) > 0 &&
            info->board_count < PLAYNC_BOARDS_MAX) {
            info->board_ids[info->board_count++] = id;
        }
    }
}

static bool read_profile(const cJSON *p, struct plaync_info *info)
{
    const char *id = json_get_str(p, "characterId");
    const char *name = json_get_str(p, "characterName");
    const char *legion = json_get_str(p, "regionName"); /* so it is called there */
    int64_t power;

    if (!id || !plaync_decode_id(id, info->key.character_id) || !name ||
        !plaync_clean_name(name, info->name) || info->name[0] == '\0') {
        return false;
    }
    if (!legion || !plaync_clean_name(legion, info->legion)) {
        info->legion[0] = '\0';
    }
    info->key.server_id = get_int(p, "serverId", INT_MAX, 0);
    info->level = get_int(p, "characterLevel", 1000, -1);
    info->pc_id = get_int(p, "pcId", INT_MAX, 0);
    info->race_id = get_int(p, "raceId", 2, 0);
    info->power = get_i64(p, "combatPower", 1, INT64_C(9007199254740991), &power) ? power : -1;
    return info->key.server_id > 0 && info->level >= 0;
}

enum plaync_verdict plaync_read_info(const cJSON *doc, const struct plaync_key *asked,
                                     struct plaync_info *info, struct err *e)
{
    const cJSON *profile = json_get_obj(doc, "profile");

    *info = (struct plaync_info){.power = -1, .item_level = -1};
    if (!profile) {
        return unavailable(e, "there is no profile");
    }
    if (!json_has(profile, "characterId") && !json_has(profile, "characterName")) {
        return not_found(e); /* a profile of nulls */
    }
    if (!read_profile(profile, info)) {
        return unavailable(e, "the profile lacks its id, name, server or level");
    }
    if (asked && (asked->server_id != info->key.server_id ||
                  strcmp(asked->character_id, info->key.character_id) != 0)) {
        return unavailable(e, "it is about another character");
    }
    if (!read_values(doc, info)) {
        return unavailable(e, "the list of values");
    }
    if (!read_titles(doc, info)) {
        return unavailable(e, "the lines of the titles");
    }
    read_boards(doc, info);
    return PLAYNC_OK;
}

/* ---- equipment, items, boards ---- */

enum plaync_verdict plaync_read_equipment(const cJSON *doc, struct plaync_slots *slots,
                                          struct err *e)
{
    const cJSON *equipment = json_get_obj(doc, "equipment");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(equipment, "equipmentList");
    const cJSON *skills = cJSON_GetObjectItemCaseSensitive(json_get_obj(doc, "skill"), "skillList");
    const cJSON *item;

    slots->count = 0;
    if (!equipment || (list && !cJSON_IsArray(list) && !cJSON_IsNull(list))) {
        return unavailable(e, "there is no equipment");
    }
    /* Everybody has skills; who has neither does not exist. */
    if (!cJSON_IsArray(list) && !cJSON_IsArray(skills)) {
        return not_found(e);
    }
    cJSON_ArrayForEach(item, list)
    {
        struct plaync_slot slot = {.enchant = get_int(item, "enchantLevel", 1000, 0),
                                   .exceed = get_int(item, "exceedLevel", 1000, 0),
                                   .slot_pos = get_int(item, "slotPos", 1000, -1)};

        if (!get_i64(item, "id", 0, INT64_C(9007199254740991), &slot.item_id) ||
            slot.slot_pos < 0 || slots->count == PLAYNC_SLOTS_MAX) {
            return unavailable(e, "a worn item lacks its id or slot, or there are too many");
        }
        if (slot.item_id > 0) {
            slots->at[slots->count++] = slot;
        }
    }
    return PLAYNC_OK;
}

/*
 * Stones of this kind come as whole numbers in hundredths of a percent, without the sign that every
 * other percentage has.
 */
static bool is_stone_percent(enum plaync_sum sum)
{
    return sum == SUM_AMPLIFY_ALL || sum == SUM_AMPLIFY_PVE || sum == SUM_AMPLIFY_CRITICAL ||
           sum == SUM_DECREASE_DAMAGE || sum == SUM_DECREASE_PVE;
}

static bool add_amount(const cJSON *line, const char *key, bool stone, int sum,
                       struct plaync_sums *sums)
{
    const char *text = json_get_str(line, key);
    int64_t v;
    bool percent;

    if (!text) {
        return !json_has(line, key); /* absent adds nothing; a number or an object is not ours */
    }
    if (!plaync_read_amount(text, &v, &percent)) {
        return false;
    }
    if (stone && !percent && is_stone_percent((enum plaync_sum)sum)) {
        v /= 100;
    }
    sums->at[sum] += v;
    return true;
}

struct line_list {
    const char *key;
    bool stone;
};

static bool add_id_lines(const cJSON *item, const struct line_list *l, struct plaync_sums *sums)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(item, l->key);
    const cJSON *line;
    int n = 0;

    if (!list || cJSON_IsNull(list)) {
        return true;
    }
    if (!cJSON_IsArray(list)) {
        return false;
    }
    cJSON_ArrayForEach(line, list)
    {
        int sum = find_line_id(json_get_str(line, "id"));

        if (++n > LINES_MAX) {
            return false;
        }
        if (sum >= 0 && (!add_amount(line, "value", l->stone, sum, sums) ||
                         !add_amount(line, "extra", l->stone, sum, sums))) {
            return false;
        }
    }
    return true;
}

bool plaync_is_no_item(const cJSON *doc)
{
    int64_t id;

    return get_i64(doc, "id", 0, 0, &id);
}

enum plaync_verdict plaync_add_item(const cJSON *doc, int64_t item_id, struct plaync_sums *sums,
                                    struct err *e)
{
    static const struct line_list LISTS[] = {
        {"mainStats", false}, {"subStats", false}, {"magicStoneStat", true}};
    struct plaync_sums more = *sums;
    int64_t id;

    if (!get_i64(doc, "id", 0, INT64_C(9007199254740991), &id)) {
        return unavailable(e, "the item lacks its id");
    }
    if (id == 0) {
        return PLAYNC_OK; /* the template of an empty slot: it was taken off meanwhile */
    }
    if (id != item_id) {
        return unavailable(e, "it is about another item");
    }
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        if (!add_id_lines(doc, &LISTS[i], &more)) {
            return unavailable(e, "the lines of an item");
        }
    }
    *sums = more;
    return PLAYNC_OK;
}

enum plaync_verdict plaync_add_board(const cJSON *doc, struct plaync_sums *sums, struct err *e)
{
    struct plaync_sums more = *sums;

    if (!cJSON_GetObjectItemCaseSensitive(doc, "openStatEffectList") ||
        !add_text_lines(cJSON_GetObjectItemCaseSensitive(doc, "openStatEffectList"), &more)) {
        return unavailable(e, "the effects of a board");
    }
    *sums = more;
    return PLAYNC_OK;
}
