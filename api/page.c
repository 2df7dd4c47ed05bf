#include "api/page.h"

#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <string.h>

#include "api/assets.h"
#include "api/html.h"
#include "api/negotiate.h"
#include "api/policy.h"
#include "api/route.h"
#include "common/text.h"

#define PAGE_MAX_BYTES (256 * KIB)
#define PREVIEW_MAX    (8 * KIB)
#define URL_MAX        (4 * KIB)

struct view {
    const char *page; /* "ranking": its script is web/pages/ranking.js */
    int status;
    bool noindex; /* of one person: not for search engines */
    enum page_lang lang;
    const char *theme;
    struct page_preview preview;
    struct buf base; /* https://host, or empty */
    struct buf path; /* the page's own address below it */
};

/* ---- what the reader wants ---- */

static const char *input_header(const struct request *rq, const char *name)
{
    return evhttp_find_header(rq->http->input_headers, name);
}

/* The cookie's value is one of the choices: its number, else -1. */
static int cookie_choice(const char *cookies, const char *name, const char *const *choices, int n)
{
    size_t name_len = strlen(name);

    for (const char *p = cookies ? cookies : ""; *p;) {
        size_t len;

        p += strspn(p, "; ");
        len = strcspn(p, ";");
        for (int i = 0; i < n && len > name_len && p[name_len] == '='; i++) {
            if (strncmp(p, name, name_len) == 0 && len == name_len + 1 + strlen(choices[i]) &&
                strncmp(p + name_len + 1, choices[i], strlen(choices[i])) == 0) {
                return i;
            }
        }
        p += len;
    }
    return -1;
}

/* The address decides, then what was chosen before, then the browser's languages. */
static enum page_lang choose_lang(const struct request *rq, const struct query_value *wanted)
{
    int chosen;

    for (int i = 0; wanted && i < PAGE_LANGS; i++) {
        if (strcmp(wanted->text, PAGE_LANG_NAMES[i]) == 0) {
            return (enum page_lang)i;
        }
    }
    chosen = cookie_choice(input_header(rq, "Cookie"), "lang", PAGE_LANG_NAMES, PAGE_LANGS);
    if (chosen >= 0) {
        return (enum page_lang)chosen;
    }
    return (enum page_lang)negotiate_language(input_header(rq, "Accept-Language"), PAGE_LANG_NAMES,
                                              PAGE_LANGS);
}

static const char *choose_theme(const struct request *rq)
{
    static const char *const THEMES[] = {"light", "dark"};
    int chosen = cookie_choice(input_header(rq, "Cookie"), "theme", THEMES, (int)ARRAY_LEN(THEMES));

    return chosen < 0 ? "auto" : THEMES[chosen];
}

/* ---- the page's own address ---- */

static bool is_host(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len < 256 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_") == len;
}

/* Other sites follow only whole addresses. Without a setting: what the client calls us. */
static void add_base(struct buf *b, const struct request *rq)
{
    const char *host = input_header(rq, "Host");

    if (*rq->loop->settings->public_url) {
        buf_addstr(b, rq->loop->settings->public_url);
    } else if (host && is_host(host)) {
        buf_addf(b, "http://%s", host);
    }
}

static void add_param(struct buf *b, const char *key, const struct query_value *v)
{
    if (v->given) {
        buf_addf(b, "%c%s=", strchr(b->data, '?') ? '&' : '?', key);
        query_encode(b, v->text);
    }
}

/* ---- the frame ---- */

static const char *text_of(struct buf *b)
{
    MUST(buf_add(b, "", 1) || b->failed); /* a NUL behind it */
    return b->failed ? "" : b->data;
}

struct frame {
    const struct view *v;
    const char *title, *heading, *description, *base, *path;
};

static const char *frame_value(const void *arg, const char *name, size_t len)
{
    const struct frame *f = arg;
    const struct {
        const char *name, *text;
    } OWN[] = {
        {"lang", PAGE_LANG_NAMES[f->v->lang]},
        {"theme_now", f->v->theme},
        {"page", f->v->page},
        {"title", f->title},
        {"heading", f->heading},
        {"description", f->description},
        {"base", f->base},
        {"path", f->path},
        {"robots", f->v->noindex ? "noindex" : "index, follow"},
        {"version", ASSETS_VERSION},
    };

    for (size_t i = 0; i < ARRAY_LEN(OWN); i++) {
        if (strlen(OWN[i].name) == len && memcmp(OWN[i].name, name, len) == 0) {
            return OWN[i].text;
        }
    }
    return page_text(f->v->lang, name, len);
}

static void add_frame(struct buf *out, struct view *v)
{
    const struct asset *shell = asset_find("web/shell.html");
    const struct frame f = {
        .v = v,
        .title = text_of(&v->preview.title),
        .heading = text_of(&v->preview.heading),
        .description = text_of(&v->preview.description),
        .base = text_of(&v->base),
        .path = text_of(&v->path),
    };

    MUST(shell); /* ours, compiled in */
    html_fill_escaped(out, shell->begin, frame_value, &f);
}

