#include "scheduler/alert_send.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/b64.h"
#include "common/host.h"
#include "common/text.h"
#include "common/uuid.h"

#define MAIL_MAX       (64 * KIB)
#define RECIPIENTS_MAX 20
#define ADDRESS_MAX    254 /* RFC 5321, 4.5.3.1.3 */
#define CONNECT_S      5
#define MAIL_LINE      76 /* of base64, RFC 2045 */

/* ------------------------------------------------------------------------------------ settings */

/* Nothing that could end a line or an address in a header. */
static bool is_address(const char *s, size_t len)
{
    const char *at = memchr(s, '@', len);

    if (len > ADDRESS_MAX || !at || at == s || at == s + len - 1) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] >= 127 || strchr("<>()[],;:\\\"", s[i])) {
            return false;
        }
    }
    return true;
}

/* Calls fn with each address of a list; false when one is none, or there are too many. */
static bool each_address(const char *list, bool (*fn)(void *ctx, const char *s, size_t len),
                         void *ctx)
{
    int count = 0;

    for (;;) {
        size_t len = strcspn(list, ",");
        const char *s = list + strspn(list, " ");
        size_t end = (size_t)(list + len - s);

        while (end > 0 && s[end - 1] == ' ') {
            end--;
        }
        if (++count > RECIPIENTS_MAX || !is_address(s, end) || (fn && !fn(ctx, s, end))) {
            return false;
        }
        if (list[len] == '\0') {
            return true;
        }
        list += len + 1;
    }
}

static bool is_url(const char *url, const char *const schemes[2])
{
    return strncmp(url, schemes[0], strlen(schemes[0])) == 0 ||
           strncmp(url, schemes[1], strlen(schemes[1])) == 0;
}

static bool wrong(struct err *e, const char *name, const char *what)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "%s: %s", name, what);
}

bool alert_routes_check(const struct alert_routes *r, struct err *e)
{
    static const char *const HTTP[2] = {"http://", "https://"}, *const SMTP[2] = {"smtp://",
                                                                                  "smtps://"};
    size_t name_len = strlen(r->deployment);

    if (r->webhook_url[0] && !is_url(r->webhook_url, HTTP)) {
        return wrong(e, "ALERT_WEBHOOK_URL", "must begin with http:// or https://");
    }
    if (r->ping_url[0] && !is_url(r->ping_url, HTTP)) {
        return wrong(e, "ALERT_PING_URL", "must begin with http:// or https://");
    }
    if (name_len == 0 || !text_is_utf8(r->deployment, name_len) ||
        text_has_control(r->deployment, name_len)) {
        return wrong(e, "ALERT_NAME", "must be text without control characters");
    }
    if (!r->smtp_url[0]) {
        return true;
    }
    if (!is_url(r->smtp_url, SMTP)) {
        return wrong(e, "ALERT_SMTP_URL", "must begin with smtp:// or smtps://");
    }
    if (!is_address(r->mail_from, strlen(r->mail_from))) {
        return wrong(e, "ALERT_MAIL_FROM", "must be an address like aion2rank@example.org");
    }
    return each_address(r->mail_to, NULL, NULL) ||
           wrong(e, "ALERT_MAIL_TO", "must be 1 to 20 addresses with commas between");
}

void alert_routes_policy(const struct alert_routes *r, struct alert_policy *p)
{
    p->to[ALERT_WEBHOOK] = r->webhook_url[0] != '\0';
    p->to[ALERT_MAIL] = r->smtp_url[0] != '\0';
    p->to[ALERT_PING] = r->ping_url[0] != '\0';
}

/* -------------------------------------------------------------------------------- what is sent */

static const char *color_of(const cJSON *item)
{
    const char *status = json_get_str(item, "status"), *severity = json_get_str(item, "severity");

    if (status && strcmp(status, "resolved") == 0) {
        return "good";
    }
    return severity && strcmp(severity, "critical") == 0 ? "danger" : "warning";
}

/* Slack reads &, < and > as its own. */
static bool add_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        const char *entity = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : NULL;

        if (!(entity ? buf_addstr(out, entity) : buf_addch(out, *s))) {
            return false;
        }
    }
    return true;
}

static void add_escaped_text(cJSON *obj, const char *name, const char *text)
{
    struct buf b;

    buf_init(&b, 16 * KIB);
    cJSON_AddStringToObject(obj, name, add_escaped(&b, text) && b.data ? b.data : "");
    buf_fini(&b);
}

