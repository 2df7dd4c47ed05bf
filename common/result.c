#include "common/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/clock.h"
#include "common/msg.h"
#include "common/text.h"

#define DEAD_BYTES_MAX     (64 * MIB)
#define DOCUMENT_BYTES_MAX (64 * MIB)

/*
 * A client raises a real class only from a module that it has loaded, and only one whose
 * constructor takes what it is given. None that is not an Exception: it would end the client.
 */
static const struct {
    const char *module;
    const char *types; /* between spaces */
} CLASSES[] = {
    {"builtins",
     " ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError"
     " ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError"
     " ConnectionResetError EOFError Exception FileExistsError FileNotFoundError FloatingPointError"
     " ImportError IndexError InterruptedError IsADirectoryError KeyError LookupError MemoryError"
     " ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError"
     " PermissionError ProcessLookupError RecursionError ReferenceError RuntimeError SyntaxError"
     " SystemError TimeoutError TypeError UnicodeError ValueError ZeroDivisionError "},
    {"celery.exceptions",
     " BackendError BackendStoreError CeleryError ChordError ImproperlyConfigured IncompleteStream"
     " InvalidTaskError MaxRetriesExceededError NotRegistered QueueNotFound SecurityError TaskError"
     " TaskRevokedError "},
    {"billiard.exceptions",
     " RestartFreqExceeded SoftTimeLimitExceeded Terminated TimeLimitExceeded WorkerLostError "},
    {"kombu.exceptions",
     " ContentDisallowed DecodeError EncodeError KombuError SerializationError "},
};

static const char *module_of(const char *type)
{
    char name[64];
    int n = snprintf(name, sizeof name, " %s ", type);

    for (size_t i = 0; n > 0 && (size_t)n < sizeof name && i < ARRAY_LEN(CLASSES); i++) {
        if (strstr(CLASSES[i].types, name)) {
            return CLASSES[i].module;
        }
    }
    return NULL;
}

static bool add_string(struct buf *b, const char *s)
{
    return buf_add_json(b, s, strlen(s));
}

static bool add_argument(struct buf *b, const struct result_exception *x, bool known)
{
    char text[1024];

    if (!x->text) {
        return buf_addi64(b, x->number);
    }
    if (known) {
        return *x->text == '\0' || add_string(b, x->text);
    }
    snprintf(text, sizeof text, "%s: %s", x->type, x->text);
    text_make_utf8(text); /* it may have been clipped within a character */
    return add_string(b, text);
}

char *result_exception_json(const struct result_exception *x)
{
    const char *module = module_of(x->type);
    struct buf b;

    buf_init(&b, MIB);
    buf_addstr(&b, "{\"exc_type\":");
    add_string(&b, module ? x->type : "RuntimeError");
    buf_addstr(&b, ",\"exc_message\":[");
    add_argument(&b, x, module != NULL);
    buf_addstr(&b, "],\"exc_module\":");
    add_string(&b, module ? module : "builtins");
    buf_addch(&b, '}');
    return buf_take(&b, NULL);
}

const char *result_exception_repr(const cJSON *exception, char out[RESULT_REPR_SIZE])
{
    const char *type = json_get_str(exception, "exc_type");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(exception, "exc_message");
    char args[MSG_REPR_SIZE] = "()";
    size_t len;

    if (cJSON_IsArray(message)) {
        msg_repr_args(message, args);
        len = strlen(args);
        if (len > 2 && args[len - 2] == ',') { /* a tuple of one ends in a comma, a call does not */
            snprintf(args + len - 2, 2, ")");
        }
        snprintf(out, RESULT_REPR_SIZE, "%.100s%.400s", type ? type : "Exception", args);
    } else {
        snprintf(out, RESULT_REPR_SIZE, "%.100s(%.400s)", type ? type : "Exception",
                 message ? msg_repr_value(message, args) : "");
    }
    text_make_utf8(out);
    return out;
}

static bool add_text_or_null(struct buf *b, const char *name, const char *text)
{
    buf_addf(b, ",\"%s\":", name);
    return text ? add_string(b, text) : buf_addstr(b, "null");
}

char *result_document(const struct result_who *who, const struct result_doc *d)
{
    char iso[CLOCK_ISO_SIZE];
    struct buf b;

    if (!d->result) {
        return NULL;
    }
    buf_init(&b, DOCUMENT_BYTES_MAX);
    buf_addf(&b, "{\"status\":\"%s\",\"result\":", d->status);
    buf_addstr(&b, d->result);
    add_text_or_null(&b, "traceback", d->traceback);
    buf_addstr(&b, ",\"children\":");
    if (!d->children) {
        buf_addstr(&b, "[]");
    } else {
        json_add(&b, d->children);
    }
    add_text_or_null(&b, "date_done", d->done_us < 0 ? NULL : clock_iso(d->done_us, "", iso));
    if (who->group && who->group[0]) {
        add_text_or_null(&b, "group_id", who->group);
    }
    if (who->parent && who->parent[0]) {
        add_text_or_null(&b, "parent_id", who->parent);
    }
    add_text_or_null(&b, "task_id", who->id);
    if (d->retry) {
        buf_addstr(&b, ",\"retry\":");
        buf_addstr(&b, d->retry);
    }
    buf_addch(&b, '}');
    return buf_take(&b, NULL);
}

char *result_success(const struct result_who *who, const cJSON *value, int64_t now_us)
{
    char *json = json_print(value);
    struct result_doc d = {.status = "SUCCESS", .result = json, .done_us = now_us};
    char *text = result_document(who, &d);

    free(json);
    return text;
}

char *result_failure(const struct result_who *who, const char *status,
                     const struct result_exception *x, const char *traceback, int64_t now_us)
{
    char *json = result_exception_json(x);
    struct result_doc d = {
        .status = status, .result = json, .traceback = traceback, .done_us = now_us};
    char *text = result_document(who, &d);

    free(json);
    return text;
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

char *result_retry(const struct result_who *who, const struct result_exception *x, const char *plan,
                   const char *plan_json)
{
    char *json = result_exception_json(x);
    cJSON *children = itself(who->id);
    struct result_doc d = {.status = "RETRY",
                           .result = json,
                           .traceback = plan,
                           .children = children,
                           .retry = plan_json,
                           .done_us = -1};
    char *text = result_document(who, &d);

    cJSON_Delete(children);
    free(json);
    return text;
}

char *result_started(const struct result_who *who, int pid, const char *worker)
{
    struct result_doc d = {.status = "STARTED", .done_us = -1};
    struct buf b;
    char *json, *text;

    buf_init(&b, 4 * KIB);
    buf_addf(&b, "{\"pid\":%d,\"hostname\":", pid);
    add_string(&b, worker);
    buf_addch(&b, '}');
    json = buf_take(&b, NULL);
    d.result = json;
    text = result_document(who, &d);
    free(json);
    return text;
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
    if (d->signal) {
        cJSON_AddNumberToObject(o, "signal", d->signal);
    }
    if (d->log && *d->log) {
        cJSON_AddStringToObject(o, "log", d->log);
    }
    if (b64_encode(&b64, d->bytes, d->len) &&
        cJSON_AddStringToObject(o, "b64", b64.data ? b64.data : "")) {
        text = json_print(o);
    }
    buf_fini(&b64);
    cJSON_Delete(o);
    return text;
}
