#include "common/source_raw.h"

#include <limits.h>
#include <string.h>

#define RAW_BYTES_MAX (256 * KIB)
#define SUM_MAX       INT64_C(9007199254740991)

static const char *const SUM_NAMES[SUM_COUNT] = {
    [SUM_WEAPON_FIXING_DAMAGE] = "WeaponFixingDamage",
    [SUM_FIXING_DAMAGE] = "FixingDamage",
    [SUM_DAMAGE_RATIO] = "DamageRatio",
    [SUM_AMPLIFY_ALL] = "AmplifyAllDamage",
    [SUM_AMPLIFY_PVE] = "PvEAmplifyDamage",
    [SUM_CRITICAL] = "Critical",
    [SUM_CRITICAL_RATIO] = "CriticalRatio",
    [SUM_AMPLIFY_CRITICAL] = "AmplifyCriticalDamage",
    [SUM_COMBAT_SPEED] = "CombatSpeed",
    [SUM_ARMOR_DEFENSE] = "ArmorDefense",
    [SUM_DEFENSE] = "Defense",
    [SUM_DEFENSE_RATIO] = "DefenseRatio",
    [SUM_DECREASE_DAMAGE] = "DecreaseDamage",
    [SUM_DECREASE_PVE] = "PvEDecreaseDamage",
    [SUM_HP_MAX] = "HPMax",
    [SUM_HP_RATIO] = "MaxHPRatio",
};
static const char *const PRINT_NAMES[PRINT_COUNT] = {
    [PRINT_STR_ATTACK] = "STR",   [PRINT_DESTRUCTION_ATTACK] = "Destruction",
    [PRINT_AGI_CRITICAL] = "AGI", [PRINT_DEATH_CRITICAL] = "Death",
    [PRINT_TIME_SPEED] = "Time",  [PRINT_JUSTICE_DEFENSE] = "Justice",
    [PRINT_CON_HP] = "CON",       [PRINT_LIFE_HP] = "Life",
};

/* ---- writing ---- */

static void add_text(struct buf *b, const char *key, const char *text)
{
    buf_addf(b, "\"%s\":", key);
    buf_add_json(b, text, strlen(text));
    buf_addch(b, ',');
}

static void add_number(struct buf *b, const char *key, int64_t v)
{
    buf_addf(b, "\"%s\":%" PRId64 ",", key, v);
}

/* {"name":value,...} of those that are not 0. */
static void add_values(struct buf *b, const char *key, const char *const *names, const int64_t *v,
                       int n)
{
    const char *comma = "";

    buf_addf(b, "\"%s\":{", key);
    for (int i = 0; i < n; i++) {
        if (v[i] != 0) {
            buf_addf(b, "%s\"%s\":%" PRId64, comma, names[i], v[i]);
            comma = ",";
        }
    }
    buf_addch(b, '}');
}

static void add_info(struct buf *b, const struct plaync_info *info)
{
    buf_addstr(b, "\"info\":{");
    add_text(b, "id", info->key.character_id);
    add_text(b, "name", info->name);
    add_text(b, "legion", info->legion);
    add_number(b, "server", info->key.server_id);
    add_number(b, "level", info->level);
    add_number(b, "pc", info->pc_id);
    add_number(b, "race", info->race_id);
    add_number(b, "power", info->power);
    add_number(b, "item_level", info->item_level);
    add_values(b, "printed", PRINT_NAMES, info->prints, PRINT_COUNT);
    buf_addch(b, ',');
    add_values(b, "titles", SUM_NAMES, info->titles.at, SUM_COUNT);
    buf_addch(b, '}');
}

static void add_item(struct buf *b, const struct raw_item *i, const char *comma)
{
    buf_addf(b, "%s{", comma);
    add_number(b, "slot", i->slot.slot_pos);
    add_number(b, "id", i->slot.item_id);
    add_number(b, "enchant", i->slot.enchant);
    add_number(b, "exceed", i->slot.exceed);
    add_number(b, "at", i->at_s);
    add_values(b, "sums", SUM_NAMES, i->sums.at, SUM_COUNT);
    buf_addch(b, '}');
}

static void add_board(struct buf *b, const struct raw_board *d, const char *comma)
{
    buf_addf(b, "%s{", comma);
    add_number(b, "id", d->id);
    add_number(b, "at", d->at_s);
    add_values(b, "sums", SUM_NAMES, d->sums.at, SUM_COUNT);
    buf_addch(b, '}');
}

