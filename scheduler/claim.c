#include "scheduler/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/host.h"
#include "common/keys.h"
#include "common/pidbox.h"
#include "common/text.h"
#include "scheduler/claim_lua.h"
#include "scheduler/message.h"

#define KEYS      12
#define FIXED     24
#define ARGS_MAX  (3 + KEYS + FIXED + 3 * SCHEDULE_MISSED_MAX)
#define HEAD_SIZE 48
#define TAIL_SIZE 160
/* The head of an entry about a pause: two texts that JSON may make six times as long. */
#define SKIP_SIZE (2 * 6 * SCHEDULE_NOTE_SIZE + 128)

/* One EVALSHA under construction. Arguments point into the rest of it. */
struct builder {
    int n;
    const char *argv[ARGS_MAX];
    size_t lens[ARGS_MAX];
    char *messages[SCHEDULE_MISSED_MAX]; /* owned */
    char head[SCHEDULE_MISSED_MAX][HEAD_SIZE];
    char tail[SCHEDULE_MISSED_MAX][TAIL_SIZE];
    char ledger[sizeof KEY_LEDGER_PREFIX + SCHEDULE_NAME_SIZE];
    char list[BROKER_LIST_SIZE];
    char slot[24], until[24], last[24], gap[48], from[24], skipped[24], ledger_max[24],
        missed_to[24];
    char sent[CLAIM_RAW_SIZE];
    char skip[SKIP_SIZE];
    char channel[PIDBOX_CHANNEL_SIZE];
    struct buf revoke;
    /* The predecessor, out of the state. */
    char id[UUID_SIZE], tag[UUID_SIZE], old_list[BROKER_LIST_SIZE];
};

static void add(struct builder *b, const char *text, size_t len)
{
    MUST(b->n < ARGS_MAX);
    b->argv[b->n] = text;
    b->lens[b->n++] = len;
}

static void add_text(struct builder *b, const char *text)
{
    add(b, text, strlen(text));
}

static const char *number(char out[24], int64_t n)
{
    snprintf(out, 24, "%" PRId64, n);
    return out;
}

struct plan_state claim_plan_state(const struct claim_state *raw)
{
    struct plan_state st = {.last_s = PLAN_NONE};
    const char *space = strchr(raw->gap, ' ');

    (void)!text_to_i64(raw->last, 0, INT64_MAX / 1000000, &st.last_s);
    if (!space ||
        !text_n_to_i64(raw->gap, (size_t)(space - raw->gap), 0, INT64_MAX / 1000000,
                       &st.gap_from_s) ||
        !text_to_i64(space + 1, 0, INT64_MAX / 1000000, &st.gap_to_s)) {
        st.gap_from_s = st.gap_to_s = 0;
    }
    return st;
}

/* "slot id tag list"; whatever else stands there is no predecessor. */
static void read_predecessor(struct builder *b, const char *sent)
{
    int at = 0;

    b->id[0] = b->tag[0] = b->old_list[0] = '\0';
    if (sscanf(sent, "%*[0-9] %36s %36s %n", b->id, b->tag, &at) != 2 || at == 0 ||
        strlen(b->id) != UUID_SIZE - 1 || !text_copy(b->old_list, sizeof b->old_list, sent + at)) {
        b->id[0] = '\0';
    }
}

static bool write_revoke(struct builder *b, const struct claim_request *req)
{
    char arguments[128];
    struct pidbox_ask ask = {.method = "revoke", .arguments = arguments, .clock = 1};

    snprintf(arguments, sizeof arguments,
             "{\"task_id\": [\"%s\"], \"terminate\": true, \"signal\": \"SIGTERM\"}", b->id);
    pidbox_channel(b->channel, req->db);
    return req->schedule->overlap != SCHEDULE_OVERLAP_CANCEL || b->id[0] == '\0' ||
           pidbox_write_request(&b->revoke, &ask);
}

static void add_keys(struct builder *b, const struct claim_request *req)
{
    static const char *const FIRST[] = {KEY_BEAT_LAST, KEY_BEAT_GAP, KEY_BEAT_SENT,
                                        KEY_BEAT_MESSAGE};
    static const char *const REST[] = {KEY_COUNTERS, KEY_SCHEDULES_REV, KEY_DELAYED,
                                       KEY_WORKERS,  KEY_UNACKED,       KEY_REVOKED};
    const struct schedule *s = req->schedule;

    snprintf(b->ledger, sizeof b->ledger, KEY_LEDGER_PREFIX "%s", s->name);
    MUST(msg_list_name(b->list, sizeof b->list, s->queue, s->priority));
    for (size_t i = 0; i < ARRAY_LEN(FIRST); i++) {
        add_text(b, FIRST[i]);
    }
    add_text(b, b->ledger);
    add_text(b, b->list);
    for (size_t i = 0; i < ARRAY_LEN(REST); i++) {
        add_text(b, REST[i]);
    }
}

