#ifndef SCHEDULER_ALERT_SEND_H
#define SCHEDULER_ALERT_SEND_H

#include <signal.h>

#include "common/alert.h"

/*
 * Delivers one letter by HTTP or SMTP (libcurl). Blocking, for at most ALERT_SEND_S, or until
 * *stop.
 */
#define ALERT_SEND_S 20 /* less than ALERT_LEASE_S */

struct alert_routes {
    const char *webhook_url; /* "": none; as the others */
    const char *webhook_secret;
    const char *smtp_url; /* smtp://[user:password@]host[:port], smtps:// */
    const char *mail_from;
    const char *mail_to; /* addresses with commas between */
    const char *ping_url;
    const char *deployment; /* name of this one */
    const volatile sig_atomic_t *stop;
};

/* Once, before any thread is there. False and *e when a setting makes no sense. */
bool alert_routes_check(const struct alert_routes *r, struct err *e) MUST_CHECK;
/* Which channels are set up. */
void alert_routes_policy(const struct alert_routes *r, struct alert_policy *p);

/* False and *e when it was not taken. */
bool alert_send(const struct alert_routes *r, const struct alert_job *job, int64_t now_s,
                struct err *e) MUST_CHECK;

/* ---- the parts, for tests ---- */

/* Slack's form of a message: {"text", "attachments": [{"color", "title", "text", "ts"}]}. */
char *alert_webhook_body(const cJSON *letter, const char *deployment);
/* "t=<now>,v1=<HMAC-SHA256 of "<now>.<body>" in hex>" */
#define ALERT_SIGNATURE_SIZE 128
bool alert_sign(const char *secret, const char *body, int64_t now_s,
                char out[ALERT_SIGNATURE_SIZE]);
/* The whole message, header and base64 text. */
bool alert_mail(const struct alert_routes *r, const cJSON *letter, int64_t now_s, struct buf *out);

#endif
