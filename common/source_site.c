#include "common/source_site.h"

#include <string.h>

static const struct service {
    const char *region;
    struct source_site site;
} SERVICES[] = {
    {"kr",
     {"https://api-search.plaync.com/aion2/search/v2/character", "https://aion2.plaync.com", "ko",
      NULL, false}},
    {"tw",
     {"https://tw.ncsoft.com/aion2/api/search/character", "https://tw.ncsoft.com/aion2", "zh", NULL,
      true}},
};
/* One service, five shards. */
static const struct source_site GLOBAL = {
    "https://api-search.plaync.com/aion2global/search/v2/character", "https://aion2.plaync.com",
    "en-US", NULL, false};

void source_site_init(struct source_site *site, const struct source_settings *s)
{
    *site = GLOBAL;
    site->shard = s->region;
    for (size_t i = 0; i < ARRAY_LEN(SERVICES); i++) {
        if (strcmp(SERVICES[i].region, s->region) == 0) {
            *site = SERVICES[i].site;
        }
    }
    site->search_url = s->search_url[0] ? s->search_url : site->search_url;
    site->base_url = s->base_url[0] ? s->base_url : site->base_url;
    site->lang = s->lang[0] ? s->lang : site->lang;
    if (strcmp(s->race, "auto") != 0) {
        site->needs_race = strcmp(s->race, "yes") == 0;
    }
}

/* Everything but the unreserved characters of RFC 3986. */
static void add_encoded(struct buf *url, const char *text)
{
    static const char PLAIN[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++) {
        if (strchr(PLAIN, *text)) {
            buf_addch(url, *text);
        } else {
            buf_addf(url, "%%%02X", (unsigned char)*text);
        }
    }
}

static void add_text(struct buf *url, const char *key, const char *value)
{
    buf_addch(url, url->data && strchr(url->data, '?') ? '&' : '?');
    buf_addf(url, "%s=", key);
    add_encoded(url, value);
}

static void add_number(struct buf *url, const char *key, int64_t value)
{
    buf_addf(url, "%c%s=%" PRId64, url->data && strchr(url->data, '?') ? '&' : '?', key, value);
}

bool source_site_search(const struct source_site *site, struct buf *url, const char *name,
                        int server_id, int page)
{
    buf_addstr(url, site->search_url);
    add_text(url, "keyword", name);
    if (site->needs_race) {
        add_number(url, "race", server_id / 1000); /* 1xxx Elyos, 2xxx Asmodian */
    }
    add_number(url, "serverId", server_id);
    add_number(url, "page", page);
    add_number(url, "size", SOURCE_SEARCH_SIZE);
    if (site->shard) {
        add_text(url, "region", site->shard);
        add_text(url, "localeInfo", site->lang);
    }
    return !url->failed;
}

/* What all the others begin with. */
static void add_who(const struct source_site *site, struct buf *url, const char *path,
                    const struct plaync_key *who)
{
    buf_addf(url, "%s/api/character/%s", site->base_url, path);
    add_text(url, "lang", site->lang);
    add_text(url, "characterId", who->character_id);
    add_number(url, "serverId", who->server_id);
    if (site->shard) {
        add_text(url, "region", site->shard);
    }
}

bool source_site_info(const struct source_site *site, struct buf *url, const struct plaync_key *who)
{
    add_who(site, url, "info", who);
    return !url->failed;
}

bool source_site_equipment(const struct source_site *site, struct buf *url,
                           const struct plaync_key *who)
{
    add_who(site, url, "equipment", who);
    return !url->failed;
}

bool source_site_item(const struct source_site *site, struct buf *url, const struct plaync_key *who,
                      const struct plaync_slot *slot)
{
    add_who(site, url, "equipment/item", who);
    add_number(url, "id", slot->item_id);
    add_number(url, "enchantLevel", slot->enchant);
    if (slot->exceed > 0) {
        add_number(url, "exceedLevel", slot->exceed);
    }
    add_number(url, "slotPos", slot->slot_pos);
    return !url->failed;
}

bool source_site_board(const struct source_site *site, struct buf *url,
                       const struct plaync_key *who, int board_id)
{
    add_who(site, url, "daevanion/detail", who);
    add_number(url, "boardId", board_id);
    return !url->failed;
}
