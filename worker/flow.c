#include "worker/flow.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/flow_parts.h"

#define COPIES_MAX (4 * FLOW_BYTES_MAX) /* bytes and nodes of signatures copied for one task */
#define NODE_COST  64

void flow_init(struct flow *f)
{
    *f = (struct flow){.children = cJSON_CreateArray(), .trees = cJSON_CreateArray()};
}

/* Texts of ours behind pointers to const. */
static void drop(const char *text)
{
    free((void *)(uintptr_t)text);
}

void flow_fini(struct flow *f)
{
    for (size_t i = 0; i < f->count; i++) {
        drop(f->items[i].key);
        drop(f->items[i].bytes);
        drop(f->items[i].guard);
    }
    for (size_t i = 0; i < f->part_count; i++) {
        drop(f->parts[i].group);
        drop(f->parts[i].id);
        drop(f->parts[i].member);
    }
    for (size_t i = 0; i < f->end_count; i++) {
        drop(f->ends[i]);
    }
    free(f->items);
    free(f->parts);
    free(f->ends);
    cJSON_Delete(f->children);
    cJSON_Delete(f->trees);
    *f = (struct flow){0};
}

/* ---- what the other files build with ---- */

bool flow_no_memory(struct err *e)
{
    if (e->cls != ERR_NONE) {
        return false; /* it is known better */
    }
    return err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for what follows a task");
}

bool flow_too_much(struct err *e)
{
    return err_set(e, ERR_PERMANENT, "ValueError",
                   "what follows the task is more than %d messages or %zu bytes", FLOW_ITEMS_MAX,
                   (size_t)FLOW_BYTES_MAX);
}

static size_t weight(const cJSON *v)
{
    size_t n = NODE_COST + (v->valuestring ? strlen(v->valuestring) : 0) +
               (v->string ? strlen(v->string) : 0);

    for (const cJSON *i = v->child; i; i = i->next) {
        n += weight(i);
    }
    return n;
}

cJSON *flow_copy(struct flow_build *b, const cJSON *v)
{
    b->flow->copied += weight(v);
    if (b->flow->copied > COPIES_MAX) {
        flow_too_much(b->e);
        return NULL;
    }
    return cJSON_Duplicate(v, true);
}

static bool grow(struct flow *f)
{
    size_t capacity = f->capacity ? 2 * f->capacity : 4;
    struct follow *items;

    if (f->count < f->capacity) {
        return true;
    }
    items = mem_try_resize(f->items, capacity, sizeof *items);
    if (!items) {
        return false;
    }
    f->items = items;
    f->capacity = capacity;
    return true;
}

bool flow_add(struct flow_build *b, enum follow_kind kind, const char *key, char *bytes)
{
    struct flow *f = b->flow;
    struct follow item = {
        .kind = kind, .key = strdup(key), .bytes = bytes, .guard = strdup(b->guard)};

    item.len = bytes ? strlen(bytes) : 0;
    if (!item.key || !item.bytes || !item.guard || !grow(f) || f->count >= FLOW_ITEMS_MAX ||
        f->bytes + item.len > FLOW_BYTES_MAX) {
        bool memory = item.key && item.guard;

        drop(item.key);
        drop(item.bytes);
        drop(item.guard);
        return memory ? flow_too_much(b->e) : flow_no_memory(b->e);
    }
    f->items[f->count++] = item;
    f->bytes += item.len;
    return true;
}

/* ---- success ---- */

static const char *root_of(const struct msg *m)
{
    return m->root_id[0] ? m->root_id : m->id;
}

static bool call_back(struct flow_build *b, const struct msg *m, const struct flow_call *call)
{
    if (!m->callbacks) {
        return true;
    }
    if (!m->callbacks->child->next) {
        return flow_apply(b, m->callbacks->child, NULL, call, b->flow->children);
    }
    return flow_apply_all(b, m->callbacks, call, b->flow->children);
}

static bool go_on(struct flow_build *b, const struct msg *m, const struct flow_call *call)
{
    cJSON *rest, *next;
    bool ok;

    if (!m->chain) {
        return true;
    }
    rest = flow_copy(b, m->chain);
    next = rest ? cJSON_DetachItemViaPointer(rest, rest->child->prev) : NULL;
    ok = next ? flow_apply(b, next, rest, call, b->flow->children) : flow_no_memory(b->e);
    cJSON_Delete(next);
    cJSON_Delete(rest);
    return ok;
}

static bool count_in(struct flow_build *b, const struct msg *m, const char *state,
                     const char *result)
{
    struct flow_part_of of = {
        .group = m->group, .id = m->id, .index = m->group_index, .body = m->chord};

    return !m->chord || m->group[0] == '\0' || flow_add_part(b, &of, state, result);
}

bool flow_succeed(struct flow *f, const struct flow_env *env, const struct msg *m,
                  const char *result, struct err *e)
{
    struct flow_build b = {.flow = f, .env = env, .guard = "", .e = e};
    struct flow_call call = {.parent = m->id, .root = root_of(m)};
    cJSON *args;
    bool ok;

    *e = (struct err){0};
    if (!m->callbacks && !m->chain) {
        return count_in(&b, m, "SUCCESS", result);
    }
    args = cJSON_CreateArray();
    ok = args && cJSON_AddItemToArray(args, cJSON_CreateRaw(result));
    call.args = args;
    ok = ok ? call_back(&b, m, &call) && go_on(&b, m, &call) && count_in(&b, m, "SUCCESS", result)
            : flow_no_memory(e);
    cJSON_Delete(args);
    return ok;
}

/* ---- failure ---- */

bool flow_fail(struct flow *f, const struct flow_env *env, const struct msg *m,
               const struct flow_failure *x, struct err *e)
{
    struct flow_build b = {.flow = f, .env = env, .guard = "", .e = e};

    *e = (struct err){0};
    for (const cJSON *i = m->chain ? m->chain->child : NULL; i; i = i->next) {
        if (!flow_fail_signature(&b, i, x)) {
            return false;
        }
    }
    /* Nobody asked to be told that it was revoked, as in Celery. */
    if (strcmp(x->status, "FAILURE") == 0 &&
        !flow_call_errbacks(&b, m->errbacks, m->id, root_of(m), f->children)) {
        return false;
    }
    return count_in(&b, m, x->status, x->exception);
}
