#include <stdlib.h>
#include <string.h>

#include "worker/flow_parts.h"

/*
 * Signatures as they come may lack ids, hold groups in groups, chains in chains, groups that are
 * followed by something. Afterwards every task has an id, chains and groups are flat, a group
 * with something behind it is a chord, and the options of a whole stand where its parts need them.
 * A Python worker that finds the rest of it in a message understands it as well.
 */

static const struct membership NO_MEMBER = {.index = -1};

static bool prepare(struct flow_build *b, cJSON *sig, const struct membership *of);

/* ---- small changes of a signature; false: memory is out ---- */

static cJSON *options_of(cJSON *sig)
{
    cJSON *o = json_get_obj(sig, "options");

    if (!o) {
        cJSON_DeleteItemFromObjectCaseSensitive(sig, "options");
        o = cJSON_AddObjectToObject(sig, "options");
    }
    return o;
}

/* Takes v. */
static bool set(cJSON *obj, const char *name, cJSON *v)
{
    bool ok = obj && v;

    if (ok && cJSON_GetObjectItemCaseSensitive(obj, name)) {
        return cJSON_ReplaceItemInObjectCaseSensitive(obj, name, v);
    }
    ok = ok && cJSON_AddItemToObject(obj, name, v);
    if (!ok) {
        cJSON_Delete(v);
    }
    return ok;
}

static bool set_text(cJSON *sig, const char *name, const char *text)
{
    return set(options_of(sig), name, cJSON_CreateString(text));
}

static bool set_text_if_missing(cJSON *sig, const char *name, const char *text)
{
    return !text || signature_option(sig, name) || set_text(sig, name, text);
}

static bool set_new_id(struct flow_build *b, cJSON *sig, const char *wanted)
{
    char id[UUID_SIZE];

    if (signature_option(sig, "task_id")) {
        return true;
    }
    if (!wanted) {
        b->env->new_id(id);
    }
    return set_text(sig, "task_id", wanted ? wanted : id);
}

/* The option as an array of its own, taken out of the signature; an empty one when there is
 * none. NULL when memory is out. */
static cJSON *take_list(cJSON *sig, const char *name)
{
    cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(json_get_obj(sig, "options"), name);
    cJSON *list = cJSON_IsArray(v) ? v : cJSON_CreateArray();

    if (cJSON_IsObject(v) && !cJSON_AddItemToArray(list, v)) {
        cJSON_Delete(list);
        list = NULL;
    }
    if (!cJSON_IsArray(v) && !cJSON_IsObject(v)) {
        cJSON_Delete(v);
    }
    return list;
}

/* One signature instead of a list is allowed. */
static bool make_list(cJSON *sig, const char *name)
{
    return !cJSON_IsObject(signature_option(sig, name)) ||
           set(options_of(sig), name, take_list(sig, name));
}

static bool holds(const cJSON *list, const cJSON *v)
{
    const cJSON *i;

    cJSON_ArrayForEach(i, list)
    {
        if (cJSON_Compare(i, v, true)) {
            return true;
        }
    }
    return false;
}

/* Adds copies of the signatures in more (an array, one, or NULL) that are not there yet. */
static bool extend_list(struct flow_build *b, cJSON *sig, const char *name, const cJSON *more)
{
    const cJSON *first = cJSON_IsArray(more) ? more->child : more;
    cJSON *list;
    bool ok;

    if (!first) {
        return true;
    }
    list = take_list(sig, name);
    ok = list != NULL;
    for (const cJSON *i = first; ok && i; i = cJSON_IsArray(more) ? i->next : NULL) {
        ok = holds(list, i) || cJSON_AddItemToArray(list, flow_copy(b, i));
    }
    if (!ok) {
        cJSON_Delete(list);
        return false;
    }
    return set(options_of(sig), name, list);
}

