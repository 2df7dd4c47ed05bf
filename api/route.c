#include "api/route.h"

#include <event2/http_struct.h>
#include <stdio.h>
#include <string.h>

#include "api/board.h"
#include "api/complete.h"
#include "api/negotiate.h"
#include "api/page.h"
#include "api/protocol.h"
#include "common/clock.h"
#include "common/text.h"

#define TOP_MAX       1000
#define PAGE_SIZE_MAX 200
#define PAGE_MAX      1000000000
#define UPDATES_MAX   100
#define AROUND_MAX    100
#define LEGIONS_MAX   1000
#define HISTORY_MAX   400

#define READ (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)

#define SERVER_OPTIONAL                                                                            \
    {                                                                                              \
        "server", QUERY_TEXT_OPTIONAL, 0, 0, 0, "server; none or \"all\": over every server"       \
    }

#define CLASS_OPTIONAL                                                                             \
    {                                                                                              \
        "class", QUERY_TEXT_OPTIONAL, 0, 0, 0, "only this class; ranks are among it"               \
    }

/* In the order in which the handlers expect their values. */
static const struct query_param TOP_PARAMS[] = {
    SERVER_OPTIONAL,
    CLASS_OPTIONAL,
    {"limit", QUERY_INT, 1, TOP_MAX, 100, "how many places"},
};
static const struct query_param PAGE_PARAMS[] = {
    SERVER_OPTIONAL,
    CLASS_OPTIONAL,
    {"page", QUERY_INT, 1, PAGE_MAX, 1, "page, from 1"},
    {"page_size", QUERY_INT, 1, PAGE_SIZE_MAX, 20, "places on a page"},
    {"cursor", QUERY_TEXT_OPTIONAL, 0, 0, 0,
     "in place of page: \"start\", then next_cursor of each answer; all pages are of one ranking"},
};
static const struct query_param AROUND_PARAMS[] = {
    {"server", QUERY_TEXT, 0, 0, 0, "the character's server"},
    {"name", QUERY_TEXT, 0, 0, 0, "the character's name"},
    {"board", QUERY_TEXT_OPTIONAL, 0, 0, 0,
     "server (if none is given), all, class or server_class"},
    {"above", QUERY_INT, 0, AROUND_MAX, 5, "places above"},
    {"below", QUERY_INT, 0, AROUND_MAX, 5, "places below"},
};
static const struct query_param SERVER_PARAMS[] = {SERVER_OPTIONAL};
static const struct query_param EXPORT_PARAMS[] = {SERVER_OPTIONAL, CLASS_OPTIONAL};
static const struct query_param CHARACTER_PARAMS[] = {
    {"server", QUERY_TEXT, 0, 0, 0, "server"},
    {"name", QUERY_TEXT, 0, 0, 0, "the character's name"},
};
static const struct query_param HISTORY_PARAMS[] = {
    {"server", QUERY_TEXT, 0, 0, 0, "server"},
    {"name", QUERY_TEXT, 0, 0, 0, "the character's name"},
    {"days", QUERY_INT, 1, HISTORY_MAX, 30, "how many days back"},
};
static const struct query_param LEGIONS_PARAMS[] = {
    {"server", QUERY_TEXT, 0, 0, 0, "server"},
    {"limit", QUERY_INT, 1, LEGIONS_MAX, 100, "how many legions"},
};
#define PAIR(name, kind)                                                                           \
    {                                                                                              \
        name, kind, 0, QUERY_PAIR_CHARS, 0, "a character as Server:Name"                           \
    }
static const struct query_param COMPARE_PARAMS[] = {
    PAIR("a", QUERY_TEXT),
    PAIR("b", QUERY_TEXT),
    PAIR("c", QUERY_TEXT_OPTIONAL),
    PAIR("d", QUERY_TEXT_OPTIONAL),
};
static const struct query_param COMPLETE_PARAMS[] = {
    {"prefix", QUERY_TEXT, 0, 0, 0,
     "what a name begins with; Korean consonants stand for the syllables they begin"},
    SERVER_OPTIONAL,
    {"limit", QUERY_INT, 1, COMPLETE_MAX, 10, "how many characters"},
};
static const struct query_param UPDATES_PARAMS[] = {
    {"limit", QUERY_INT, 1, UPDATES_MAX, 10, "how many characters"},
};
/* What the server reads of a page's address, in the order of enum page_value. */
static const struct query_param PAGE_PARAMS_READ[] = {
    {"lang", QUERY_TEXT_OPTIONAL, 0, 0, 0, "ko or en"},
    {"server", QUERY_TEXT_OPTIONAL, 0, 0, 0, "a server"},
    {"name", QUERY_TEXT_OPTIONAL, 0, 0, 0, "a character's name"},
    {"a", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0, "a character as Server:Name"},
    {"b", QUERY_TEXT_OPTIONAL, 0, QUERY_PAIR_CHARS, 0, "another one"},
};

