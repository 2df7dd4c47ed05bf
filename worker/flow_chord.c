#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_raw.h"
#include "common/mem.h"
#include "common/result.h"
#include "common/text.h"
#include "worker/flow_parts.h"

/* ---- a part ---- */

/* [1, id, state, result], written as Python writes it: workers of both kinds look for the id. */
static char *member_text(const struct flow_part_of *of, const char *state, const char *result)
{
    struct buf b;

    buf_init(&b, FLOW_BYTES_MAX);
    buf_addstr(&b, "[1, ");
    buf_add_json(&b, of->id, strlen(of->id));
    buf_addf(&b, ", \"%s\", ", state);
    buf_addstr(&b, result);
    buf_addch(&b, ']');
    return buf_take(&b, NULL);
}

bool flow_add_part(struct flow_build *b, const struct flow_part_of *of, const char *state,
                   const char *result)
{
    struct flow *f = b->flow;
    struct flow_part *parts = mem_try_resize(f->parts, f->part_count + 1, sizeof *parts);
    struct flow_part *p;

    if (!parts) {
        return flow_no_memory(b->e);
    }
    f->parts = parts;
    p = &parts[f->part_count++];
    *p = (struct flow_part){.group = strdup(of->group),
                            .id = strdup(of->id),
                            .member = member_text(of, state, result),
                            .body = of->body};
    snprintf(p->score, sizeof p->score, of->index < 0 ? "+inf" : "%" PRId64, of->index);
    if (!p->member) {
        return flow_too_much(b->e);
    }
    return (p->group && p->id) || flow_no_memory(b->e);
}

const struct flow_part *flow_part(const struct flow *f)
{
    return f->part_next < f->part_count ? &f->parts[f->part_next] : NULL;
}

/* ---- the parts of a chord that is complete ---- */

struct ended {
    char *id;
    bool failed;
    struct json_span result; /* within the member's text */
};

struct ended_list {
    struct ended *v;
    size_t n;
};

static void ended_fini(struct ended_list *l)
{
    for (size_t i = 0; l->v && i < l->n; i++) {
        free(l->v[i].id);
    }
    free(l->v);
}

/* The text of a JSON string; the caller's. NULL when it is none. */
static char *read_text(const struct json_span *s)
{
    cJSON *v = json_parse(s->at, s->len, NULL);
    char *text = cJSON_IsString(v) ? strdup(v->valuestring) : NULL;

    cJSON_Delete(v);
    return text;
}

static bool span_is(const struct json_span *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->at, text, s->len) == 0;
}

static bool read_member(const char *text, struct ended *out)
{
    const char *at = text, *end = text + strlen(text);
    struct json_span version, id, state;

    if (!text_is_utf8(text, (size_t)(end - text)) || !json_raw_char(&at, end, '[') ||
        !json_raw_value(&at, end, &version) || !json_raw_char(&at, end, ',') ||
        !json_raw_value(&at, end, &id) || !json_raw_char(&at, end, ',') ||
        !json_raw_value(&at, end, &state) || !json_raw_char(&at, end, ',') ||
        !json_raw_value(&at, end, &out->result) || !json_raw_char(&at, end, ']')) {
        return false;
    }
    out->failed = span_is(&state, "\"FAILURE\"") || span_is(&state, "\"REVOKED\"");
    out->id = read_text(&id);
    return out->id != NULL;
}

static bool read_members(const struct flow_count *c, struct ended_list *l)
{
    l->v = mem_try_array(c->member_count + 1, sizeof *l->v);
    for (size_t i = 0; l->v && i < c->member_count; i++) {
        l->n = i + 1;
        if (!read_member(c->members[i], &l->v[i])) {
            return false;
        }
    }
    return l->v != NULL;
}

/* ---- their results, as the body's argument ---- */

static bool add_flat(struct buf *out, const struct ended_list *l)
{
    buf_addch(out, '[');
    for (size_t i = 0; i < l->n; i++) {
        buf_addstr(out, i > 0 ? ", " : "");
        buf_add(out, l->v[i].result.at, l->v[i].result.len);
    }
    return buf_addch(out, ']');
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct ended *)a)->id, ((const struct ended *)b)->id);
}

/* A result tuple's value: of a group the list of its members'. */
static bool add_shaped(struct buf *out, const cJSON *tuple, const struct ended_list *sorted)
{
    const cJSON *members = cJSON_GetArrayItem(tuple, 1);
    struct ended key = {
        .id = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetArrayItem(tuple, 0), 0))};
    const struct ended *found;
    bool ok = true;

    if (!cJSON_IsArray(members)) {
        found = key.id ? bsearch(&key, sorted->v, sorted->n, sizeof *sorted->v, by_id) : NULL;
        return found && buf_add(out, found->result.at, found->result.len);
    }
    buf_addch(out, '[');
    for (const cJSON *i = members->child; ok && i; i = i->next) {
        ok = add_shaped(out, i, sorted) && (!i->next || buf_addstr(out, ", "));
    }
    return ok && buf_addch(out, ']');
}