/* Options that are about the whole; the others (queue, countdown, ...) are for its tasks. */
static bool is_structural(const char *name)
{
    static const char *const NAMES[] = {"task_id",   "group_id", "group_index", "chord",
                                        "chain",     "link",     "root_id",     "link_error",
                                        "parent_id", "reply_to"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool pass_options(struct flow_build *b, const cJSON *from, cJSON *to)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, json_get_obj(from, "options"))
    {
        if (!is_structural(v->string) && !set(options_of(to), v->string, flow_copy(b, v))) {
            return false;
        }
    }
    return true;
}

/* ---- making ---- */

/* Takes header and body. */
static cJSON *new_chord(cJSON *header, cJSON *body)
{
    cJSON *sig = cJSON_CreateObject();
    cJSON *kwargs = cJSON_CreateObject();
    bool ok = sig && kwargs && cJSON_AddStringToObject(sig, "task", "celery.chord") &&
              cJSON_AddArrayToObject(sig, "args") && cJSON_AddObjectToObject(kwargs, "kwargs");

    ok = set(kwargs, "header", header) && ok;
    ok = set(kwargs, "body", body) && ok;
    ok = set(sig, "kwargs", kwargs) && ok && cJSON_AddObjectToObject(sig, "options") &&
         cJSON_AddStringToObject(sig, "subtask_type", "chord") &&
         cJSON_AddFalseToObject(sig, "immutable");
    if (!ok) {
        cJSON_Delete(sig);
        return NULL;
    }
    return sig;
}

/* Takes members (an array). */
static cJSON *new_group(cJSON *members)
{
    cJSON *sig = cJSON_CreateObject();
    cJSON *kwargs = cJSON_CreateObject();
    bool ok = sig && cJSON_AddStringToObject(sig, "task", "celery.group") &&
              cJSON_AddArrayToObject(sig, "args");

    ok = set(kwargs, "tasks", members) && ok;
    ok = set(sig, "kwargs", kwargs) && ok && cJSON_AddObjectToObject(sig, "options") &&
         cJSON_AddStringToObject(sig, "subtask_type", "group") &&
         cJSON_AddFalseToObject(sig, "immutable");
    if (!ok) {
        cJSON_Delete(sig);
        return NULL;
    }
    return sig;
}

/* NULL when it is empty. */
static cJSON *pop_last(cJSON *list)
{
    return list->child ? cJSON_DetachItemViaPointer(list, list->child->prev) : NULL;
}

/* Takes list. */
static cJSON *reversed(cJSON *list)
{
    cJSON *out = cJSON_CreateArray();

    /* Items are added at the end in no time, and taken from the front in no time. */
    while (out && list && list->child) {
        cJSON *v = cJSON_DetachItemFromArray(list, 0);

        cJSON_InsertItemInArray(out, 0, v);
    }
    cJSON_Delete(list);
    return out;
}

/* ---- steps that come after a signature ---- */

static bool attach(struct flow_build *b, cJSON **sig, cJSON *rest);

static bool attach_to_body(struct flow_build *b, cJSON *chord, cJSON *rest)
{
    cJSON *kwargs = json_get_obj(chord, "kwargs");
    cJSON *body = cJSON_DetachItemFromObjectCaseSensitive(kwargs, "body");
    bool ok = attach(b, &body, rest);

    return set(kwargs, "body", body) && ok;
}

/* A group with something behind it is a chord. */
static bool attach_to_group(struct flow_build *b, cJSON **group, cJSON *rest)
{
    *group = new_chord(*group, pop_last(rest));
    if (!*group) {
        cJSON_Delete(rest);
        return false;
    }
    return attach_to_body(b, *group, rest);
}

static bool attach_to_chain(cJSON *chain, cJSON *rest)
{
    cJSON *tasks = signature_members(chain);

    for (cJSON *v; (v = pop_last(rest)) != NULL;) {
        cJSON_AddItemToArray(tasks, v);
    }
    cJSON_Delete(rest);
    return true;
}

