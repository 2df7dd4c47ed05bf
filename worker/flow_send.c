#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "worker/flow_parts.h"

/* ---- one task ---- */

/* A named exchange has its bindings in Redis; mostly the key is the queue's name. */
static const char *queue_of(const struct flow_build *b, const cJSON *sig)
{
    static const char *const NAMES[] = {"queue", "routing_key", "exchange"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const char *name = signature_option_text(sig, NAMES[i]);

        if (name && *name) {
            return name;
        }
    }
    return b->env->queue;
}

/* first (array or NULL), then second, as one array. NULL when memory is out. */
static cJSON *joined(struct flow_build *b, const cJSON *first, const cJSON *second)
{
    cJSON *out = cJSON_CreateArray();
    const cJSON *const lists[] = {first, second};

    for (size_t n = 0; out && n < ARRAY_LEN(lists); n++) {
        for (const cJSON *i = lists[n] ? lists[n]->child : NULL; i; i = i->next) {
            if (!cJSON_AddItemToArray(out, flow_copy(b, i))) {
                cJSON_Delete(out);
                return NULL;
            }
        }
    }
    return out;
}

/* NULL instead of an empty list: Celery writes null there. */
static const cJSON *list_option(const cJSON *sig, const char *name)
{
    const cJSON *v = signature_option(sig, name);

    return v && v->child ? v : NULL;
}

/* What the signature asks for, else what our own table of tasks has. */
static int priority_of(const struct flow_build *b, const cJSON *sig)
{
    const cJSON *v = signature_option(sig, "priority");

    if (!v) {
        return b->env->priority ? b->env->priority(b->env->priority_ctx, json_get_str(sig, "task"))
                                : 0;
    }
    return v->valuedouble > 0 ? (int)fmin(v->valuedouble, 255) : 0;
}

static int64_t seconds_us(const cJSON *v)
{
    return (int64_t)(v->valuedouble * 1e6);
}

/* eta and expires, each an ISO 8601 time or seconds from now. */
struct times {
    char eta[CLOCK_ISO_SIZE];
    char expires[CLOCK_ISO_SIZE];
};

static void add_times(const struct flow_build *b, const cJSON *sig, struct times *t,
                      struct msg_new *n)
{
    const cJSON *countdown = signature_option(sig, "countdown");
    const cJSON *expires = signature_option(sig, "expires");
    int64_t until_us;

    n->eta = signature_option_text(sig, "eta");
    if (countdown && countdown->valuedouble != 0) { /* wins, as in Celery */
        n->eta = clock_iso(b->env->now_us + seconds_us(countdown), "+00:00", t->eta);
    }
    n->expires = cJSON_GetStringValue(expires);
    if (expires && !n->expires) {
        n->expires = clock_iso(b->env->now_us + seconds_us(expires), "+00:00", t->expires);
    }
    if (n->expires && clock_parse_iso(n->expires, &until_us) && until_us > b->env->now_us) {
        n->expires_in_ms = (until_us - b->env->now_us) / 1000;
    }
}

static void add_membership(const cJSON *sig, struct msg_new *n)
{
    const cJSON *index = signature_option(sig, "group_index");

    n->group = signature_option_text(sig, "group_id");
    n->group_index = index && index->valuedouble >= 0 ? (int64_t)index->valuedouble : -1;
    n->chord = signature_option(sig, "chord");
}

static bool push(struct flow_build *b, const struct msg_new *n)
{
    char list[SIGNATURE_QUEUE_MAX + 8];
    size_t len;
    char *bytes = msg_build(n, &len);

    if (!msg_list_name(list, sizeof list, n->queue, n->priority)) {
        free(bytes);
        return err_set(b->e, ERR_PERMANENT, "ValueError", "the name of a queue is too long");
    }
    return flow_add(b, FOLLOW_PUSH, list, bytes);
}

