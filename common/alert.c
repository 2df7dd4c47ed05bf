#include "common/alert.h"

#include <string.h>

#include "common/clock.h"

const struct alert_rule_text ALERT_RULES[ALERT_RULE_COUNT] = {
    [ALERT_BATCH_FAILED] = {"batch_failed", "critical", "The batch failed for good"},
    [ALERT_RANKING_OLD] = {"ranking_old", "critical", "The ranking is too old"},
    [ALERT_DEAD_LETTERS] = {"dead_letters", "warning", "Tasks failed for good"},
    [ALERT_CONSERVATION] = {"conservation", "critical", "Messages are not accounted for"},
    [ALERT_SOURCE_RESTS] = {"source_rests", "warning", "The source of characters is not asked"},
};
const char *const ALERT_CHANNELS[ALERT_CHANNEL_COUNT] = {
    [ALERT_WEBHOOK] = "webhook", [ALERT_MAIL] = "mail", [ALERT_PING] = "ping"};

/* -------------------------------------------------------------------------------- the document */

static int64_t number(const cJSON *obj, const char *name, int64_t fallback)
{
    int64_t n;

    return json_get_i64(obj, name, INT64_MIN / 2, INT64_MAX / 2, &n) ? n : fallback;
}

static void set_number(cJSON *obj, const char *name, int64_t n)
{
    cJSON_DeleteItemFromObjectCaseSensitive(obj, name);
    cJSON_AddNumberToObject(obj, name, (double)n);
}

static void set_text(cJSON *obj, const char *name, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(obj, name);
    cJSON_AddStringToObject(obj, name, text);
}

/* The member, made when it is not there or of another type. */
static cJSON *member(cJSON *obj, const char *name, bool array)
{
    cJSON *v = array ? json_get_arr(obj, name) : json_get_obj(obj, name);

    if (!v) {
        cJSON_DeleteItemFromObjectCaseSensitive(obj, name);
        v = array ? cJSON_AddArrayToObject(obj, name) : cJSON_AddObjectToObject(obj, name);
    }
    return v;
}

/* A moment that was set by another clock, or before ours went back, counts as come. */
static bool is_over(int64_t at_s, int64_t now_s, int64_t longest_s)
{
    return at_s <= now_s || at_s > now_s + longest_s;
}

/* -------------------------------------------------------------------------------- writing letters
 */

static cJSON *new_letter(cJSON *state, const char *kind, int64_t now_s)
{
    cJSON *outbox = member(state, "outbox", true), *letter = cJSON_CreateObject();
    int64_t id = number(state, "serial", 0) + 1;

    set_number(state, "serial", id);
    set_number(letter, "id", id);
    set_number(letter, "at", now_s);
    set_number(letter, "due", now_s);
    set_text(letter, "kind", kind);
    cJSON_AddArrayToObject(letter, "items");
    cJSON_AddArrayToObject(letter, "left");
    cJSON_AddItemToArray(outbox, letter);
    while (cJSON_GetArraySize(outbox) > ALERT_OUTBOX_MAX) {
        cJSON_DeleteItemFromArray(outbox, 0);
    }
    return letter;
}

static void address_to(cJSON *letter, enum alert_channel to, int64_t now_s)
{
    cJSON *one = cJSON_CreateObject();

    set_text(one, "to", ALERT_CHANNELS[to]);
    set_number(one, "tries", 0);
    set_number(one, "next", now_s);
    set_number(one, "lease", 0);
    cJSON_AddItemToArray(json_get_arr(letter, "left"), one);
}

static void address_to_people(cJSON *letter, const struct alert_policy *p, int64_t now_s)
{
    for (int to = 0; to < ALERT_CHANNEL_COUNT; to++) {
        if (p->to[to] && to != ALERT_PING) {
            address_to(letter, (enum alert_channel)to, now_s);
        }
    }
}

/* The letter that still waits for company, or a new one. */
static cJSON *open_letter(cJSON *state, const struct alert_policy *p, int64_t now_s)
{
    cJSON *outbox = member(state, "outbox", true), *letter;

    cJSON_ArrayForEach(letter, outbox)
    {
        const char *kind = json_get_str(letter, "kind");

        if (kind && strcmp(kind, "alert") == 0 &&
            !is_over(number(letter, "due", 0), now_s, ALERT_GROUP_S)) {
            return letter;
        }
    }
    letter = new_letter(state, "alert", now_s);
    set_number(letter, "due", now_s + ALERT_GROUP_S);
    address_to_people(letter, p, now_s);
    return letter;
}