/* Takes rest (reversed; may be empty or, memory being out, NULL). *sig may become another one;
 * it is owned by the caller. */
static bool attach(struct flow_build *b, cJSON **sig, cJSON *rest)
{
    cJSON *own = take_list(*sig, "chain");

    if (!own || !rest) {
        cJSON_Delete(own);
        cJSON_Delete(rest);
        return false;
    }
    while (own->child) { /* comes before the rest, so behind it in the array */
        cJSON_AddItemToArray(rest, cJSON_DetachItemFromArray(own, 0));
    }
    cJSON_Delete(own);
    if (!rest->child) {
        cJSON_Delete(rest);
        return true;
    }
    switch (signature_kind(*sig)) {
    case SIGNATURE_CHAIN:
        return attach_to_chain(*sig, rest);
    case SIGNATURE_CHORD:
        return attach_to_body(b, *sig, rest);
    case SIGNATURE_GROUP:
        return attach_to_group(b, sig, rest);
    case SIGNATURE_TASK:
        break;
    }
    return set(options_of(*sig), "chain", rest);
}

/* ---- lists of steps ---- */

/* What was said about a whole chain holds for its steps from..end of out. */
static bool pass_chain_options(struct flow_build *b, cJSON *chain, cJSON *out, int from)
{
    cJSON *errbacks = signature_option(chain, "link_error");
    cJSON *first = cJSON_GetArrayItem(out, from);
    cJSON *last = first;
    bool ok = first != NULL;

    for (cJSON *i = first; ok && i; i = i->next) {
        last = i;
        ok = extend_list(b, i, "link_error", errbacks);
    }
    if (!ok) {
        return first == NULL;
    }
    for (size_t i = 0; i < 4; i++) {
        static const char *const OF_LAST[] = {"task_id", "group_id", "group_index", "chord"};
        cJSON *v = signature_option(chain, OF_LAST[i]);

        if (v && !signature_option(last, OF_LAST[i]) &&
            !set(options_of(last), OF_LAST[i], flow_copy(b, v))) {
            return false;
        }
    }
    return extend_list(b, last, "link", signature_option(chain, "link")) &&
           pass_options(b, chain, first);
}

/* Moves the steps of chain to the end of out, those of chains in it as well. */
static bool flatten(struct flow_build *b, cJSON *chain, cJSON *out)
{
    cJSON *tasks = signature_members(chain);
    int from = cJSON_GetArraySize(out);
    bool ok = true;

    while (ok && tasks->child) {
        cJSON *step = cJSON_DetachItemFromArray(tasks, 0);
        cJSON *members = signature_kind(step) == SIGNATURE_GROUP ? signature_members(step) : NULL;

        if (members && members->child && !members->child->next) {
            cJSON *only = cJSON_DetachItemFromArray(members, 0);

            cJSON_Delete(step);
            step = only; /* a group of one is that one */
        }
        if (signature_kind(step) == SIGNATURE_CHAIN) {
            ok = flatten(b, step, out);
            cJSON_Delete(step);
        } else {
            cJSON_AddItemToArray(out, step);
        }
    }
    return ok && pass_chain_options(b, chain, out, from);
}

/* The first group or chord that something follows takes everything behind it to its body. */
static bool join_groups(struct flow_build *b, cJSON *steps)
{
    cJSON *rest;
    cJSON *at = steps->child;
    bool ok;

    while (at && signature_kind(at) == SIGNATURE_TASK) {
        at = at->next;
    }
    if (!at || !at->next) {
        return true;
    }
    rest = cJSON_CreateArray();
    while (rest && at->next) {
        cJSON_InsertItemInArray(rest, 0, cJSON_DetachItemViaPointer(steps, at->next));
    }
    cJSON_DetachItemViaPointer(steps, at);
    ok = attach(b, &at, rest);
    return at && cJSON_AddItemToArray(steps, at) && ok;
}

