#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/source_parts.h"
#include "common/source_raw.h"
#include "common/source_site.h"
#include "common/text.h"

/*
 * The official site, as a table of steps. A lookup is search and info; a sheet goes on with the
 * equipment, one request a worn item and one a board.
 */
#define SEARCH_PAGES_MAX 5
#define ITEM_FRESH_S     (7 * 86400) /* new lines of an item do not show in the list of the worn */
#define BOARD_FRESH_S    600         /* only for a sheet that is tried again */

enum step { STEP_SEARCH, STEP_INFO, STEP_EQUIPMENT, STEP_ITEM, STEP_BOARD, STEP_COUNT };

struct plaync {
    struct source_site site;
    int server_id;
    int step;
    int at; /* page of the search, number of the item or board */
    bool searched;
    bool found;
    struct plaync_key who;
    struct raw before; /* only its items and boards */
    struct raw now;
    bool has_info;
    struct err missing; /* why a part is missing, cls ERR_NONE: none is */
};

static struct plaync *state_of(struct source_job *j)
{
    return j->state;
}

/* ---- the person ---- */

static void fill_person(const struct source_job *j, const struct plaync_info *info,
                        struct source_person *p)
{
    const char *cls = plaync_class_of(info->pc_id);

    *p = (struct source_person){
        .level = info->level, .power = info->power, .item_level = info->item_level};
    memcpy(p->server, j->server, sizeof p->server);
    text_copy(p->name, sizeof p->name, info->name);
    text_copy(p->cls, sizeof p->cls, cls ? cls : "");
    text_copy(p->source_id, sizeof p->source_id, info->key.character_id);
    if (text_utf8_count(info->legion, strlen(info->legion)) <= 64) {
        text_copy(p->legion, sizeof p->legion, info->legion);
    }
}

static void make_person(const struct source_job *j, const struct plaync *s, bool sheet,
                        struct source_person *p)
{
    int64_t stats[STAT_COUNT];
    struct plaync_sums sums;

    fill_person(j, &s->now.info, p);
    p->mode = sheet ? SOURCE_MODE_SHEET : SOURCE_MODE_PROFILE;
    raw_add_up(&s->now, &sums);
    if (sheet) {
        plaync_stats_sheet(&s->now.info, &sums, stats);
    } else {
        plaync_stats_profile(&s->now.info, stats);
    }
    p->stats_payload = source_stats_json(stats, p->mode);
    p->raw_payload = raw_print(&s->now);
}

/* Ends the job with what has been read: of a failed sheet at least the profile. */
static void end_job(struct source_job *j, const struct source_reply *how)
{
    const struct plaync *s = j->state;
    struct source_reply reply = *how;
    struct source_person p = {.mode = NULL};

    if (reply.outcome == SOURCE_FOUND || (j->sheet && s->has_info)) {
        make_person(j, s, j->sheet && reply.outcome == SOURCE_FOUND, &p);
        reply.person = &p;
    }
    source_job_end(j, &reply);
    free(p.stats_payload);
    free(p.raw_payload);
}

/* ---- the steps: which address, and what the answer says ---- */

static bool search_url(struct plaync *s, const struct source_job *j, struct buf *url)
{
    if (s->found) {
        return false;
    }
    return source_site_search(&s->site, url, j->name, s->server_id, s->at + 1);
}

static enum plaync_verdict read_search(struct source_job *j, const cJSON *doc, struct err *e)
{
    struct plaync *s = state_of(j);
    struct plaync_hit hit;
    enum plaync_verdict v = plaync_read_search(doc, j->name, s->server_id, &hit, e);

    s->searched = true;
    if (v == PLAYNC_OK) {
        s->who = hit.key;
        s->found = true;
    } else if (v == PLAYNC_NOT_FOUND && plaync_has_more(doc, s->at + 1)) {
        if (s->at + 1 < SEARCH_PAGES_MAX) {
            return PLAYNC_OK; /* the next page */
        }
        err_set(e, ERR_RETRYABLE, "SourceError",
                "too many characters have this in their name to find the one");
        return PLAYNC_UNAVAILABLE;
    }
    return v;
}