/* Takes back what a letter that is still here was to say of an alert. True: it was "firing". */
static bool take_back(cJSON *letter, const char *name)
{
    cJSON *items = json_get_arr(letter, "items");
    bool firing = false;

    for (int i = cJSON_GetArraySize(items) - 1; i >= 0; i--) {
        const cJSON *item = cJSON_GetArrayItem(items, i);
        const char *of = json_get_str(item, "name"), *status = json_get_str(item, "status");

        if (of && strcmp(of, name) == 0) {
            firing = firing || (status && strcmp(status, "firing") == 0);
            cJSON_DeleteItemFromArray(items, i);
        }
    }
    return firing;
}

static void drop_if_empty(cJSON *state, cJSON *letter)
{
    if (cJSON_GetArraySize(json_get_arr(letter, "items")) == 0) {
        cJSON_Delete(cJSON_DetachItemViaPointer(member(state, "outbox", true), letter));
    }
}

static void write_item(cJSON *letter, enum alert_rule rule, const char *status, const cJSON *alert)
{
    const char *text = json_get_str(alert, "text");
    cJSON *item = cJSON_CreateObject();

    set_text(item, "name", ALERT_RULES[rule].name);
    set_text(item, "status", status);
    set_text(item, "severity", ALERT_RULES[rule].severity);
    set_number(item, "since", number(alert, "since", 0));
    set_text(item, "text", text ? text : "");
    cJSON_AddItemToArray(json_get_arr(letter, "items"), item);
}

/* ------------------------------------------------------------------------------------- the rules
 */

static void begin(cJSON *state, enum alert_rule rule, const struct alert_fact *f,
                  const struct alert_policy *p, int64_t now_s)
{
    cJSON *alert = cJSON_CreateObject(), *letter = open_letter(state, p, now_s);

    set_number(alert, "since", now_s);
    set_number(alert, "told", now_s);
    set_number(alert, "level", f->level);
    set_text(alert, "text", f->text);
    take_back(letter, ALERT_RULES[rule].name); /* it was over for a moment: not worth a word */
    write_item(letter, rule, "firing", alert);
    cJSON_AddItemToObject(member(state, "alerts", false), ALERT_RULES[rule].name, alert);
}

/* What was not told of yet is not told of at all. */
static void end(cJSON *state, enum alert_rule rule, cJSON *alert, const struct alert_policy *p,
                int64_t now_s)
{
    cJSON *letter = open_letter(state, p, now_s);

    if (!take_back(letter, ALERT_RULES[rule].name)) {
        write_item(letter, rule, "resolved", alert);
    }
    drop_if_empty(state, letter);
    cJSON_DeleteItemFromObjectCaseSensitive(member(state, "alerts", false), ALERT_RULES[rule].name);
}

static void go_on(cJSON *state, enum alert_rule rule, cJSON *alert, const struct alert_fact *f,
                  const struct alert_policy *p, int64_t now_s)
{
    cJSON *letter;

    set_text(alert, "text", f->text);
    if (f->level <= number(alert, "level", 0) ||
        !is_over(number(alert, "told", 0) + ALERT_AGAIN_S, now_s, ALERT_AGAIN_S)) {
        return;
    }
    set_number(alert, "level", f->level);
    set_number(alert, "told", now_s);
    letter = open_letter(state, p, now_s);
    take_back(letter, ALERT_RULES[rule].name);
    write_item(letter, rule, "worse", alert);
}

void alert_step(cJSON *state, const struct alert_fact facts[ALERT_RULE_COUNT],
                const struct alert_policy *p, int64_t now_s)
{
    set_number(state, "checked", now_s);
    for (int i = 0; i < ALERT_RULE_COUNT; i++) {
        cJSON *alert = json_get_obj(member(state, "alerts", false), ALERT_RULES[i].name);
        enum alert_rule rule = (enum alert_rule)i;

        if (!facts[i].known) {
            continue;
        }
        if (facts[i].firing && !alert) {
            begin(state, rule, &facts[i], p, now_s);
        } else if (facts[i].firing) {
            go_on(state, rule, alert, &facts[i], p, now_s);
        } else if (alert) {
            end(state, rule, alert, p, now_s);
        }
    }
}

