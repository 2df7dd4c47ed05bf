#ifndef COMMON_SOURCE_H
#define COMMON_SOURCE_H

#include <event2/event.h>

#include "common/conf.h"
#include "common/rdsa.h"
#include "common/source_person.h"

/*
 * Where characters come from, asked on a libevent loop: nothing blocks. Two adapters: "dummy" makes
 * a character up from server and name, the same each time; "plaync" asks the official site,
 * politely (docs/source.md): one pace and one connection for the whole deployment, kept in Redis,
 * equal lookups are one, "no such character" is remembered for a while. One struct source belongs
 * to one loop.
 */

/* ---- settings: the same in every program that asks ---- */

struct source_settings {
    const char *adapter;
    const char *region;
    const char *search_url; /* "": the region's, as the other two */
    const char *base_url;
    const char *lang;
    const char *race; /* whether a search has to name the race: auto, yes, no */
    const char *contact;
    int64_t interval_ms;
    int64_t timeout_ms;
};

/* Rows of a program's table of settings; field: its struct source_settings. */
#define SOURCE_CONF_ITEMS(st, field)                                                               \
    CONF_CHOICE("SOURCE_ADAPTER", st, field.adapter, "dummy", "dummy|plaync",                      \
                "where characters come from: made up, or the official site"),                      \
        CONF_CHOICE("SOURCE_REGION", st, field.region, "kr", "kr|tw|nae|naw|eu|la|as",             \
                    "service of the game, which says what servers there are"),                     \
        CONF_STR("SOURCE_SEARCH_URL", st, field.search_url, "", CONF_PLAIN,                        \
                 "address of the site's search (empty: the region's)"),                            \
        CONF_STR("SOURCE_BASE_URL", st, field.base_url, "", CONF_PLAIN,                            \
                 "address before /api/character/... (empty: the region's)"),                       \
        CONF_STR("SOURCE_LANG", st, field.lang, "", CONF_PLAIN,                                    \
                 "language that the site is asked in (empty: the region's)"),                      \
        CONF_CHOICE("SOURCE_RACE", st, field.race, "auto", "auto|yes|no",                          \
                    "whether a search must name the race (auto: as the region needs it)"),         \
        CONF_STR("SOURCE_CONTACT", st, field.contact, "", CONF_PLAIN,                              \
                 "mail or web address told to the site with every request; plaync needs it"),      \
        CONF_INT("SOURCE_INTERVAL_MS", st, field.interval_ms, "1000", 1, 60000,                    \
                 "milliseconds between two requests of the whole deployment"),                     \
        CONF_INT("SOURCE_TIMEOUT_MS", st, field.timeout_ms, "8000", 100, 60000,                    \
                 "milliseconds that one request may take")

/* What the table cannot check: a contact for plaync, addresses that are some. */
bool source_settings_check(const struct source_settings *s, struct err *e) MUST_CHECK;

/*
 * The canonical name of a server given in any of its languages. plaync: NULL when the region has
 * none of that name. dummy: takes any other name as it is.
 */
const char *source_server_name(const struct source_settings *s, const char *text);

/* ---- asking ---- */

enum source_outcome {
    SOURCE_FOUND,
    SOURCE_NOT_FOUND,   /* there is no such character (or server) */
    SOURCE_RESTING,     /* nobody may ask the source for retry_after_ms */
    SOURCE_CROWDED,     /* too many wait for it; worth another try in retry_after_ms */
    SOURCE_UNAVAILABLE, /* no sensible answer; says nothing about the character */
};
#define SOURCE_OUTCOME_COUNT (SOURCE_UNAVAILABLE + 1)
/* "found", "not_found", ... */
const char *source_outcome_name(enum source_outcome outcome);

/* Everything in it is gone after the callback. */
struct source_reply {
    enum source_outcome outcome;
    /*
     * Set when FOUND. With another outcome of source_sheet it may be set, too: what was read before
     * that went wrong, of mode "profile"; its raw_payload saves the next try the same requests.
     */
    const struct source_person *person;
    int64_t retry_after_ms; /* RESTING, CROWDED */
    const char *reason;     /* a sentence for people; "" when FOUND */
};
typedef void (*source_fn)(void *ctx, const struct source_reply *reply);

struct source;
struct source_call;

/* Scripts that the connection given to a source has to load (struct rdsa_config). */
extern struct script *const SOURCE_SCRIPTS[];
extern const size_t SOURCE_SCRIPT_COUNT;

struct source_config {
    struct event_base *base;
    const struct source_settings *settings; /* borrowed */
    struct rdsa *rdsa; /* borrowed; NULL, or down: this process keeps a pace of its own */
    int64_t lookup_ms,
        sheet_ms; /* how long either may take; 0: SOURCE_LOOKUP_MS, SOURCE_SHEET_MS */
};
/* NULL and *e when the settings will not do. */
struct source *source_new(const struct source_config *config, struct err *e) MUST_CHECK;
/* Outstanding calls are forgotten without a word. Not from within a source_fn. */
void source_free(struct source *s);

/*
 * Looks a person up by a server's name in any of its languages and a character's exact name. Two
 * requests by plaync: the answer is of mode "profile" and the caller has the sheet made. fn is
 * called once, from the loop, never from within this call, at the latest after SOURCE_LOOKUP_MS.
 * NULL and *e: too many calls wait already.
 */
#define SOURCE_LOOKUP_MS 20000
#define SOURCE_CALLS_MAX 1024
struct source_call *source_lookup(struct source *s, const char *server, const char *name,
                                  source_fn fn, void *ctx, struct err *e) MUST_CHECK;

/* Whom a sheet is made for, and what was known before. The texts are copied. */
struct source_who {
    const char *server;
    const char *name;
    const char *source_id;   /* "" or NULL: not known, it is searched */
    const char *raw_payload; /* of an earlier time, NULL: none; unchanged items are not asked for */
};
/*
 * Everything about a person, some 35 requests: mode "sheet". fn as above, at the latest after
 * SOURCE_SHEET_MS.
 */
#define SOURCE_SHEET_MS 600000
struct source_call *source_sheet(struct source *s, const struct source_who *who, source_fn fn,
                                 void *ctx, struct err *e) MUST_CHECK;

/* Forgets a call; fn is not called any more. Fine from within another call's fn. */
void source_cancel(struct source_call *call);

#endif
