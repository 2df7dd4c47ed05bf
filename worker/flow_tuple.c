#include "worker/flow_parts.h"

/*
 * Celery's result tuples, by which a client finds its way through a workflow: [[id, parent], null]
 * for a task, [[id, parent], [members]] for a group. parent is the tuple of what came before.
 */
#define ANCESTORS_MAX 20 /* every one nests by two; nobody looks further back */

cJSON *flow_tuple(const char *id, cJSON *parent, cJSON *members)
{
    cJSON *out = cJSON_CreateArray();
    cJSON *name = cJSON_CreateArray();

    cJSON_AddItemToArray(name, id ? cJSON_CreateString(id) : cJSON_CreateNull());
    cJSON_AddItemToArray(name, parent ? parent : cJSON_CreateNull());
    cJSON_AddItemToArray(out, name);
    cJSON_AddItemToArray(out, members ? members : cJSON_CreateNull());
    return out;
}

static cJSON *group_tuple(const char *id, const cJSON *members, cJSON *parent)
{
    cJSON *list = cJSON_CreateArray();

    for (const cJSON *i = members->child; i; i = i->next) {
        cJSON_AddItemToArray(list, flow_result_tuple(i, NULL));
    }
    return flow_tuple(id, parent, list);
}

static cJSON *steps_tuple(const cJSON *steps, cJSON *parent)
{
    int skip = cJSON_GetArraySize(steps) - ANCESTORS_MAX;

    for (const cJSON *i = steps->child; i; i = i->next) {
        if (skip-- <= 0) {
            parent = flow_result_tuple(i, parent);
        }
    }
    return parent;
}

static cJSON *rest_tuple(const cJSON *sig, cJSON *parent)
{
    const cJSON *rest = signature_option(sig, "chain");
    const cJSON *i = rest && rest->child ? rest->child->prev : NULL;
    int skip = cJSON_GetArraySize(rest) - ANCESTORS_MAX;

    for (; i; i = i == rest->child ? NULL : i->prev) { /* the next one is the last */
        if (skip-- <= 0) {
            parent = flow_result_tuple(i, parent);
        }
    }
    return parent;
}

cJSON *flow_result_tuple(const cJSON *sig, cJSON *parent)
{
    const cJSON *group;

    switch (signature_kind(sig)) {
    case SIGNATURE_TASK: /* with a rest: its end is what people wait for */
        return rest_tuple(sig, flow_tuple(signature_option_text(sig, "task_id"), parent, NULL));
    case SIGNATURE_CHAIN:
        return steps_tuple(signature_members(sig), parent);
    case SIGNATURE_GROUP:
        return group_tuple(signature_option_text(sig, "task_id"), signature_members(sig), parent);
    case SIGNATURE_CHORD:
        break;
    }
    group = signature_header_group(sig);
    parent = group_tuple(signature_option_text(group, "task_id"), signature_members(sig), parent);
    return flow_result_tuple(signature_body(sig), parent);
}