/* What the ledger says of slots that are not sent, as far as it is known here. */
static const char *skip_head(struct builder *b, const struct claim_request *req)
{
    const struct schedule_pause *pause = &req->schedule->pause;
    struct buf t;

    if (req->plan->kind != PLAN_PAUSED) {
        return "{\"skipped\":\"late\",";
    }
    buf_init(&t, sizeof b->skip - 1);
    buf_addstr(&t, "{\"skipped\":\"paused\",\"by\":");
    buf_add_json(&t, pause->by, strlen(pause->by));
    buf_addstr(&t, ",\"reason\":");
    buf_add_json(&t, pause->reason, strlen(pause->reason));
    buf_addf(&t, ",\"since\":%" PRId64 ",", pause->since_s);
    snprintf(b->skip, sizeof b->skip, "%s", t.failed ? "{\"skipped\":\"paused\"," : t.data);
    buf_fini(&t);
    return b->skip;
}

static void add_state(struct builder *b, const struct claim_request *req)
{
    static const char *const MODES[] = {
        [PLAN_NOTE] = "note", [PLAN_SEND] = "send", [PLAN_PAUSED] = "skip", [PLAN_LATE] = "skip"};
    const struct plan *p = req->plan;

    add_text(b, req->schedule->name);
    add_text(b, req->rev);
    add_text(b, req->state->last);
    add_text(b, req->state->gap);
    add_text(b, req->state->sent);
    add_text(b, MODES[p->kind]);
    add_text(b, number(b->slot, p->slots[p->n - 1]));
    add_text(b, number(b->until, p->until_s));
    add_text(b, number(b->last, p->after.last_s));
    b->gap[0] = '\0';
    if (p->after.gap_to_s > 0) {
        snprintf(b->gap, sizeof b->gap, "%" PRId64 " %" PRId64, p->after.gap_from_s,
                 p->after.gap_to_s);
    }
    add_text(b, b->gap);
}

static void add_policies(struct builder *b, const struct claim_request *req)
{
    const struct plan *p = req->plan;
    int64_t missed_to_s;

    add_text(b, schedule_overlap_name(req->schedule->overlap));
    add_text(b, b->id);
    add_text(b, b->tag);
    add_text(b, b->old_list);
    add(b, b->revoke.data ? b->revoke.data : "", b->revoke.len);
    add_text(b, b->channel);
    add_text(b, skip_head(b, req));
    add_text(b, number(b->from, p->from_s));
    add_text(b, number(b->skipped, p->missed + 1));
    add_text(b, b->sent);
    add_text(b, number(b->ledger_max, req->ledger_max));
    add_text(b, KEY_RESULT_PREFIX);
    add_text(b, KEY_HELD_PREFIX);
    if (!schedule_prev(req->schedule, p->slots[0] - 1, &missed_to_s)) {
        missed_to_s = p->slots[0];
    }
    add_text(b, number(b->missed_to, missed_to_s));
}

/* The messages of the plan's slots and what the ledger says of each. */
static bool build_messages(struct builder *b, const struct claim_request *req, size_t lens[])
{
    const struct plan *p = req->plan;
    char id[UUID_SIZE], tag[UUID_SIZE];

    b->sent[0] = '\0';
    for (int i = 0; p->kind == PLAN_SEND && i < p->n; i++) {
        int64_t slot_s = p->slots[i], missed = i == 0 ? p->missed : 0;

        uuid_random(tag);
        b->messages[i] = message_build(req->schedule, slot_s, tag, req->now_us, &lens[i]);
        if (!b->messages[i]) {
            return false;
        }
        schedule_task_id(req->schedule->name, slot_s, id);
        snprintf(b->head[i], HEAD_SIZE, "{\"slot\":%" PRId64 ",\"sent_at\":", slot_s);
        snprintf(b->tail[i], TAIL_SIZE, ",\"id\":\"%s\",\"missed\":%" PRId64, id, missed);
        if (missed > 0) {
            size_t len = strlen(b->tail[i]);

            snprintf(b->tail[i] + len, TAIL_SIZE - len, ",\"missed_from\":%" PRId64, p->from_s);
        }
        snprintf(b->sent, sizeof b->sent, "%" PRId64 " %s %s %s", slot_s, id, tag, b->list);
    }
    return true;
}