static bool info_url(struct plaync *s, UNUSED const struct source_job *j, struct buf *url)
{
    return !s->has_info && source_site_info(&s->site, url, &s->who);
}

static enum plaync_verdict read_info(struct source_job *j, const cJSON *doc, struct err *e)
{
    struct plaync *s = state_of(j);
    enum plaync_verdict v = plaync_read_info(doc, &s->who, &s->now.info, e);

    if (v == PLAYNC_OK && strcmp(s->now.info.name, j->name) != 0) {
        err_set(e, ERR_PERMANENT, "NotFound", "the character has another name now");
        return PLAYNC_NOT_FOUND;
    }
    s->has_info = v == PLAYNC_OK;
    if (s->has_info && j->raw_before) {
        raw_read_parts(j->raw_before, s->now.region, &s->who, &s->before);
    }
    return v;
}

static bool equipment_url(struct plaync *s, UNUSED const struct source_job *j, struct buf *url)
{
    return s->at == 0 && source_site_equipment(&s->site, url, &s->who);
}

static enum plaync_verdict read_equipment(struct source_job *j, const cJSON *doc, struct err *e)
{
    struct plaync *s = state_of(j);
    struct plaync_slots slots;
    enum plaync_verdict v = plaync_read_equipment(doc, &slots, e);

    if (v == PLAYNC_NOT_FOUND) {
        err_set(e, ERR_RETRYABLE, "SourceError", "the source knows the person, but no equipment");
        return PLAYNC_UNAVAILABLE;
    }
    for (int i = 0; v == PLAYNC_OK && i < slots.count; i++) {
        s->now.items[i] = (struct raw_item){.slot = slots.at[i]};
    }
    s->now.item_count = v == PLAYNC_OK ? slots.count : 0;
    return v;
}

/* The next item that has to be asked for; those that have not changed are taken over. */
static bool item_url(struct plaync *s, UNUSED const struct source_job *j, struct buf *url)
{
    for (; s->at < s->now.item_count; s->at++) {
        struct raw_item *item = &s->now.items[s->at];
        const struct raw_item *known =
            raw_find_item(&s->before, &item->slot, s->now.at_s - ITEM_FRESH_S);

        if (!known) {
            return source_site_item(&s->site, url, &s->who, &item->slot);
        }
        *item = *known;
    }
    return false;
}

static enum plaync_verdict read_item(struct source_job *j, const cJSON *doc, struct err *e)
{
    struct plaync *s = state_of(j);
    struct raw_item *item = &s->now.items[s->at];
    enum plaync_verdict v = plaync_add_item(doc, item->slot.item_id, &item->sums, e);

    /* One that was taken off meanwhile adds nothing, and that is not remembered of it. */
    item->at_s = v == PLAYNC_OK && !plaync_is_no_item(doc) ? s->now.at_s : 0;
    return v;
}

static bool board_url(struct plaync *s, UNUSED const struct source_job *j, struct buf *url)
{
    for (; s->at < s->now.info.board_count; s->at++) {
        struct raw_board *board = &s->now.boards[s->at];
        const struct raw_board *known;

        *board = (struct raw_board){.id = s->now.info.board_ids[s->at]};
        s->now.board_count = s->at + 1;
        known = raw_find_board(&s->before, board->id, s->now.at_s - BOARD_FRESH_S);
        if (!known) {
            return source_site_board(&s->site, url, &s->who, board->id);
        }
        *board = *known;
    }
    return false;
}

static enum plaync_verdict read_board(struct source_job *j, const cJSON *doc, struct err *e)
{
    struct plaync *s = state_of(j);
    struct raw_board *board = &s->now.boards[s->at];
    enum plaync_verdict v = plaync_add_board(doc, &board->sums, e);

    board->at_s = v == PLAYNC_OK ? s->now.at_s : 0;
    return v;
}