/* [[results]]; NULL when the saved group does not fit the parts or memory is out. */
static cJSON *body_args(const struct flow_count *c, struct ended_list *l)
{
    cJSON *saved = c->saved ? json_parse(c->saved, strlen(c->saved), NULL) : NULL;
    cJSON *tuple = json_get_arr(saved, "result");
    cJSON *args = cJSON_CreateArray();
    struct buf out;
    char *text;
    bool ok;

    buf_init(&out, FLOW_BYTES_MAX);
    if (tuple) {
        qsort(l->v, l->n, sizeof *l->v, by_id);
    }
    ok = tuple ? add_shaped(&out, tuple, l) : add_flat(&out, l);
    text = ok ? buf_take(&out, NULL) : NULL;
    ok = text && args && cJSON_AddItemToArray(args, cJSON_CreateRaw(text));
    buf_fini(&out);
    free(text);
    cJSON_Delete(saved);
    if (!ok) {
        cJSON_Delete(args);
        return NULL;
    }
    return args;
}

/* ---- the end of a chord ---- */

static const char *first_id(const cJSON *sig)
{
    const cJSON *members = signature_kind(sig) == SIGNATURE_TASK ? NULL : signature_members(sig);

    return members && members->child ? first_id(members->child)
                                     : signature_option_text(sig, "task_id");
}

static const cJSON *errbacks_of(const cJSON *sig)
{
    const cJSON *own = signature_option(sig, "link_error");
    const cJSON *members = signature_kind(sig) == SIGNATURE_CHAIN ? signature_members(sig) : NULL;

    return own || !members || !members->child ? own : errbacks_of(members->child);
}

/* The body will never run: it has failed with a ChordError. */
static bool fail_body(struct flow_build *b, const struct flow_part *p, const char *text)
{
    struct result_exception error = {.type = "ChordError", .text = text};
    char *json = result_exception_json(&error);
    struct flow_failure x = {.status = "FAILURE", .exception = json};
    const cJSON *body = p->body;
    const char *id = first_id(body);
    bool ok = json ? flow_fail_signature(b, body, &x) : flow_no_memory(b->e);

    free(json);
    return ok && (!id || flow_call_errbacks(b, errbacks_of(body), id, id, NULL));
}

static bool fail_for(struct flow_build *b, const struct flow_part *p, const struct ended *part)
{
    cJSON *exception = json_parse(part->result.at, part->result.len, NULL);
    char repr[RESULT_REPR_SIZE];
    char text[RESULT_REPR_SIZE + MSG_NAME_SIZE + 32];

    snprintf(text, sizeof text, "Dependency %.255s raised %s", part->id,
             result_exception_repr(exception, repr));
    cJSON_Delete(exception);
    return fail_body(b, p, text);
}

static bool send_body(struct flow_build *b, const struct flow_part *p, const struct msg *m,
                      const cJSON *args)
{
    const char *root = signature_option_text(p->body, "root_id");
    struct flow_call call = {.args = args, .parent = m->id};

    call.root = root ? root : m->root_id[0] ? m->root_id : m->id;
    return flow_apply(b, p->body, NULL, &call, NULL);
}

static bool end_chord(struct flow_build *b, const struct flow_part *p, const struct msg *m,
                      const struct flow_count *c)
{
    struct ended_list l = {0};
    cJSON *args = NULL;
    bool ok = read_members(c, &l);

    for (size_t i = 0; ok && i < l.n; i++) {
        if (l.v[i].failed) {
            ok = fail_for(b, p, &l.v[i]);
            ended_fini(&l);
            return ok;
        }
    }
    args = ok ? body_args(c, &l) : NULL;
    ok = args ? send_body(b, p, m, args) : fail_body(b, p, "Join error: the results do not fit");
    cJSON_Delete(args);
    ended_fini(&l);
    return ok;
}

static bool has_ended(const struct flow *f, const char *group)
{
    for (size_t i = 0; i < f->end_count; i++) {
        if (strcmp(f->ends[i], group) == 0) {
            return true;
        }
    }
    return false;
}

static const char *note_end(struct flow *f, const char *group)
{
    const char **ends = mem_try_resize(f->ends, f->end_count + 1, sizeof *ends);
    char *copy = ends ? strdup(group) : NULL;

    if (ends) {
        f->ends = ends;
    }
    if (copy) {
        f->ends[f->end_count++] = copy;
    }
    return copy;
}

bool flow_is_counted(const struct flow_count *c)
{
    return c->fired || c->size >= 0;
}

bool flow_counted(struct flow *f, const struct flow_env *env, const struct msg *m,
                  const struct flow_count *c, struct err *e)
{
    struct flow_part p = f->parts[f->part_next++]; /* a copy: parts may be added below */
    struct flow_build b = {.flow = f, .env = env, .e = e};

    *e = (struct err){0};
    if (c->fired || !c->members || has_ended(f, p.group)) {
        return true;
    }
    b.guard = note_end(f, p.group);
    return b.guard ? end_chord(&b, &p, m, c) : flow_no_memory(e);
}

bool flow_chord_failed(struct flow *f, const struct flow_env *env, const char *why, struct err *e)
{
    struct flow_part p = f->parts[f->part_next++];
    struct flow_build b = {.flow = f, .env = env, .e = e};

    *e = (struct err){0};
    b.guard = note_end(f, p.group);
    return b.guard ? fail_body(&b, &p, why) : flow_no_memory(e);
}