char *raw_print(const struct raw *r)
{
    struct buf b;
    const char *comma = "";

    buf_init(&b, RAW_BYTES_MAX);
    buf_addstr(&b, "{\"source\":\"plaync\",");
    add_text(&b, "region", r->region);
    add_number(&b, "at", r->at_s);
    add_info(&b, &r->info);
    buf_addstr(&b, ",\"items\":[");
    for (int i = 0; i < r->item_count; i++) {
        if (r->items[i].at_s > 0) {
            add_item(&b, &r->items[i], comma);
            comma = ",";
        }
    }
    buf_addstr(&b, "],\"boards\":[");
    comma = "";
    for (int i = 0; i < r->board_count; i++) {
        if (r->boards[i].at_s > 0) {
            add_board(&b, &r->boards[i], comma);
            comma = ",";
        }
    }
    buf_addstr(&b, "]}");
    MUST(!b.failed);
    return buf_take(&b, NULL);
}

/* ---- reading ---- */

static bool read_sums(const cJSON *part, struct plaync_sums *sums)
{
    const cJSON *o = json_get_obj(part, "sums");

    for (int i = 0; o && i < SUM_COUNT; i++) {
        if (json_has(o, SUM_NAMES[i]) &&
            !json_get_i64(o, SUM_NAMES[i], -SUM_MAX, SUM_MAX, &sums->at[i])) {
            return false;
        }
    }
    return o != NULL;
}

static bool read_int(const cJSON *o, const char *key, int *out)
{
    int64_t v;
    bool ok = json_get_i64(o, key, 0, INT_MAX, &v);

    *out = ok ? (int)v : 0;
    return ok;
}

static bool read_item(const cJSON *o, struct raw_item *i)
{
    *i = (struct raw_item){0};
    return read_int(o, "slot", &i->slot.slot_pos) && read_int(o, "enchant", &i->slot.enchant) &&
           read_int(o, "exceed", &i->slot.exceed) &&
           json_get_i64(o, "id", 1, SUM_MAX, &i->slot.item_id) &&
           json_get_i64(o, "at", 1, SUM_MAX, &i->at_s) && read_sums(o, &i->sums);
}

static bool read_board(const cJSON *o, struct raw_board *d)
{
    *d = (struct raw_board){0};
    return read_int(o, "id", &d->id) && json_get_i64(o, "at", 1, SUM_MAX, &d->at_s) &&
           read_sums(o, &d->sums);
}

static bool is_about(const cJSON *doc, const char *region, const struct plaync_key *who)
{
    const cJSON *info = json_get_obj(doc, "info");
    const char *source = json_get_str(doc, "source"), *id = json_get_str(info, "id");
    const char *of = json_get_str(doc, "region");
    int64_t server;

    return source && strcmp(source, "plaync") == 0 && of && strcmp(of, region) == 0 && id &&
           strcmp(id, who->character_id) == 0 &&
           json_get_i64(info, "server", 1, INT_MAX, &server) && server == who->server_id;
}

/* A part that is not as it was written is left out: it is asked for again. */
bool raw_read_parts(const char *text, const char *region, const struct plaync_key *who,
                    struct raw *r)
{
    struct err e;
    cJSON *doc = json_parse(text, strlen(text), &e);
    bool ok = doc && is_about(doc, region, who);
    const cJSON *items = ok ? json_get_arr(doc, "items") : NULL;
    const cJSON *boards = ok ? json_get_arr(doc, "boards") : NULL;
    const cJSON *part;

    r->item_count = r->board_count = 0;
    cJSON_ArrayForEach(part, items)
    {
        if (r->item_count < PLAYNC_SLOTS_MAX && read_item(part, &r->items[r->item_count])) {
            r->item_count++;
        }
    }
    cJSON_ArrayForEach(part, boards)
    {
        if (r->board_count < PLAYNC_BOARDS_MAX && read_board(part, &r->boards[r->board_count])) {
            r->board_count++;
        }
    }
    cJSON_Delete(doc);
    return ok;
}

const struct raw_item *raw_find_item(const struct raw *before, const struct plaync_slot *slot,
                                     int64_t since_s)
{
    for (int i = 0; i < before->item_count; i++) {
        const struct raw_item *it = &before->items[i];

        if (it->slot.slot_pos == slot->slot_pos && it->slot.item_id == slot->item_id &&
            it->slot.enchant == slot->enchant && it->slot.exceed == slot->exceed &&
            it->at_s >= since_s) {
            return it;
        }
    }
    return NULL;
}

const struct raw_board *raw_find_board(const struct raw *before, int id, int64_t since_s)
{
    for (int i = 0; i < before->board_count; i++) {
        if (before->boards[i].id == id && before->boards[i].at_s >= since_s) {
            return &before->boards[i];
        }
    }
    return NULL;
}

void raw_add_up(const struct raw *r, struct plaync_sums *sums)
{
    *sums = (struct plaync_sums){0};
    for (int k = 0; k < SUM_COUNT; k++) {
        for (int i = 0; i < r->item_count; i++) {
            sums->at[k] += r->items[i].sums.at[k];
        }
        for (int i = 0; i < r->board_count; i++) {
            sums->at[k] += r->boards[i].sums.at[k];
        }
    }
}
