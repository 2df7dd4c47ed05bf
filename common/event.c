#include "common/event.h"

#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/envelope.h"
#include "common/host.h"

/* "task-sent" -> "task.sent" */
static void routing_key(char *out, size_t cap, const char *type)
{
    size_t n = 0;

    for (; type[n] && n + 1 < cap; n++) {
        out[n] = type[n] == '-' ? '.' : type[n];
    }
    out[n] = '\0';
}

const char *event_channel(char out[EVENT_CHANNEL_SIZE], int db, const char *type)
{
    char key[64];

    routing_key(key, sizeof key, type);
    snprintf(out, EVENT_CHANNEL_SIZE, "/%d." EVENT_EXCHANGE "/%s", db, key);
    return out;
}

bool event_wrap(struct buf *out, const char *type, const char *host, const char *body,
                size_t body_len)
{
    char key[64];
    struct envelope_to to = {.exchange = EVENT_EXCHANGE, .routing_key = key, .transient = true};
    struct buf headers;
    bool ok;

    routing_key(key, sizeof key, type);
    buf_init(&headers, 4 * KIB);
    ok = buf_addstr(&headers, "{\"hostname\": ") && buf_add_json(&headers, host, strlen(host)) &&
         buf_addch(&headers, '}') && envelope_wrap(out, &to, headers.data, body, body_len);
    buf_fini(&headers);
    return ok;
}

static void add_text(struct buf *b, const char *name, const char *text)
{
    buf_addf(b, ", \"%s\": ", name);
    buf_add_json(b, text, strlen(text));
}

/* Unix time as ISO text, or null for 0. */
static void add_time(struct buf *b, const char *name, int64_t wall_us)
{
    char iso[CLOCK_ISO_SIZE];

    if (wall_us == 0) {
        buf_addf(b, ", \"%s\": null", name);
    } else {
        add_text(b, name, clock_iso(wall_us, "+00:00", iso));
    }
}

/*
 * No utcoffset: a receiver in another zone would shift the (absolute) timestamp by it. The clock of
 * a sender means nothing, and receivers do not use it, but some want the member.
 */
bool event_task_sent(struct buf *out, const struct msg_new *n, int64_t now_us)
{
    char own[HOST_ORIGIN_SIZE], repr[MSG_REPR_SIZE];
    const char *origin = n->origin ? n->origin : host_origin(own);
    struct buf b;
    bool ok;

    buf_init(&b, EVENT_BYTES_MAX);
    buf_addf(&b, "{\"type\": \"task-sent\", \"timestamp\": %.6f, \"pid\": %ld, \"clock\": 1",
             (double)now_us / 1e6, (long)getpid());
    add_text(&b, "hostname", origin);
    add_text(&b, "uuid", n->id);
    add_text(&b, "root_id", n->id);
    buf_addstr(&b, ", \"parent_id\": null");
    add_text(&b, "name", n->task);
    add_text(&b, "args", msg_repr_args(n->args, repr));
    add_text(&b, "kwargs", n->kwargs ? msg_repr_value(n->kwargs, repr) : "{}");
    buf_addstr(&b, ", \"retries\": 0");
    add_time(&b, "eta", n->eta_us);
    add_time(&b, "expires", n->expires_us);
    add_text(&b, "queue", n->queue);
    buf_addstr(&b, ", \"exchange\": \"\"");
    add_text(&b, "routing_key", n->queue);
    ok = buf_addch(&b, '}') && event_wrap(out, "task-sent", origin, b.data, b.len);
    buf_fini(&b);
    return ok;
}

void event_publish_sent(redisContext *c, int db, const struct msg_new *n)
{
    char channel[EVENT_CHANNEL_SIZE];
    struct err ignored;
    struct buf b;

    buf_init(&b, EVENT_BYTES_MAX);
    if (event_task_sent(&b, n, clock_wall_us())) {
        redisReply *r = rds_command(c, &ignored, "PUBLISH %s %b",
                                    event_channel(channel, db, "task-sent"), b.data, b.len);

        freeReplyObject(r);
    }
    buf_fini(&b);
}