void alert_batch_done(cJSON *state, int64_t run_id, const struct alert_policy *p, int64_t now_s)
{
    int64_t before = number(state, "pinged", -1);
    cJSON *letter;

    if (run_id == before) {
        return;
    }
    set_number(state, "pinged", run_id);
    if (before < 0 || !p->to[ALERT_PING]) {
        return;
    }
    cJSON_ArrayForEach(letter, member(state, "outbox", true))
    {
        const char *kind = json_get_str(letter, "kind");

        if (kind && strcmp(kind, "ping") == 0) {
            set_number(letter, "run", run_id); /* the newest one is what counts */
            set_number(letter, "at", now_s);
            return;
        }
    }
    letter = new_letter(state, "ping", now_s);
    set_number(letter, "run", run_id);
    address_to(letter, ALERT_PING, now_s);
}

void alert_note_success(cJSON *state, int64_t success_s)
{
    set_number(state, "succeeded", success_s);
}

int64_t alert_last_success(const cJSON *state)
{
    return number(state, "succeeded", 0);
}

void alert_test(cJSON *state, const struct alert_policy *p, int64_t now_s)
{
    address_to_people(new_letter(state, "test", now_s), p, now_s);
}

/* ------------------------------------------------------------------------------------ delivering
 */

static bool channel_of(const cJSON *left, enum alert_channel *to)
{
    const char *name = json_get_str(left, "to");

    for (int i = 0; name && i < ALERT_CHANNEL_COUNT; i++) {
        if (strcmp(name, ALERT_CHANNELS[i]) == 0) {
            *to = (enum alert_channel)i;
            return true;
        }
    }
    return false;
}

/* Tests only: another beat may have the channel, and a test is addressed to all that there are. */
static void drop_unreachable(cJSON *letter, const struct alert_policy *p)
{
    cJSON *all = json_get_arr(letter, "left"), *left, *next;
    const char *kind = json_get_str(letter, "kind");
    enum alert_channel to;

    if (!kind || strcmp(kind, "test") != 0) {
        return;
    }
    for (left = all ? all->child : NULL; left; left = next) {
        next = left->next;
        if (!channel_of(left, &to) || !p->to[to]) {
            cJSON_Delete(cJSON_DetachItemViaPointer(all, left));
        }
    }
}

static bool is_free(const cJSON *left, int64_t now_s)
{
    return is_over(number(left, "next", 0), now_s, ALERT_RETRY_MAX_S) &&
           is_over(number(left, "lease", 0), now_s, ALERT_LEASE_S);
}

/* The first of a letter's deliveries that may begin; held: channels with an earlier letter. */
static cJSON *find_free(const cJSON *letter, const struct alert_policy *p, int64_t now_s,
                        bool held[ALERT_CHANNEL_COUNT])
{
    enum alert_channel to;
    cJSON *left;

    cJSON_ArrayForEach(left, json_get_arr(letter, "left"))
    {
        if (!channel_of(left, &to) || !p->to[to] || held[to]) {
            continue;
        }
        if (is_free(left, now_s)) {
            return left;
        }
        held[to] = number(left, "tries", 0) < ALERT_ORDER_TRIES;
    }
    return NULL;
}

bool alert_claim(cJSON *state, const struct alert_policy *p, int64_t now_s, struct alert_job *job)
{
    bool held[ALERT_CHANNEL_COUNT] = {false};
    cJSON *letter, *left;

    cJSON_ArrayForEach(letter, member(state, "outbox", true))
    {
        if (!is_over(number(letter, "due", 0), now_s, ALERT_GROUP_S)) {
            continue;
        }
        drop_unreachable(letter, p);
        left = find_free(letter, p, now_s, held);
        if (left && channel_of(left, &job->to)) {
            set_number(left, "lease", now_s + ALERT_LEASE_S);
            job->id = number(letter, "id", 0);
            job->letter = letter;
            return true;
        }
    }
    return false;
}

static cJSON *find_letter(cJSON *state, int64_t id)
{
    cJSON *letter;

    cJSON_ArrayForEach(letter, member(state, "outbox", true))
    {
        if (number(letter, "id", 0) == id) {
            return letter;
        }
    }
    return NULL;
}

static cJSON *find_left(const cJSON *letter, enum alert_channel to)
{
    enum alert_channel channel;
    cJSON *left;

    cJSON_ArrayForEach(left, json_get_arr(letter, "left"))
    {
        if (channel_of(left, &channel) && channel == to) {
            return left;
        }
    }
    return NULL;
}