static bool send_task(struct flow_build *b, const cJSON *sig, const struct flow_call *call)
{
    const cJSON *ignore = signature_option(sig, "ignore_result");
    struct times times;
    struct msg_new n = {.task = json_get_str(sig, "task"),
                        .id = signature_option_text(sig, "task_id"),
                        .queue = queue_of(b, sig),
                        .origin = b->env->origin,
                        .reply_to = signature_option_text(sig, "reply_to"),
                        .root = call->root,
                        .parent = call->parent,
                        .shadow = signature_option_text(sig, "shadow"),
                        .kwargs = json_get_obj(sig, "kwargs"),
                        .callbacks = list_option(sig, "link"),
                        .errbacks = list_option(sig, "link_error"),
                        .chain = list_option(sig, "chain"),
                        .headers = signature_option(sig, "headers"),
                        .hard_limit = signature_option(sig, "time_limit"),
                        .soft_limit = signature_option(sig, "soft_time_limit"),
                        .slot_unix_s = -1,
                        .priority = priority_of(b, sig),
                        .ignore_result = cJSON_IsTrue(ignore)};
    cJSON *args =
        joined(b, signature_is_immutable(sig) ? NULL : call->args, json_get_arr(sig, "args"));
    bool ok;

    if (!args) {
        return flow_no_memory(b->e);
    }
    n.args = args;
    add_times(b, sig, &times, &n);
    add_membership(sig, &n);
    ok = push(b, &n);
    cJSON_Delete(args);
    return ok;
}

/* ---- wholes ---- */

/* The first step carries the others. */
static bool send_chain(struct flow_build *b, const cJSON *sig, const struct flow_call *call,
                       cJSON *trail)
{
    cJSON *first = signature_members(sig)->child;
    cJSON *rest, *options;

    if (!first) {
        return true;
    }
    if (!first->next) {
        return flow_send(b, first, call, trail);
    }
    /* With something behind it, it is a task: prepared steps have groups at the end only. */
    options = json_get_obj(first, "options");
    rest = joined(b, NULL, cJSON_GetObjectItemCaseSensitive(options, "chain"));
    for (const cJSON *i = first->next; rest && i; i = i->next) {
        cJSON_InsertItemInArray(rest, 0, flow_copy(b, i)); /* what is last comes first */
    }
    cJSON_DeleteItemFromObjectCaseSensitive(options, "chain");
    if (!cJSON_AddItemToObject(options, "chain", rest)) {
        return flow_no_memory(b->e);
    }
    return flow_send(b, first, call, trail);
}

static bool send_members(struct flow_build *b, const cJSON *members, const struct flow_call *call)
{
    for (const cJSON *i = members->child; i; i = i->next) {
        if (!flow_send(b, i, call, NULL)) {
            return false;
        }
    }
    return true;
}

/* How many ends of it count as parts of the chord around it. */
static int64_t count_parts(const cJSON *sig)
{
    const cJSON *members, *rest;
    int64_t n = 0;

    switch (signature_kind(sig)) {
    case SIGNATURE_TASK:
        rest = signature_option(sig, "chain");
        return rest && rest->child ? count_parts(rest->child) : 1;
    case SIGNATURE_CHAIN:
        members = signature_members(sig);
        return members->child ? count_parts(members->child->prev) : 0;
    case SIGNATURE_CHORD:
        return count_parts(signature_body(sig));
    case SIGNATURE_GROUP:
        break;
    }
    for (const cJSON *i = signature_members(sig)->child; i; i = i->next) {
        n += count_parts(i);
    }
    return n;
}

/* Results in results: then the list of results alone does not show their shape. */
static bool is_complex(const cJSON *group_tuple)
{
    const cJSON *i;

    cJSON_ArrayForEach(i, cJSON_GetArrayItem(group_tuple, 1))
    {
        if (cJSON_IsArray(cJSON_GetArrayItem(i, 1))) {
            return true;
        }
    }
    return false;
}

/* The group as GroupResult.restore() and the end of the chord read it. Takes nothing. */
static bool save_group(struct flow_build *b, const char *id, const cJSON *group_tuple)
{
    char key[sizeof KEY_GROUP_PREFIX + MSG_NAME_SIZE];
    struct buf doc;

    snprintf(key, sizeof key, "%s%s", KEY_GROUP_PREFIX, id);
    buf_init(&doc, FLOW_BYTES_MAX);
    if (buf_addstr(&doc, "{\"result\": ") && json_add(&doc, group_tuple)) {
        buf_addch(&doc, '}');
    }
    return flow_add(b, FOLLOW_SET, key, buf_take(&doc, NULL));
}

