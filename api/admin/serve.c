#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "api/admin/parts.h"
#include "api/post.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"

/* ---- refusing ---- */

static void note_refusal(struct ask *k, int status, const char *detail)
{
    const struct keeper_refusal r = {.who = &k->who,
                                     .action = k->route && k->route->action ? k->route->action
                                                                            : "request",
                                     .method = k->method,
                                     .path = k->path,
                                     .key = *k->key ? k->key : NULL,
                                     .detail = detail,
                                     .status = status};

    k->quiet = !keeper_note_refusal(k->admin->keeper, &r);
}

/* What looks like a token, or is ours, becomes stars. */
static void scrub(const struct ask *k, char *text)
{
    token_scrub(text);
    token_scrub_known(text, k->admin->settings->admin_token);
}

/* Answers with an error, and writes the attempt down. False. */
static bool refuse(struct ask *k, int status, const char *param, const char *detail)
{
    char name[QUERY_TEXT_BYTES + 1], text[sizeof((struct query_error *)0)->detail];

    text_copy(name, sizeof name, param ? param : "");
    text_copy(text, sizeof text, detail);
    text_make_utf8(name); /* it may have been cut within a character */
    scrub(k, name);
    scrub(k, text);
    note_refusal(k, status, text);
    admin_problem(&k->call, status, name, "%s", text);
    return false;
}

/* ---- who ---- */

static const char *header(const struct ask *k, const char *name)
{
    return evhttp_find_header(k->http->input_headers, name);
}

/* The other end: an address and a port, or the user at the end of a Unix socket. */
static void find_peer(struct evhttp_request *http, struct admin_who *who)
{
    struct bufferevent *bev = http->evcon ? evhttp_connection_get_bufferevent(http->evcon) : NULL;
    int fd = bev ? bufferevent_getfd(bev) : -1;
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr, cred_len = sizeof(struct ucred);
    struct ucred cred;
    char host[64], port[16];

    *who = (struct admin_who){.name = "-", .address = "-", .scope = TOKEN_READ};
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&addr, &len) != 0) {
        return;
    }
    if (addr.ss_family == AF_UNIX) {
        text_copy(who->address, sizeof who->address, "unix");
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0) {
            snprintf(who->name, sizeof who->name, "uid:%ju", (uintmax_t)cred.uid);
        }
    } else if (getnameinfo((struct sockaddr *)&addr, len, host, sizeof host, port, sizeof port,
                           NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        snprintf(who->address, sizeof who->address, "%s:%s", host, port);
    }
}

/* Only its owner may open the socket (0600), so who is there needs no token. */
static bool is_local(const struct ask *k)
{
    return strcmp(k->who.address, "unix") == 0 && strncmp(k->who.name, "uid:", 4) == 0;
}

static bool challenge(struct ask *k, const char *detail)
{
    k->challenge = true;
    return refuse(k, 401, NULL, detail);
}

static bool authenticate(struct ask *k)
{
    static const char BEARER[] = "Bearer ";
    const char *given = header(k, "Authorization"), *host = header(k, "Host");

    if (!given && is_local(k) && host && !admin_is_near_host(host)) {
        return refuse(k, 403, NULL,
                      "Without a token the socket is only asked as localhost, or by an address.");
    }
    if (!given && is_local(k)) {
        k->who.scope = TOKEN_ADMIN;
        return true;
    }
    if (!given) {
        return challenge(k, "A token is needed: Authorization: Bearer ...");
    }
    if (strncasecmp(given, BEARER, sizeof BEARER - 1) != 0) {
        return challenge(k, "The header Authorization must be: Bearer, a space and the token.");
    }
    switch (keeper_find(k->admin->keeper, given + sizeof BEARER - 1, &k->who)) {
    case KEEPER_KNOWN:
        return true;
    case KEEPER_EXPIRED:
        return challenge(k, "This token has expired.");
    case KEEPER_UNKNOWN:
        break;
    }
    return challenge(k, "This token is not known, or was revoked.");
}