static cJSON *attachment(const cJSON *item)
{
    const char *name = json_get_str(item, "name"), *text = json_get_str(item, "text");
    cJSON *one = cJSON_CreateObject();
    int64_t since;

    cJSON_AddStringToObject(one, "color", color_of(item));
    cJSON_AddStringToObject(one, "title", name ? name : "");
    add_escaped_text(one, "text", text ? text : "");
    if (json_get_i64(item, "since", 0, INT64_MAX, &since)) {
        cJSON_AddNumberToObject(one, "ts", (double)since);
    }
    return one;
}

char *alert_webhook_body(const cJSON *letter, const char *deployment)
{
    cJSON *doc = cJSON_CreateObject(), *all, *item;
    struct buf subject;
    char *text;

    buf_init(&subject, 4 * KIB);
    add_escaped_text(doc, "text",
                     alert_subject(letter, deployment, &subject) ? subject.data : "aion2rank");
    buf_fini(&subject);
    all = cJSON_AddArrayToObject(doc, "attachments");
    cJSON_ArrayForEach(item, json_get_arr(letter, "items"))
    {
        cJSON_AddItemToArray(all, attachment(item));
    }
    text = json_print(doc);
    cJSON_Delete(doc);
    return text;
}

bool alert_sign(const char *secret, const char *body, int64_t now_s, char out[ALERT_SIGNATURE_SIZE])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    struct buf signed_text;
    size_t at;
    bool ok;

    buf_init(&signed_text, MAIL_MAX);
    ok = buf_addf(&signed_text, "%" PRId64 ".%s", now_s, body) &&
         HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)signed_text.data,
              signed_text.len, mac, &mac_len);
    buf_fini(&signed_text);
    at = (size_t)snprintf(out, ALERT_SIGNATURE_SIZE, "t=%" PRId64 ",v1=", now_s);
    for (unsigned i = 0; ok && i < mac_len && at + 3 <= ALERT_SIGNATURE_SIZE; i++) {
        at += (size_t)snprintf(out + at, ALERT_SIGNATURE_SIZE - at, "%02x", mac[i]);
    }
    return ok;
}

/* RFC 2047: an encoded word for what is not ASCII. */
static void add_header_text(struct buf *out, const char *text)
{
    bool ascii = true;

    for (const char *s = text; *s; s++) {
        ascii = ascii && (unsigned char)*s < 128;
    }
    if (ascii) {
        buf_addstr(out, text);
        return;
    }
    buf_addstr(out, "=?UTF-8?B?");
    b64_encode(out, text, strlen(text));
    buf_addstr(out, "?=");
}

static void add_headers(const struct alert_routes *r, const cJSON *letter, int64_t now_s,
                        struct buf *out)
{
    char date[64], id[UUID_SIZE], host[HOST_NAME_SIZE];
    time_t t = (time_t)now_s;
    struct buf subject;
    struct tm tm;

    MUST(gmtime_r(&t, &tm));
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    uuid_random(id);
    buf_init(&subject, 4 * KIB);
    buf_addf(out, "From: aion2rank <%s>\r\nTo: %s\r\nSubject: ", r->mail_from, r->mail_to);
    add_header_text(out,
                    alert_subject(letter, r->deployment, &subject) ? subject.data : "aion2rank");
    buf_fini(&subject);
    buf_addf(out,
             "\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\n"
             "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\n",
             date, id, host_name(host));
}

bool alert_mail(const struct alert_routes *r, const cJSON *letter, int64_t now_s, struct buf *out)
{
    struct buf body, encoded;
    bool ok;

    buf_init(&body, MAIL_MAX);
    buf_init(&encoded, 2 * MAIL_MAX);
    add_headers(r, letter, now_s, out);
    ok = alert_body(letter, r->deployment, &body) && b64_encode(&encoded, body.data, body.len);
    for (size_t at = 0; ok && at < encoded.len; at += MAIL_LINE) {
        size_t len = encoded.len - at < MAIL_LINE ? encoded.len - at : MAIL_LINE;

        buf_add(out, encoded.data + at, len);
        buf_addstr(out, "\r\n");
    }
    buf_fini(&body);
    buf_fini(&encoded);
    return ok && !out->failed;
}

/* ------------------------------------------------------------------------------------ delivering
 */

static size_t drop_body(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

/* Not 0: libcurl ends the transfer. */
static int on_progress(void *stop, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return (int)*(volatile sig_atomic_t *)stop;
}

static CURL *new_transfer(const struct alert_routes *r, const char *url,
                          char error[CURL_ERROR_SIZE])
{
    CURL *c = curl_easy_init();

    error[0] = '\0';
    if (!c) {
        return NULL;
    }
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)ALERT_SEND_S);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "aion2rank/" AION2RANK_VERSION);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, (void *)(uintptr_t)r->stop);
    return c;
}