#define PARAMS(list) list, ARRAY_LEN(list)
#define NO_PARAMS    NULL, 0

#define JSON "application/json"

#define PAGE(path, show, id)                                                                       \
    {                                                                                              \
        path, READ, show, PARAMS(PAGE_PARAMS_READ), id, "A page for people.", NULL, "text/html",   \
            true, NULL, false                                                                      \
    }
#define ASSET(path)                                                                                \
    {                                                                                              \
        path, READ, send_asset, NO_PARAMS, "asset", "A file of the pages.", NULL, "*/*", true,     \
            NULL, false                                                                            \
    }

const struct route ROUTES[] = {
    {"/api/ranking/top", READ, handle_top, PARAMS(TOP_PARAMS), "rankingTop",
     "The first places of a board.", "Top", JSON, true, NULL, false},
    {"/api/ranking", READ, handle_page, PARAMS(PAGE_PARAMS), "rankingPage", "A board by pages.",
     "Page", JSON, true, NULL, false},
    {"/api/ranking/around", READ, handle_around, PARAMS(AROUND_PARAMS), "rankingAround",
     "The places around a character on one of its boards.", "Around", JSON, true, NULL, false},
    {"/api/ranking/cutoffs", READ, handle_cutoffs, PARAMS(SERVER_PARAMS), "rankingCutoffs",
     "The lowest score of each tier.", "Cutoffs", JSON, true, NULL, false},
    {"/api/ranking/distribution", READ, handle_distribution, PARAMS(SERVER_PARAMS),
     "rankingDistribution", "How scores, tiers and classes are spread.", "Distribution", JSON, true,
     NULL, false},
    {"/api/ranking.csv", READ, handle_csv, PARAMS(EXPORT_PARAMS), "rankingCsv",
     "A whole board as CSV.", "Text", "text/csv; charset=utf-8", true, NULL, false},
    {"/api/ranking.ndjson", READ, handle_ndjson, PARAMS(EXPORT_PARAMS), "rankingNdjson",
     "A whole board, an item a line.", "Text", "application/x-ndjson", true, NULL, false},
    {"/api/character", READ, handle_character, PARAMS(CHARACTER_PARAMS), "character",
     "One character, as stored.", "Character", JSON, false, NULL, false},
    {"/api/character/explain", READ, handle_explain, PARAMS(CHARACTER_PARAMS), "explain",
     "How a score comes about.", "Explanation", JSON, false, NULL, false},
    {"/api/character/history", READ, handle_history, PARAMS(HISTORY_PARAMS), "history",
     "A point a day of a character's place.", "History", JSON, false, NULL, false},
    {"/api/compare", READ, handle_compare, PARAMS(COMPARE_PARAMS), "compare",
     "Two to four characters side by side.", "Comparison", JSON, false, NULL, false},
    {"/api/characters", READ, handle_complete, PARAMS(COMPLETE_PARAMS), "characters",
     "Characters whose name begins with a text, the best placed first.", "Completion", JSON, true,
     NULL, false},
    {"/api/characters/batch", EVHTTP_REQ_POST, handle_many, NO_PARAMS, "charactersBatch",
     "Up to 200 characters at once.", "Batch", JSON, false, "BatchRequest", false},
    {"/api/search", EVHTTP_REQ_POST, handle_search, NO_PARAMS, "search",
     "Looks a character up at the source and stores it.", "Character", JSON, false, "SearchRequest",
     true},
    {"/api/legions", READ, handle_legions, PARAMS(LEGIONS_PARAMS), "legions",
     "The legions of a server.", "Legions", JSON, false, NULL, false},
    {"/api/updates", READ, handle_updates, PARAMS(UPDATES_PARAMS), "updates",
     "Characters whose data changed last.", "Updates", JSON, false, NULL, false},
    {"/api/servers", READ, handle_servers, NO_PARAMS, "servers", "The servers.", "Servers", JSON,
     false, NULL, false},
    {"/health", READ, handle_health, NO_PARAMS, "health", "Whether the service answers at all.",
     "Health", JSON, false, NULL, false},
    {"/openapi.json", READ, handle_openapi, NO_PARAMS, "openapi", "This description.", "OpenApi",
     JSON, false, NULL, false},
    PAGE("/", show_ranking, "pageRanking"),
    PAGE("/character", show_character, "pageCharacter"),
    PAGE("/compare", show_compare, "pageCompare"),
    PAGE("/servers", show_servers, "pageServers"),
    PAGE("/score", show_score, "pageScore"),
    ASSET("/assets/"),
    ASSET("/favicon.ico"),
    ASSET("/robots.txt"),
};
const size_t ROUTE_COUNT = ARRAY_LEN(ROUTES);