/* ---- sending ---- */

static void send_html(const struct request *rq, const struct view *v, struct buf *html)
{
    char etag[32];
    struct reply r = {.status = v->status,
                      .etag = v->status == 200 ? etag : NULL,
                      .max_age_s = -1,
                      .age_s = -1,
                      .type = "text/html; charset=utf-8",
                      .vary = ", Accept-Language, Cookie"};
    bool gzip = rq->gzip && html->len > BODY_GZIP_MIN;

    snprintf(etag, sizeof etag, "\"%016" PRIx64 "%s\"", text_hash(html->data, html->len),
             gzip ? "-gz" : "");
    for (size_t i = 0; i < POLICY_HEADER_COUNT; i++) {
        reply_add_header(rq, POLICY_HEADERS[i].key, POLICY_HEADERS[i].value);
    }
    reply_add_header(rq, "Content-Language", PAGE_LANG_NAMES[v->lang]);
    if (v->noindex) {
        reply_add_header(rq, "X-Robots-Tag", "noindex");
    }
    reply_buf(rq, &r, html);
}

static void view_open(struct view *v, const struct request *rq, const struct query_value *values)
{
    buf_init(&v->preview.title, PREVIEW_MAX);
    buf_init(&v->preview.heading, PREVIEW_MAX);
    buf_init(&v->preview.description, PREVIEW_MAX);
    buf_init(&v->base, URL_MAX);
    buf_init(&v->path, URL_MAX);
    v->lang = choose_lang(rq, values ? &values[PAGE_LANG] : NULL);
    v->theme = choose_theme(rq);
    add_base(&v->base, rq);
    page_preview_fill(&v->preview, rq, v->page, v->lang);
}

static void view_send(struct view *v, const struct request *rq)
{
    struct buf html;

    buf_init(&html, PAGE_MAX_BYTES);
    add_frame(&html, v);
    buf_fini(&v->preview.title);
    buf_fini(&v->preview.heading);
    buf_fini(&v->preview.description);
    buf_fini(&v->base);
    buf_fini(&v->path);
    if (html.failed) {
        buf_fini(&html);
        reply_unavailable(rq, "The service is out of memory.");
        return;
    }
    send_html(rq, v, &html);
}

/* ---- the pages ---- */

void show_ranking(const struct request *rq, const struct query_value *values)
{
    struct view v = {.page = "ranking", .status = 200};

    view_open(&v, rq, values);
    buf_addstr(&v.path, "/");
    if (values[PAGE_SERVER].given) {
        page_preview_server(&v.preview, rq, v.lang, values[PAGE_SERVER].text);
        add_param(&v.path, "server", &values[PAGE_SERVER]);
    }
    view_send(&v, rq);
}

void show_character(const struct request *rq, const struct query_value *values)
{
    struct view v = {.page = "character", .status = 200, .noindex = true};

    view_open(&v, rq, values);
    buf_addstr(&v.path, "/character");
    if (values[PAGE_SERVER].given && values[PAGE_NAME].given) {
        page_preview_person(&v.preview, rq, v.lang, values[PAGE_SERVER].text,
                            values[PAGE_NAME].text);
        add_param(&v.path, "server", &values[PAGE_SERVER]);
        add_param(&v.path, "name", &values[PAGE_NAME]);
    }
    view_send(&v, rq);
}

void show_compare(const struct request *rq, const struct query_value *values)
{
    struct view v = {.page = "compare", .status = 200, .noindex = true};

    view_open(&v, rq, values);
    buf_addstr(&v.path, "/compare");
    if (values[PAGE_A].given && values[PAGE_B].given) {
        page_preview_versus(&v.preview, v.lang, values[PAGE_A].text, values[PAGE_B].text);
        add_param(&v.path, "a", &values[PAGE_A]);
        add_param(&v.path, "b", &values[PAGE_B]);
    }
    view_send(&v, rq);
}

static void show_plain(const struct request *rq, const struct query_value *values, const char *page)
{
    struct view v = {.page = page, .status = 200};

    view_open(&v, rq, values);
    buf_addf(&v.path, "/%s", page);
    view_send(&v, rq);
}

void show_servers(const struct request *rq, const struct query_value *values)
{
    show_plain(rq, values, "servers");
}

void show_score(const struct request *rq, const struct query_value *values)
{
    show_plain(rq, values, "score");
}

void page_missing(const struct request *rq, const char *path)
{
    struct view v = {.page = "missing", .status = 404, .noindex = true};
    bool reading = (rq->http->type & (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)) != 0;

    if (!path || !reading || strncmp(path, "/api", 4) == 0 ||
        !negotiate_html(input_header(rq, "Accept"))) {
        reply_problem(rq, 404, NULL, "There is nothing at this address.");
        return;
    }
    view_open(&v, rq, NULL);
    buf_addstr(&v.path, "/");
    view_send(&v, rq);
}
