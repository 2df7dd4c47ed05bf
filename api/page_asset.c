/* Files of the pages: scripts, styles, pictures. */
#include <event2/http.h>
#include <stdio.h>
#include <string.h>

#include "api/assets.h"
#include "api/page.h"
#include "api/route.h"

#define PREFIX   "/assets/"
#define NAME_MAX 160

/*
 * /assets/VERSION/pages/ranking.js and /assets/pages/ranking.js are web/pages/ranking.js. Only with
 * the present version is it good for ever: while a new release is being rolled out, a page of the
 * one may ask the other.
 */
static const struct asset *find(const char *path, bool *lasting)
{
    const size_t version_len = strlen(ASSETS_VERSION);
    char name[NAME_MAX];
    const char *slash;

    *lasting = false;
    if (strncmp(path, PREFIX, strlen(PREFIX)) == 0) {
        path += strlen(PREFIX);
        slash = strchr(path, '/');
        if (slash && (size_t)(slash - path) == version_len) {
            *lasting = strncmp(path, ASSETS_VERSION, version_len) == 0;
            path = slash + 1;
        }
    } else {
        path++; /* a file in the root: /robots.txt */
    }
    if (snprintf(name, sizeof name, "web/%s", path) >= (int)sizeof name) {
        return NULL;
    }
    return asset_type(name) ? asset_find(name) : NULL;
}

void send_asset(const struct request *rq, UNUSED const struct query_value *values)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(rq->http));
    bool lasting;
    const struct asset *a = find(path, &lasting);
    bool gzip = a && rq->gzip && a->gz_begin;
    char etag[32];

    if (!a) {
        page_missing(rq, path);
        return;
    }
    snprintf(etag, sizeof etag, "\"%s%s\"", a->hash, gzip ? "-gz" : "");
    reply_add_header(rq, "X-Content-Type-Options", "nosniff");
    reply_static(
        rq,
        &(struct reply){.status = 200,
                        .etag = etag,
                        .max_age_s = 3600,
                        .age_s = -1,
                        .type = asset_type(a->name),
                        .cache = lasting ? "public, max-age=31536000, immutable" : "no-cache"},
        &(struct reply_bytes){
            gzip ? a->gz_begin : a->begin,
            gzip ? (size_t)(a->gz_end - a->gz_begin) : (size_t)(a->end - a->begin), gzip});
}