bool route_is_page(const struct route *r)
{
    return r->schema == NULL;
}

static bool route_fits(const struct route *r, const char *path)
{
    size_t len = strlen(r->path);

    if (len > 1 && r->path[len - 1] == '/') {
        return strncmp(r->path, path, len) == 0;
    }
    return strcmp(r->path, path) == 0;
}

/* ROUTE_COUNT when there is none. */
static size_t find_route(const char *path)
{
    size_t i = 0;

    while (path && i < ROUTE_COUNT && !route_fits(&ROUTES[i], path)) {
        i++;
    }
    return path ? i : ROUTE_COUNT;
}

static const char *header(const struct evhttp_request *http, const char *name)
{
    return evhttp_find_header(http->input_headers, name);
}

/* What evhttp lets through and HTTP does not. True: answered. */
static bool refuse_protocol(const struct request *rq)
{
    const struct protocol_fault *fault = protocol_check(rq->http);

    if (!fault) {
        return false;
    }
    if (!fault->detail) {
        evhttp_send_error(rq->http, fault->status, NULL);
        return true;
    }
    if (fault->close) {
        evhttp_add_header(rq->http->output_headers, "Connection", "close");
    }
    reply_problem(rq, fault->status, NULL, fault->detail);
    return true;
}

/* A browser asks whether a page of another origin may use a method here. */
static bool is_preflight(const struct request *rq)
{
    return rq->http->type == EVHTTP_REQ_OPTIONS && header(rq->http, "Origin") &&
           header(rq->http, "Access-Control-Request-Method") && *rq->loop->settings->cors_origins;
}

static void answer_method(const struct request *rq, unsigned methods)
{
    char allow[PROTOCOL_ALLOW_SIZE];

    protocol_list_methods(methods, allow);
    if (is_preflight(rq)) {
        reply_preflight(rq, allow);
    } else {
        reply_not_allowed(rq, allow);
    }
}

static void dispatch(const struct request *rq, const char *path)
{
    const struct route *r = rq->route < ROUTE_COUNT ? &ROUTES[rq->route] : NULL;
    struct query_value values[QUERY_PARAMS_MAX];
    struct query_error e;

    if (!r) {
        page_missing(rq, path);
    } else if (!(r->methods & rq->http->type)) {
        answer_method(rq, r->methods);
    } else if (route_is_page(r)) {
        query_pick(rq->query, r->params, r->param_count, values);
        r->handle(rq, values);
    } else if (!query_parse(rq->query, r->params, r->param_count, values, &e)) {
        reply_problem(rq, 400, e.param, e.detail);
    } else {
        r->handle(rq, values);
    }
}

void route_request(struct evhttp_request *http, void *arg)
{
    struct loop *loop = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    struct request rq = {
        .http = http,
        .loop = loop,
        .route = find_route(uri ? evhttp_uri_get_path(uri) : NULL),
        .query = uri ? evhttp_uri_get_query(uri) : NULL,
        .head = http->type == EVHTTP_REQ_HEAD,
        .gzip = negotiate_gzip(header(http, "Accept-Encoding")),
        .began_us = clock_mono_us(),
    };

    conns_received(loop->conns, evhttp_connection_get_bufferevent(http->evcon));
    reply_allow_origin(&rq);
    if (!refuse_protocol(&rq) && !board_answer_cached(&rq)) {
        dispatch(&rq, uri ? evhttp_uri_get_path(uri) : NULL);
    }
}