static bool set_size(struct flow_build *b, const char *id, int64_t size)
{
    char key[sizeof KEY_GROUP_PREFIX + MSG_NAME_SIZE + 2];
    char text[24];

    snprintf(key, sizeof key, "%s%s.s", KEY_GROUP_PREFIX, id);
    snprintf(text, sizeof text, "%" PRId64, size);
    return flow_add(b, FOLLOW_SET, key, strdup(text));
}

/* A chord without parts: its body gets an empty list at once. */
static bool send_body(struct flow_build *b, const cJSON *chord, const struct flow_call *call,
                      cJSON *trail)
{
    struct flow_call body = {
        .args = cJSON_Parse("[[]]"), .parent = call->parent, .root = call->root};
    bool ok = body.args ? flow_send(b, signature_body(chord), &body, trail) : flow_no_memory(b->e);

    cJSON_Delete((cJSON *)(uintptr_t)body.args); /* ours */
    return ok;
}

static bool send_chord(struct flow_build *b, const cJSON *sig, const struct flow_call *call,
                       cJSON *trail)
{
    const cJSON *group = signature_header_group(sig);
    const char *id = signature_option_text(group, "task_id");
    cJSON *tuple = flow_result_tuple(group, NULL);
    int64_t size = count_parts(group);
    bool ok =
        size == 0 || (set_size(b, id, size) && (!is_complex(tuple) || save_group(b, id, tuple)));

    if (!ok || size == 0 || !trail || !cJSON_AddItemToArray(trail, tuple)) {
        cJSON_Delete(tuple);
    }
    if (ok && size == 0) {
        return send_body(b, sig, call, trail);
    }
    return ok && send_members(b, signature_members(sig), call);
}

static void add_trail(const cJSON *sig, cJSON *trail)
{
    if (!trail) {
        return;
    }
    /* Of a chain only its first step: the others are the next ones' children. */
    cJSON_AddItemToArray(trail, signature_kind(sig) == SIGNATURE_TASK
                                    ? flow_tuple(signature_option_text(sig, "task_id"), NULL, NULL)
                                    : flow_result_tuple(sig, NULL));
}

bool flow_send(struct flow_build *b, const cJSON *sig, const struct flow_call *call, cJSON *trail)
{
    switch (signature_kind(sig)) {
    case SIGNATURE_TASK:
        add_trail(sig, trail);
        return send_task(b, sig, call);
    case SIGNATURE_CHAIN:
        return send_chain(b, sig, call, trail);
    case SIGNATURE_GROUP:
        add_trail(sig, trail);
        return send_members(b, signature_members(sig), call);
    case SIGNATURE_CHORD:
        return send_chord(b, sig, call, trail);
    }
    return false;
}

bool flow_apply(struct flow_build *b, const cJSON *sig, const cJSON *rest,
                const struct flow_call *call, cJSON *trail)
{
    const cJSON *prepared = flow_prepare(b, sig, rest, NULL);

    return prepared ? flow_send(b, prepared, call, trail) : flow_no_memory(b->e);
}

/* Groups among them stay groups of their own, as in Celery. */
bool flow_apply_all(struct flow_build *b, const cJSON *sigs, const struct flow_call *call,
                    cJSON *trail)
{
    char group[UUID_SIZE];
    struct membership of = {.group = group, .index = -1};
    cJSON *members = cJSON_CreateArray();
    bool ok = members != NULL;

    b->env->new_id(group);
    for (const cJSON *i = sigs->child; ok && i; i = i->next) {
        bool is_group = signature_kind(i) == SIGNATURE_GROUP;
        const cJSON *prepared = flow_prepare(b, i, NULL, is_group ? NULL : &of);

        if (prepared && !is_group) {
            cJSON_AddItemToArray(members, flow_result_tuple(prepared, NULL));
        }
        ok =
            prepared ? flow_send(b, prepared, call, is_group ? trail : NULL) : flow_no_memory(b->e);
    }
    if (ok && trail && members->child) {
        cJSON_AddItemToArray(trail, flow_tuple(group, NULL, members));
    } else {
        cJSON_Delete(members);
    }
    return ok;
}
