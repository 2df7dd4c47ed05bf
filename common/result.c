#include "common/result.h"

#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/json.h"

#define DEAD_BYTES_MAX (64 * MIB)

/* A client raises a real class only from a module that it has loaded. */
static const struct {
    const char *type;
    const char *module;
} CLASSES[] = {
    {"NotRegistered", "celery.exceptions"},
    {"TaskRevokedError", "celery.exceptions"},
    {"WorkerLostError", "billiard.exceptions"},
    {"TimeLimitExceeded", "billiard.exceptions"},
    {"ContentDisallowed", "kombu.exceptions"},
    {"ValueError", "builtins"},
    {"TypeError", "builtins"},
    {"KeyError", "builtins"},
    {"RuntimeError", "builtins"},
    {"NotImplementedError", "builtins"},
    {"ConnectionError", "builtins"},
    {"TimeoutError", "builtins"},
    {"MemoryError", "builtins"},
    {"OSError", "builtins"},
    {"ArithmeticError", "builtins"},
    {"LookupError", "builtins"},
};

static const char *module_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++) {
        if (strcmp(CLASSES[i].type, type) == 0) {
            return CLASSES[i].module;
        }
    }
    return NULL;
}

static cJSON *exception(const struct result_exception *x)
{
    const char *module = module_of(x->type);
    cJSON *o = cJSON_CreateObject();
    cJSON *message;
    char text[1024];

    cJSON_AddStringToObject(o, "exc_type", module ? x->type : "RuntimeError");
    message = cJSON_AddArrayToObject(o, "exc_message");
    if (!x->text) {
        cJSON_AddItemToArray(message, cJSON_CreateNumber((double)x->number));
    } else if (module) {
        cJSON_AddItemToArray(message, cJSON_CreateString(x->text));
    } else {
        snprintf(text, sizeof text, "%s: %s", x->type, x->text);
        cJSON_AddItemToArray(message, cJSON_CreateString(text));
    }
    cJSON_AddStringToObject(o, "exc_module", module ? module : "builtins");
    return o;
}

static void add_text_or_null(cJSON *o, const char *name, const char *text)
{
    cJSON_AddItemToObject(o, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* Members in Celery's order. Takes result and children. now_us < 0: not done. */
static char *document(const struct result_who *who, const char *status, cJSON *result,
                      const char *traceback, cJSON *children, int64_t now_us)
{
    cJSON *o = cJSON_CreateObject();
    char iso[CLOCK_ISO_SIZE];
    char *text;

    cJSON_AddStringToObject(o, "status", status);
    cJSON_AddItemToObject(o, "result", result);
    add_text_or_null(o, "traceback", traceback);
    cJSON_AddItemToObject(o, "children", children);
    add_text_or_null(o, "date_done", now_us < 0 ? NULL : clock_iso(now_us, "", iso));
    if (who->group && who->group[0]) {
        cJSON_AddStringToObject(o, "group_id", who->group);
    }
    if (who->parent && who->parent[0]) {
        cJSON_AddStringToObject(o, "parent_id", who->parent);
    }
    /* The last member: when it is there, memory was enough for those before it. */
    text = result && cJSON_AddStringToObject(o, "task_id", who->id) ? json_print(o) : NULL;
    cJSON_Delete(o);
    return text;
}

char *result_success(const struct result_who *who, const cJSON *value, int64_t now_us)
{
    return document(who, "SUCCESS", cJSON_Duplicate(value, true), NULL, cJSON_CreateArray(),
                    now_us);
}

char *result_failure(const struct result_who *who, const char *status,
                     const struct result_exception *x, const char *traceback, int64_t now_us)
{
    return document(who, status, exception(x), traceback, cJSON_CreateArray(), now_us);
}

/* [[[id, null], null]]: Celery lists the coming attempt as a child. */
static cJSON *itself(const char *id)
{
    cJSON *children = cJSON_CreateArray();
    cJSON *child = cJSON_CreateArray();
    cJSON *name = cJSON_CreateArray();

    cJSON_AddItemToArray(name, cJSON_CreateString(id));
    cJSON_AddItemToArray(name, cJSON_CreateNull());
    cJSON_AddItemToArray(child, name);
    cJSON_AddItemToArray(child, cJSON_CreateNull());
    cJSON_AddItemToArray(children, child);
    return children;
}

char *result_retry(const struct result_who *who, const struct result_exception *x, const char *plan)
{
    return document(who, "RETRY", exception(x), plan, itself(who->id), -1);
}

char *result_dead_letter(const struct result_dead *d)
{
    cJSON *o = cJSON_CreateObject();
    struct buf b64;
    char *text = NULL;

    buf_init(&b64, DEAD_BYTES_MAX);
    cJSON_AddStringToObject(o, "id", d->id);
    cJSON_AddStringToObject(o, "task", d->task);
    cJSON_AddStringToObject(o, "error", d->error);
    cJSON_AddNumberToObject(o, "retries", d->retries);
    if (b64_encode(&b64, d->bytes, d->len) &&
        cJSON_AddStringToObject(o, "b64", b64.data ? b64.data : "")) {
        text = json_print(o);
    }
    buf_fini(&b64);
    cJSON_Delete(o);
    return text;
}
