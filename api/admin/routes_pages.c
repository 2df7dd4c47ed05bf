#include <stdio.h>
#include <string.h>

#include "api/admin/route.h"
#include "api/assets.h"
#include "api/html.h"

/*
 * The page of operations. It is open, as it has no data: those it asks for with the reader's token.
 * Its scripts and styles are files of web/, some of them shared with the players' pages.
 */
#define PAGE_MAX (64 * KIB)

static const struct query_param LANG[] = {
    {"lang", QUERY_TEXT_OPTIONAL, 0, 0, 0, "ko or en; read by the page itself"},
};

static const char *page_value(const void *arg, const char *name, size_t len)
{
    const struct admin_call *c = arg;
    const struct {
        const char *name, *text;
    } VALUES[] = {
        {"version", ASSETS_VERSION},
        /* Over the socket the page need not ask for a token. */
        {"door", strcmp(c->who->address, "unix") == 0 ? "unix" : "tcp"},
    };

    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        if (strlen(VALUES[i].name) == len && memcmp(VALUES[i].name, name, len) == 0) {
            return VALUES[i].text;
        }
    }
    return NULL;
}

static void show_page(struct admin_call *c)
{
    const struct asset *page = asset_find("web/ops.html");
    struct buf html;

    MUST(page); /* ours, compiled in */
    buf_init(&html, PAGE_MAX);
    html_fill_escaped(&html, page->begin, page_value, c);
    if (html.failed) {
        admin_problem(c, 503, NULL, "The service is out of memory.");
    } else {
        admin_bytes(c, 200, "text/html; charset=utf-8", html.data, html.len);
    }
    buf_fini(&html);
}

/* A browser with a page of another release asks for that one's version: it gets what there is. */
static const struct query_param FILE_IDS[] = {
    {"version", QUERY_TEXT, 0, 16, 0, "of the pages"},
    {"folder", QUERY_TEXT, 0, 32, 0, "of web/"},
    {"file", QUERY_TEXT, 0, 64, 0, "in it"},
};

static void send_file(struct admin_call *c)
{
    char name[2 * QUERY_PAIR_BYTES + 16];
    const struct asset *file;

    snprintf(name, sizeof name, "web/%s/%s", c->ids[1].text, c->ids[2].text);
    file = asset_type(name) ? asset_find(name) : NULL;
    if (!file) {
        admin_problem(c, 404, NULL, "There is nothing at this address.");
        return;
    }
    admin_bytes(c, 200, asset_type(name), file->begin, (size_t)(file->end - file->begin));
}

static const struct admin_route ROWS[] = {
    {.method = EVHTTP_REQ_GET,
     .path = "/",
     .open = true,
     .fn = show_page,
     .params = LANG,
     .param_count = ARRAY_LEN(LANG)},
    {.method = EVHTTP_REQ_GET,
     .path = "/assets/{version}/{folder}/{file}",
     .open = true,
     .fn = send_file,
     .ids = FILE_IDS},
};
const struct admin_routes ADMIN_ROUTES_PAGES = {ROWS, ARRAY_LEN(ROWS)};
