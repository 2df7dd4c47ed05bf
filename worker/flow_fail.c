#include <stdio.h>

#include "common/keys.h"
#include "common/result.h"
#include "worker/flow_parts.h"

static bool store(struct flow_build *b, const cJSON *sig, const struct flow_failure *x)
{
    struct result_who who = {.id = signature_option_text(sig, "task_id"),
                             .group = signature_option_text(sig, "group_id")};
    struct result_doc d = {.status = x->status,
                           .result = x->exception,
                           .traceback = x->traceback,
                           .done_us = b->env->now_us};
    char key[sizeof KEY_RESULT_PREFIX + MSG_NAME_SIZE];

    if (!who.id || cJSON_IsTrue(signature_option(sig, "ignore_result"))) {
        return true; /* nobody can wait for it */
    }
    snprintf(key, sizeof key, "%s%s", KEY_RESULT_PREFIX, who.id);
    return flow_add(b, FOLLOW_STORE, key, result_document(&who, &d));
}

/* counted: parts of chords are to be counted, because the chord has begun. */
static bool fail(struct flow_build *b, const cJSON *sig, const struct flow_failure *x,
                 bool counted);

static bool fail_each(struct flow_build *b, const cJSON *list, const struct flow_failure *x,
                      bool counted)
{
    const cJSON *i;

    cJSON_ArrayForEach(i, list)
    {
        if (!fail(b, i, x, counted)) {
            return false;
        }
    }
    return true;
}

static bool fail_task(struct flow_build *b, const cJSON *sig, const struct flow_failure *x,
                      bool counted)
{
    const cJSON *index = signature_option(sig, "group_index");
    struct flow_part_of of = {.group = signature_option_text(sig, "group_id"),
                              .id = signature_option_text(sig, "task_id"),
                              .index = index ? (int64_t)index->valuedouble : -1,
                              .body = signature_option(sig, "chord")};

    if (!store(b, sig, x) || !fail_each(b, signature_option(sig, "chain"), x, counted)) {
        return false;
    }
    return !counted || !of.group || !of.id || !of.body ||
           flow_add_part(b, &of, x->status, x->exception);
}

static bool fail(struct flow_build *b, const cJSON *sig, const struct flow_failure *x, bool counted)
{
    switch (signature_kind(sig)) {
    case SIGNATURE_TASK:
        return fail_task(b, sig, x, counted);
    case SIGNATURE_CHAIN:
    case SIGNATURE_GROUP:
        return fail_each(b, signature_members(sig), x, counted);
    case SIGNATURE_CHORD: /* it has not begun: its parts are told, and not counted */
        return fail_each(b, signature_members(sig), x, false) &&
               fail(b, signature_body(sig), x, counted);
    }
    return false;
}

bool flow_fail_signature(struct flow_build *b, const cJSON *sig, const struct flow_failure *x)
{
    return fail(b, sig, x, true);
}

/* A worker that does not know a task sends it on: with the id of what failed, as a group. */
bool flow_call_errbacks(struct flow_build *b, const cJSON *sigs, const char *id, const char *root,
                        cJSON *trail)
{
    struct flow_call call = {.parent = id, .root = root};
    cJSON *list, *args;
    bool ok;

    if (!sigs || !sigs->child) {
        return true;
    }
    args = cJSON_CreateArray();
    list = cJSON_IsArray(sigs) ? flow_copy(b, sigs) : cJSON_CreateArray();
    ok = args && cJSON_AddItemToArray(args, cJSON_CreateString(id)) && list &&
         (cJSON_IsArray(sigs) || cJSON_AddItemToArray(list, flow_copy(b, sigs)));
    call.args = args;
    ok = ok ? flow_apply_all(b, list, &call, trail) : flow_no_memory(b->e);
    cJSON_Delete(list);
    cJSON_Delete(args);
    return ok;
}