static bool build(struct builder *b, const struct claim_request *req)
{
    size_t lens[SCHEDULE_MISSED_MAX];

    read_predecessor(b, req->state->sent);
    add_text(b, "EVALSHA");
    add_text(b, CLAIM_SCRIPT.sha1);
    add_text(b, "12");
    add_keys(b, req);
    if (!write_revoke(b, req) || !build_messages(b, req, lens)) {
        return false;
    }
    add_state(b, req);
    add_policies(b, req);
    for (int i = 0; b->messages[i] && i < req->plan->n; i++) {
        add(b, b->messages[i], lens[i]);
        add_text(b, b->head[i]);
        add_text(b, b->tail[i]);
    }
    return true;
}

bool claim_append(redisContext *c, const struct claim_request *req, struct err *e)
{
    struct builder *b = calloc(1, sizeof *b);
    bool ok;

    if (!b) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    buf_init(&b->revoke, 16 * KIB);
    ok = (build(b, req) && redisAppendCommandArgv(c, b->n, b->argv, b->lens) == REDIS_OK) ||
         err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    for (int i = 0; i < SCHEDULE_MISSED_MAX; i++) {
        free(b->messages[i]);
    }
    buf_fini(&b->revoke);
    free(b);
    return ok;
}

bool claim_load(redisContext *c, struct err *e)
{
    return script_load(c, &CLAIM_SCRIPT, e);
}

/* ---- answers ---- */

static const struct {
    const char *word;
    enum claim_verdict verdict;
} VERDICTS[] = {{"sent", CLAIM_SENT},      {"skipped", CLAIM_SKIPPED}, {"overlap", CLAIM_OVERLAP},
                {"noted", CLAIM_NOTED},    {"stale", CLAIM_STALE},     {"moved", CLAIM_MOVED},
                {"changed", CLAIM_CHANGED}};

static bool read_verdict(const char *word, enum claim_verdict *out)
{
    for (size_t i = 0; i < ARRAY_LEN(VERDICTS); i++) {
        if (strcmp(word, VERDICTS[i].word) == 0) {
            *out = VERDICTS[i].verdict;
            return true;
        }
    }
    return false;
}

static bool read_array(const redisReply *r, struct claim_answer *a)
{
    char verdict[16];
    struct {
        char *to;
        size_t size;
    } texts[] = {{verdict, sizeof verdict},
                 {NULL, 0},
                 {a->state.last, sizeof a->state.last},
                 {a->state.gap, sizeof a->state.gap},
                 {a->state.sent, sizeof a->state.sent},
                 {a->what, sizeof a->what}};

    if (r->type != REDIS_REPLY_ARRAY || r->elements != ARRAY_LEN(texts)) {
        return false;
    }
    for (size_t i = 0; i < r->elements; i++) {
        const redisReply *x = r->element[i];

        if (x->type != REDIS_REPLY_STRING || strlen(x->str) != x->len ||
            (texts[i].to && !text_copy(texts[i].to, texts[i].size, x->str))) {
            return false;
        }
    }
    return read_verdict(verdict, &a->verdict) &&
           text_to_i64(r->element[1]->str, 0, INT64_MAX, &a->now_us);
}

/* An error that will pass makes the connection useless for now; others are this schedule's alone.
 */
static bool read_error(const redisReply *r, struct claim_answer *a, struct err *e)
{
    if (strncmp(r->str, "NOSCRIPT", 8) == 0) {
        a->verdict = CLAIM_UNLOADED;
        return true;
    }
    rds_error_reply(r->str, e);
    a->verdict = CLAIM_REFUSED;
    return e->cls == ERR_PERMANENT;
}

bool claim_read(redisContext *c, struct claim_answer *a, struct err *e)
{
    void *any = NULL;
    redisReply *r;
    bool ok = true;

    *a = (struct claim_answer){.now_us = -1};
    if (redisGetReply(c, &any) != REDIS_OK) {
        return err_set(e, ERR_RETRYABLE, "ConnectionError", "Redis: %s", c->errstr);
    }
    r = any;
    if (r->type == REDIS_REPLY_ERROR) {
        ok = read_error(r, a, e);
    } else if (!read_array(r, a)) {
        a->verdict = CLAIM_REFUSED;
        err_set(e, ERR_PERMANENT, "RedisError",
                "the state of the schedule in " KEY_BEAT_LAST " and its like is damaged");
    }
    freeReplyObject(r);
    return ok;
}