static bool has_scope(struct ask *k)
{
    char detail[120];

    if (k->who.scope >= k->route->scope) {
        return true;
    }
    snprintf(detail, sizeof detail, "This needs the scope %s; this token has %s.",
             token_scope_name(k->route->scope), token_scope_name(k->who.scope));
    return refuse(k, 403, NULL, detail);
}

/* ---- from where ---- */

static bool is_own_origin(const char *origin, const char *host)
{
    static const char *const SCHEMES[] = {"http://", "https://"};

    for (size_t i = 0; host && i < ARRAY_LEN(SCHEMES); i++) {
        size_t len = strlen(SCHEMES[i]);

        if (strncmp(origin, SCHEMES[i], len) == 0 && strcasecmp(origin + len, host) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * A page of somebody else must not make a browser act here. Nothing here is done because of a
 * cookie, but on the Unix socket's side of a proxy no token is asked for either.
 */
static bool check_origin(struct ask *k)
{
    const char *origin = header(k, "Origin"), *site = header(k, "Sec-Fetch-Site");

    if ((!origin || is_own_origin(origin, header(k, "Host"))) &&
        (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0)) {
        return true;
    }
    return refuse(k, 403, NULL, "Pages of other origins may not ask here.");
}

/* ---- what ---- */

static bool refuse_route(struct ask *k, unsigned methods)
{
    char detail[160];

    if (methods == 0) {
        return refuse(k, 404, NULL, "There is nothing at this address.");
    }
    protocol_list_methods(methods, k->allow);
    snprintf(detail, sizeof detail, "This address answers %s only.", k->allow);
    return refuse(k, 405, NULL, detail);
}

static bool read_ids(struct ask *k, const struct admin_segment *ids)
{
    struct query_error e;

    for (size_t i = 0; i < admin_route_ids(k->route); i++) {
        if (!query_parse_value(&k->route->ids[i], ids[i].at, ids[i].len, &k->ids[i], &e)) {
            return refuse(k, 400, e.param, e.detail);
        }
    }
    return true;
}

static bool read_key(struct ask *k)
{
    const char *key = header(k, "Idempotency-Key");
    size_t len = key ? strlen(key) : 0;
    bool good = !key || (len > 0 && len <= ADMIN_KEY_MAX);

    for (size_t i = 0; i < len && good; i++) {
        good = key[i] > ' ' && key[i] < 0x7f;
    }
    if (!good) {
        return refuse(k, 400, "Idempotency-Key",
                      "An Idempotency-Key has 1 to 128 visible ASCII characters.");
    }
    text_copy(k->key, sizeof k->key, key ? key : "");
    scrub(k, k->key);
    if (key && strcmp(key, k->key) != 0) { /* keys are stored */
        k->key[0] = '\0';
        return refuse(k, 400, "Idempotency-Key", "An Idempotency-Key must not be a token.");
    }
    return true;
}

static bool read_body(struct ask *k)
{
    const char *detail;
    struct query_error e;
    int status;

    if (!k->route->body) {
        if (evbuffer_get_length(k->http->input_buffer) > 0) {
            return refuse(k, 400, NULL, "This address takes no body.");
        }
        return true;
    }
    k->body = post_parse(k->http, &status, &detail);
    if (!k->body) {
        return refuse(k, status, NULL, detail);
    }
    return admin_check_body(k->body, k->route->body, k->route->body_count, &e) ||
           refuse(k, 400, e.param, e.detail);
}

/* What makes two requests the same one, for Idempotency-Key. */
static void hash_request(struct ask *k)
{
    size_t len = evbuffer_get_length(k->http->input_buffer);
    const unsigned char *bytes = len ? evbuffer_pullup(k->http->input_buffer, -1) : NULL;
    struct buf b;

    buf_init(&b, LOOP_INPUT_MAX + KIB);
    buf_addf(&b, "%s %s\n", k->method, k->http->uri);
    if (bytes) {
        buf_add(&b, bytes, len);
    }
    if (b.failed) {
        memset(k->hash, 0, sizeof k->hash); /* cannot happen: the limits are those of a request */
    } else {
        token_hash(b.data, b.len, k->hash);
    }
    buf_fini(&b);
}

static bool read_request(struct ask *k, const char *query, const struct admin_segment *ids)
{
    struct query_error e;

    if (!read_ids(k, ids) || !read_key(k)) {
        return false;
    }
    if (!query_parse(query, k->route->params, k->route->param_count, k->values, &e)) {
        return refuse(k, 400, e.param, e.detail);
    }
    if (!read_body(k)) {
        return false;
    }
    hash_request(k);
    return true;
}

/* ---- the way in ---- */

/*
 * The path as it was sent: libevent's reading of an address takes "//host/path" for another
 * host's. The caller frees.
 */
static char *split_uri(const char *uri, const char **query)
{
    size_t len = strcspn(uri, "?#");

    *query = uri[len] == '?' ? uri + len + 1 : NULL;
    return uri[0] == '/' && !strchr(uri, '#') ? mem_strndup(uri, len) : NULL;
}

static bool check_protocol(struct ask *k)
{
    const struct protocol_fault *fault = protocol_check(k->http);

    if (!fault) {
        return true;
    }
    if (fault->close) {
        evhttp_add_header(k->http->output_headers, "Connection", "close");
    }
    return refuse(k, fault->status, NULL,
                  fault->detail ? fault->detail : "The request cannot be read, or is too large.");
}

/* In this order: nobody learns what is here without a token. */
static bool accept_request(struct ask *k, const char *path, const char *query)
{
    struct admin_segment ids[ADMIN_PATH_IDS_MAX];
    unsigned methods = 0;

    if (!check_protocol(k) || !check_origin(k)) {
        return false;
    }
    k->route = path ? admin_route_find(path, k->http->type, &methods, ids) : NULL;
    if (!(k->route && k->route->open) && !authenticate(k)) {
        return false;
    }
    if (!k->route) {
        return refuse_route(k, methods);
    }
    return (k->route->open || has_scope(k)) && read_request(k, query, ids);
}

static void fill_call(struct ask *k)
{
    k->call.route = k->route;
    k->call.ids = k->ids;
    k->call.values = k->values;
    k->call.body = k->body;
    k->call.who = &k->who;
    k->call.idempotency_key = *k->key ? k->key : NULL;
    k->call.env = &k->admin->env;
}

/* Scrubbed before it is clipped: half of a token does not look like one. */
static void note_path(struct ask *k, const char *uri)
{
    char *path = mem_strndup(uri, strcspn(uri, "?#"));

    scrub(k, path);
    text_copy(k->path, sizeof k->path, path);
    text_make_utf8(k->path);
    free(path);
}

static struct ask *ask_new(struct admin *a, struct evhttp_request *http)
{
    struct ask *k = mem_alloc(sizeof *k);

    k->admin = a;
    k->http = http;
    k->began_us = clock_mono_us();
    k->method = protocol_method(http->type);
    note_path(k, http->uri ? http->uri : "");
    find_peer(http, &k->who);
    return k;
}

void ask_free(struct ask *k)
{
    cJSON_Delete(k->body);
    cJSON_Delete(k->call.reply);
    cJSON_Delete(k->call.before);
    cJSON_Delete(k->call.after);
    free(k->call.bytes);
    free(k);
}

void serve_request(struct evhttp_request *http, void *door)
{
    struct door *d = door;
    struct admin *a = d->admin;
    struct ask *k = ask_new(a, http);
    const char *query;
    char *path = split_uri(http->uri, &query);

    conns_received(d->conns, evhttp_connection_get_bufferevent(http->evcon));
    if (accept_request(k, path, query)) {
        fill_call(k);
        if (jobs_give(a->jobs, k)) {
            a->at_work++;
            k = NULL;
        } else {
            admin_problem(&k->call, 503, NULL, "Too many requests wait already; try again.");
        }
    }
    free(path);
    if (k) {
        send_answer(k);
    }
}

void serve_refused(void *admin, struct evhttp_request *http, int status)
{
    struct ask *k = ask_new(admin, http);

    note_refusal(k, status, "Not a well-formed HTTP request, or too large.");
    ask_free(k);
}