/* The steps in order, in place; the last one is part of something. */
static bool prepare_steps(struct flow_build *b, cJSON *steps, const struct membership *of)
{
    struct membership inner = NO_MEMBER;
    bool ok = join_groups(b, steps);

    inner.errbacks = of->errbacks;
    for (cJSON *i = steps->child; ok && i; i = i->next) {
        ok = prepare(b, i, i->next ? &inner : of);
    }
    return ok;
}

static bool prepare_chain(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    cJSON *steps = cJSON_CreateArray();

    if (!steps || !flatten(b, sig, steps) || !prepare_steps(b, steps, of)) {
        cJSON_Delete(steps);
        return false;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(sig, "options");
    return options_of(sig) && set(json_get_obj(sig, "kwargs"), "tasks", steps);
}

/* ---- one task ---- */

/* What is to run right after it: the end of that is part of what the task was to be part of. */
static bool prepare_rest(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    cJSON *steps = reversed(take_list(sig, "chain"));
    cJSON *flat = cJSON_CreateArray();
    cJSON *chain = new_group(steps); /* only to be flattened */
    bool ok = steps && flat && chain && flatten(b, chain, flat) && prepare_steps(b, flat, of);

    cJSON_Delete(chain);
    if (!ok) {
        cJSON_Delete(flat);
        return false;
    }
    return set(options_of(sig), "chain", reversed(flat));
}

static bool has_rest(const cJSON *sig)
{
    return cJSON_GetArraySize(signature_option(sig, "chain")) > 0;
}

static bool prepare_task(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    struct membership own = *of;

    if (has_rest(sig)) {
        own = NO_MEMBER;
        own.errbacks = of->errbacks;
        if (!prepare_rest(b, sig, of)) {
            return false;
        }
    }
    return make_list(sig, "link") && make_list(sig, "link_error") && set_new_id(b, sig, own.id) &&
           set_text_if_missing(sig, "reply_to", b->env->reply_to) &&
           set_text_if_missing(sig, "group_id", own.group) &&
           (!own.chord ||
            set(options_of(sig), "chord", cJSON_CreateObjectReference(own.chord->child))) &&
           (own.index < 0 ||
            set(options_of(sig), "group_index", cJSON_CreateNumber((double)own.index))) &&
           extend_list(b, sig, "link", own.links) &&
           extend_list(b, sig, "link_error", own.errbacks);
}

/* ---- groups and chords ---- */

/* What the options of a whole say, unless somebody outside says it. */
static struct membership membership_of(const cJSON *sig, const struct membership *of)
{
    struct membership m = *of;
    const cJSON *index = signature_option(sig, "group_index");

    if (signature_option_text(sig, "group_id")) {
        m.group = signature_option_text(sig, "group_id");
    }
    m.chord = of->chord ? of->chord : signature_option(sig, "chord");
    if (m.index < 0 && index) {
        m.index = (int64_t)index->valuedouble;
    }
    return m;
}

/* Groups in groups are one group. Moves the members to the end of out. */
static void unroll(cJSON *members, cJSON *out)
{
    while (members->child) {
        cJSON *v = cJSON_DetachItemFromArray(members, 0);

        if (signature_kind(v) == SIGNATURE_GROUP) {
            unroll(signature_members(v), out);
            cJSON_Delete(v);
        } else {
            cJSON_AddItemToArray(out, v);
        }
    }
}

/* members becomes flat; each is part of it. Only parts of a chord are numbered, as in Celery. */
static bool prepare_members(struct flow_build *b, const cJSON *whole, cJSON *members,
                            const struct membership *of)
{
    struct membership each = *of;
    cJSON *flat = cJSON_CreateArray();
    int64_t index = 0;

    if (!flat) {
        return false;
    }
    unroll(members, flat);
    members->child = flat->child; /* in place: others point to the array */
    flat->child = NULL;
    cJSON_Delete(flat);
    for (cJSON *i = members->child; i; i = i->next) {
        each.index = of->chord ? index++ : -1;
        if (!pass_options(b, whole, i) || !prepare(b, i, &each)) {
            return false;
        }
    }
    return true;
}

/* A callback for a group is called by its first member, without its result. */
static bool link_group(struct flow_build *b, cJSON *members, const cJSON *links)
{
    const cJSON *first = cJSON_IsArray(links) ? links->child : links;

    for (const cJSON *i = first; i && members->child; i = cJSON_IsArray(links) ? i->next : NULL) {
        cJSON *copy = flow_copy(b, i);
        bool ok = copy && set(copy, "immutable", cJSON_CreateTrue()) &&
                  extend_list(b, members->child, "link", copy);

        cJSON_Delete(copy);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool prepare_group(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    struct membership each = membership_of(sig, of);
    cJSON *members = signature_members(sig);
    cJSON *errbacks = NULL;
    bool ok = set_new_id(b, sig, of->id);

    each.id = NULL;
    each.links = NULL;
    if (!each.group) {
        each.group = signature_option_text(sig, "task_id");
    }
    ok = ok && link_group(b, members, of->links) &&
         link_group(b, members, signature_option(sig, "link"));
    if (ok && signature_option(sig, "link_error")) {
        errbacks = take_list(sig, "link_error");
        for (cJSON *i = members->child; ok && i; i = i->next) {
            ok = extend_list(b, i, "link_error", errbacks);
        }
        cJSON_Delete(errbacks);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(options_of(sig), "link");
    return ok && prepare_members(b, sig, members, &each);
}

/* The header as a group with an id. */
static cJSON *header_group(struct flow_build *b, cJSON *chord)
{
    cJSON *kwargs = json_get_obj(chord, "kwargs");
    cJSON *group = signature_header_group(chord);

    if (!group) {
        group = new_group(cJSON_DetachItemFromObjectCaseSensitive(kwargs, "header"));
        if (!set(kwargs, "header", group)) {
            return NULL;
        }
    }
    return set_new_id(b, group, NULL) ? group : NULL;
}

static bool prepare_chord(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    struct membership end = membership_of(sig, of);
    struct membership part = NO_MEMBER;
    cJSON *body = signature_body(sig);
    cJSON *group = header_group(b, sig);

    if (!end.id && !signature_option(body, "task_id")) {
        end.id = signature_option_text(sig, "task_id");
    }
    if (!group || !pass_options(b, sig, body) ||
        !extend_list(b, body, "link", signature_option(sig, "link")) ||
        !extend_list(b, body, "link_error", signature_option(sig, "link_error")) ||
        !prepare(b, body, &end)) {
        return false;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(options_of(sig), "link");
    cJSON_DeleteItemFromObjectCaseSensitive(options_of(sig), "link_error");
    part.group = signature_option_text(group, "task_id");
    part.chord = body;
    return pass_options(b, sig, group) && prepare_members(b, group, signature_members(sig), &part);
}

static bool prepare(struct flow_build *b, cJSON *sig, const struct membership *of)
{
    switch (signature_kind(sig)) {
    case SIGNATURE_TASK:
        return prepare_task(b, sig, of);
    case SIGNATURE_CHAIN:
        return prepare_chain(b, sig, of);
    case SIGNATURE_GROUP:
        return prepare_group(b, sig, of);
    case SIGNATURE_CHORD:
        return prepare_chord(b, sig, of);
    }
    return false;
}

cJSON *flow_prepare(struct flow_build *b, const cJSON *sig, const cJSON *rest,
                    const struct membership *of)
{
    cJSON *copy = flow_copy(b, sig);
    cJSON *steps = rest ? flow_copy(b, rest) : cJSON_CreateArray();
    bool ok = copy && attach(b, &copy, steps);

    if (!copy || !cJSON_AddItemToArray(b->flow->trees, copy)) {
        cJSON_Delete(copy);
        return NULL;
    }
    return ok && prepare(b, copy, of ? of : &NO_MEMBER) ? copy : NULL;
}
