#include "api/admin/route.h"
#include "common/server_stats.h"

/* Servers: averages and tiers, now and over time. */

static void list_servers(struct admin_call *c)
{
    struct err e;

    admin_document(c, server_stats_now(c->pg, &e), &e);
}

static const struct query_param SERVER_IDS[] = {
    {"server", QUERY_TEXT, 0, 0, 0, "the server's name"},
};
static const struct query_param SERVER_PARAMS[] = {
    {"before", QUERY_INT, 1, INT64_MAX, 0,
     "goes on before this run: next_before of the page before"},
    {"limit", QUERY_INT, 1, SERVER_STATS_POINTS_MAX, 100, "how many runs"},
};

static void show_server(struct admin_call *c)
{
    struct err e;

    admin_document(
        c,
        server_stats_history(c->pg, c->ids[0].text, c->values[0].number, c->values[1].number, &e),
        &e);
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/servers",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG,
     .fn = list_servers,
     .id = "adminServers",
     .summary = "Averages, sample size and tiers of each server in the live ranking.",
     .schema = "ServersNow"},
    {.method = EVHTTP_REQ_GET,
     .path = "/admin/servers/{server}",
     .scope = TOKEN_READ,
     .needs = ADMIN_PG,
     .fn = show_server,
     .ids = SERVER_IDS,
     .params = SERVER_PARAMS,
     .param_count = ARRAY_LEN(SERVER_PARAMS),
     .id = "adminServer",
     .summary = "The same of one server over the runs, the newest first.",
     .schema = "ServerHistory"},
};
const struct admin_routes ADMIN_ROUTES_SERVERS = {ROWS, ARRAY_LEN(ROWS)};