static void put_off(cJSON *left, int64_t now_s)
{
    int64_t tries = number(left, "tries", 0) + 1, wait_s = ALERT_RETRY_MIN_S;

    for (int64_t i = 1; i < tries && wait_s < ALERT_RETRY_MAX_S; i++) {
        wait_s *= 2;
    }
    set_number(left, "tries", tries);
    set_number(left, "next", now_s + (wait_s < ALERT_RETRY_MAX_S ? wait_s : ALERT_RETRY_MAX_S));
    set_number(left, "lease", 0);
}

void alert_settle(cJSON *state, const struct alert_job *job, bool delivered, int64_t now_s)
{
    cJSON *letter = find_letter(state, job->id), *left = letter ? find_left(letter, job->to) : NULL;

    if (!left) {
        return;
    }
    if (!delivered) {
        put_off(left, now_s);
        return;
    }
    cJSON_Delete(cJSON_DetachItemViaPointer(json_get_arr(letter, "left"), left));
    if (cJSON_GetArraySize(json_get_arr(letter, "left")) == 0) {
        cJSON_Delete(cJSON_DetachItemViaPointer(member(state, "outbox", true), letter));
    }
}

static bool is_too_old(const cJSON *letter, int64_t now_s)
{
    const char *kind = json_get_str(letter, "kind");
    int64_t longest_s = kind && strcmp(kind, "ping") == 0 ? ALERT_PING_S : ALERT_GIVE_UP_S;

    return number(letter, "at", 0) + longest_s < now_s ||
           cJSON_GetArraySize(json_get_arr(letter, "left")) == 0;
}

int alert_give_up(cJSON *state, int64_t now_s)
{
    cJSON *outbox = member(state, "outbox", true), *letter, *next;
    int dropped = 0;

    for (letter = outbox->child; letter; letter = next) {
        next = letter->next;
        if (is_too_old(letter, now_s)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(outbox, letter));
            dropped++;
        }
    }
    return dropped;
}

/* --------------------------------------------------------------------------------- for people */

static const struct alert_rule_text *rule_of(const cJSON *item)
{
    const char *name = json_get_str(item, "name");

    for (int i = 0; name && i < ALERT_RULE_COUNT; i++) {
        if (strcmp(name, ALERT_RULES[i].name) == 0) {
            return &ALERT_RULES[i];
        }
    }
    return NULL;
}

static const char *title_of(const cJSON *item)
{
    const struct alert_rule_text *rule = rule_of(item);

    return rule ? rule->title : "Something else";
}

/* "FIRING" shouts, what is over does not. */
static const char *word_of(const cJSON *item)
{
    const char *status = json_get_str(item, "status");

    if (status && strcmp(status, "resolved") == 0) {
        return "Resolved";
    }
    return status && strcmp(status, "worse") == 0 ? "WORSE" : "FIRING";
}

bool alert_subject(const cJSON *letter, const char *deployment, struct buf *out)
{
    const cJSON *items = json_get_arr(letter, "items"), *first = items ? items->child : NULL;
    int count = cJSON_GetArraySize(items);

    buf_addf(out, "[%s] ", deployment);
    if (!first) {
        return buf_addstr(out, "Test: alerts arrive");
    }
    buf_addf(out, "%s: %s", word_of(first), title_of(first));
    return count == 1 ? !out->failed : buf_addf(out, " (and %d more)", count - 1);
}

static void add_item_line(const cJSON *item, struct buf *out)
{
    const char *text = json_get_str(item, "text");
    char since[CLOCK_ISO_SIZE];

    clock_iso(number(item, "since", 0) * 1000000, "", since);
    since[19] = '\0'; /* whole seconds */
    buf_addf(out, "%s: %s", word_of(item), title_of(item));
    if (text && text[0]) {
        buf_addf(out, " - %s", text);
    }
    buf_addf(out, " (since %sZ)\n", since);
}

bool alert_body(const cJSON *letter, const char *deployment, struct buf *out)
{
    const cJSON *items = json_get_arr(letter, "items"), *item;

    cJSON_ArrayForEach(item, items)
    {
        add_item_line(item, out);
    }
    if (cJSON_GetArraySize(items) == 0) {
        buf_addf(out, "This is a test of the alerts of %s. Nothing is wrong.\n", deployment);
    }
    return !out->failed;
}