/* Does it; texts of libcurl may name the URL but not its password. */
static bool perform(CURL *c, const char *error, struct err *e)
{
    CURLcode code = curl_easy_perform(c);
    long status = 0;

    if (code != CURLE_OK) {
        return err_set(e, ERR_RETRYABLE, "DeliveryError", "%.300s",
                       error[0] ? error : curl_easy_strerror(code));
    }
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    return (status >= 200 && status < 300) ||
           err_set(e, ERR_RETRYABLE, "DeliveryError", "the answer was %ld", status);
}

static bool out_of_memory(struct err *e)
{
    return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
}

static bool post(const struct alert_routes *r, const char *body, int64_t now_s, struct err *e)
{
    char error[CURL_ERROR_SIZE], signature[ALERT_SIGNATURE_SIZE];
    char header[ALERT_SIGNATURE_SIZE + 32];
    CURL *c = new_transfer(r, r->webhook_url, error);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    bool ok = c && headers;

    if (ok && r->webhook_secret[0]) {
        ok = alert_sign(r->webhook_secret, body, now_s, signature);
        snprintf(header, sizeof header, "X-Aion2rank-Signature: %s", signature);
        ok = ok && curl_slist_append(headers, header);
    }
    if (ok) {
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        ok = perform(c, error, e);
    } else {
        out_of_memory(e);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return ok;
}

static bool send_webhook(const struct alert_routes *r, const cJSON *letter, int64_t now_s,
                         struct err *e)
{
    char *body = alert_webhook_body(letter, r->deployment);
    bool ok = body ? post(r, body, now_s, e) : out_of_memory(e);

    free(body);
    return ok;
}

static bool add_recipient(void *list, const char *s, size_t len)
{
    struct curl_slist **to = list, *longer;
    char address[ADDRESS_MAX + 1];

    snprintf(address, sizeof address, "%.*s", (int)len, s);
    longer = curl_slist_append(*to, address);
    *to = longer ? longer : *to;
    return longer != NULL;
}

static size_t read_mail(char *into, size_t size, size_t n, void *mail)
{
    struct buf *b = mail;
    size_t len = b->len < size * n ? b->len : size * n;

    memcpy(into, b->data, len);
    buf_consume(b, len);
    return len;
}

static bool send_mail(const struct alert_routes *r, const cJSON *letter, int64_t now_s,
                      struct err *e)
{
    char error[CURL_ERROR_SIZE];
    CURL *c = new_transfer(r, r->smtp_url, error);
    struct curl_slist *to = NULL;
    struct buf mail;
    bool ok;

    buf_init(&mail, 4 * MAIL_MAX);
    ok = c && each_address(r->mail_to, add_recipient, &to) && alert_mail(r, letter, now_s, &mail);
    if (ok) {
        /* A password goes over TLS only: whoever can strip STARTTLS could read it. */
        curl_easy_setopt(c, CURLOPT_USE_SSL,
                         (long)(strchr(r->smtp_url, '@') ? CURLUSESSL_ALL : CURLUSESSL_TRY));
        curl_easy_setopt(c, CURLOPT_MAIL_FROM, r->mail_from);
        curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, read_mail);
        curl_easy_setopt(c, CURLOPT_READDATA, &mail);
        ok = perform(c, error, e);
    } else {
        out_of_memory(e);
    }
    curl_slist_free_all(to);
    curl_easy_cleanup(c);
    buf_fini(&mail);
    return ok;
}

static bool send_ping(const struct alert_routes *r, const cJSON *letter, int64_t now_s,
                      struct err *e)
{
    char error[CURL_ERROR_SIZE];
    CURL *c = new_transfer(r, r->ping_url, error);
    bool ok = c ? perform(c, error, e) : out_of_memory(e);

    (void)letter;
    (void)now_s;
    curl_easy_cleanup(c);
    return ok;
}

bool alert_send(const struct alert_routes *r, const struct alert_job *job, int64_t now_s,
                struct err *e)
{
    static bool (*const SEND[])(const struct alert_routes *r, const cJSON *letter, int64_t now_s,
                                struct err *e) = {
        [ALERT_WEBHOOK] = send_webhook, [ALERT_MAIL] = send_mail, [ALERT_PING] = send_ping};

    return SEND[job->to](r, job->letter, now_s, e);
}