static const struct step_row {
    bool (*url)(struct plaync *s, const struct source_job *j, struct buf *url); /* false: done */
    source_read_fn read;
    bool part; /* one that is missing does not end the job, but it is no sheet then */
} STEPS[STEP_COUNT] = {
    [STEP_SEARCH] = {search_url, read_search, false},
    [STEP_INFO] = {info_url, read_info, false},
    [STEP_EQUIPMENT] = {equipment_url, read_equipment, true},
    [STEP_ITEM] = {item_url, read_item, true},
    [STEP_BOARD] = {board_url, read_board, true},
};

/* ---- from step to step ---- */

static void on_asked(struct source_job *j, const struct source_asked *a);

static void end_complete(struct source_job *j)
{
    struct err *missing = &state_of(j)->missing;

    end_job(j,
            missing->cls == ERR_NONE
                ? &(struct source_reply){.outcome = SOURCE_FOUND, .reason = ""}
                : &(struct source_reply){.outcome = SOURCE_UNAVAILABLE, .reason = missing->text});
}

/* Asks for the next thing that is missing. */
static void advance(struct source_job *j)
{
    struct plaync *s = state_of(j);
    int last = j->sheet ? STEP_BOARD : STEP_INFO;
    struct buf url;

    buf_init(&url, FETCH_URL_MAX);
    for (; s->step <= last; s->step++, s->at = 0) {
        if (STEPS[s->step].url(s, j, &url)) {
            break;
        }
        MUST(!url.failed);
    }
    if (s->step <= last) {
        memcpy(j->ask.url, url.data, url.len + 1);
        source_ask(j, STEPS[s->step].read, on_asked);
    } else {
        end_complete(j);
    }
    buf_fini(&url);
}

/* A character's id changes when it moves to another server and back. */
static bool search_again(struct plaync *s)
{
    if (s->step != STEP_INFO || s->searched) {
        return false;
    }
    s->step = STEP_SEARCH;
    s->at = 0;
    s->found = false;
    return true;
}

static void on_asked(struct source_job *j, const struct source_asked *a)
{
    struct plaync *s = state_of(j);
    bool part = STEPS[s->step].part;

    if (a->outcome == SOURCE_FOUND) {
        s->at++;
    } else if (a->outcome == SOURCE_NOT_FOUND && search_again(s)) {
        /* with the step that was set */
    } else if (part && (a->outcome == SOURCE_NOT_FOUND || a->outcome == SOURCE_UNAVAILABLE)) {
        s->missing = a->err;
        s->missing.cls = ERR_RETRYABLE;
        s->at++;
    } else {
        end_job(j, &(struct source_reply){.outcome = a->outcome,
                                          .retry_after_ms = a->retry_after_ms,
                                          .reason = a->err.text});
        return;
    }
    advance(j);
}

/* ---- life ---- */

static void begin(struct source_job *j)
{
    const struct source_settings *settings = j->src->settings;
    const struct realm *realm = realm_find(settings->region, j->server);
    struct plaync *s = mem_alloc(sizeof *s);

    MUST(realm); /* the job's server is canonical */
    j->state = s;
    source_site_init(&s->site, settings);
    s->server_id = realm->server_id;
    s->now.region = settings->region;
    s->now.at_s = clock_wall_us() / 1000000;
    if (j->source_id[0] && plaync_decode_id(j->source_id, s->who.character_id)) {
        s->who.server_id = s->server_id;
        s->found = true;
    }
    advance(j);
}

/* What has been read so far is worth something; before it began there is nothing. */
static void late(struct source_job *j)
{
    if (j->state) {
        end_job(j, &SOURCE_TOO_LATE);
    } else {
        source_job_end(j, &SOURCE_TOO_LATE);
    }
}

static void stop(struct source_job *j)
{
    source_ask_stop(j);
    free(j->state);
    j->state = NULL;
}

const struct source_adapter SOURCE_PLAYNC = {.name = "plaync",
                                             .asks_site = true,
                                             .lookup = begin,
                                             .sheet = begin,
                                             .late = late,
                                             .stop = stop};
