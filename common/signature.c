#include "common/signature.h"

#include <string.h>

#include "common/text.h"

#define NAME_MAX_BYTES 255
#define SECONDS_MAX    (10.0 * 365 * 86400)

static bool refuse(struct err *e, const char *what, const char *expected)
{
    return err_set(e, ERR_PERMANENT, "ValueError", "a signature's \"%s\": expected %s", what,
                   expected);
}

/* ---- one check per kind of option ---- */

static bool is_short_text(const cJSON *v, size_t max)
{
    const char *s = cJSON_GetStringValue(v);

    return s && *s != '\0' && strlen(s) <= max && !text_has_control(s, strlen(s));
}

static bool check_name(const char *what, const cJSON *v, struct err *e)
{
    return is_short_text(v, NAME_MAX_BYTES) ||
           refuse(e, what, "a text of 1 to 255 bytes without control characters");
}

static bool check_queue(const char *what, const cJSON *v, struct err *e)
{
    const char *s = cJSON_GetStringValue(v);

    return (s && *s == '\0') || is_short_text(v, SIGNATURE_QUEUE_MAX) ||
           refuse(e, what, "the name of a queue, at most 200 bytes");
}

static bool check_text(const char *what, const cJSON *v, struct err *e)
{
    return cJSON_IsString(v) || refuse(e, what, "a text");
}

static bool check_seconds(const char *what, const cJSON *v, struct err *e)
{
    return (cJSON_IsNumber(v) && v->valuedouble >= -SECONDS_MAX && v->valuedouble <= SECONDS_MAX) ||
           refuse(e, what, "seconds, up to 315360000");
}

static bool check_expires(const char *what, const cJSON *v, struct err *e)
{
    return cJSON_IsString(v) || check_seconds(what, v, e);
}

static bool check_number(const char *what, const cJSON *v, struct err *e)
{
    return cJSON_IsNumber(v) || refuse(e, what, "a number");
}

static bool check_object(const char *what, const cJSON *v, struct err *e)
{
    return cJSON_IsObject(v) || refuse(e, what, "an object");
}

static bool check_link(const char *what, const cJSON *v, struct err *e)
{
    return signature_check_list(v, e) || err_prefix(e, what);
}

static bool check_chord_option(const char *what, const cJSON *v, struct err *e)
{
    return signature_check(v, e) || err_prefix(e, what);
}

static const struct {
    const char *name;
    bool (*check)(const char *what, const cJSON *v, struct err *e);
} OPTIONS[] = {
    {"task_id", check_name},       {"group_id", check_name},
    {"root_id", check_name},       {"parent_id", check_name},
    {"group_index", check_number}, {"queue", check_queue},
    {"routing_key", check_queue},  {"exchange", check_queue},
    {"reply_to", check_text},      {"shadow", check_text},
    {"eta", check_text},           {"countdown", check_seconds},
    {"expires", check_expires},    {"time_limit", check_seconds},
    {"priority", check_number},    {"soft_time_limit", check_seconds},
    {"headers", check_object},     {"link", check_link},
    {"link_error", check_link},    {"chain", check_link},
    {"chord", check_chord_option},
};

static bool check_options(const cJSON *options, struct err *e)
{
    if (!options || cJSON_IsNull(options)) {
        return true;
    }
    if (!cJSON_IsObject(options)) {
        return refuse(e, "options", "an object");
    }
    for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(options, OPTIONS[i].name);

        if (v && !cJSON_IsNull(v) && !OPTIONS[i].check(OPTIONS[i].name, v, e)) {
            return false;
        }
    }
    return true;
}

/* ---- the signature ---- */

static const struct {
    const char *type;
    enum signature_kind kind;
} TYPES[] = {
    {"group", SIGNATURE_GROUP},
    {"chain", SIGNATURE_CHAIN},
    {"chord", SIGNATURE_CHORD},
};

/* What Celery's own later types are (map, starmap, chunks) is a task like any other. */
enum signature_kind signature_kind(const cJSON *sig)
{
    const char *type = json_get_str(sig, "subtask_type");

    for (size_t i = 0; type && i < ARRAY_LEN(TYPES); i++) {
        if (strcmp(type, TYPES[i].type) == 0) {
            return TYPES[i].kind;
        }
    }
    return SIGNATURE_TASK;
}

static bool check_members(const cJSON *sig, struct err *e)
{
    const cJSON *members = signature_members(sig);

    if (!cJSON_IsArray(members)) {
        return refuse(e, "tasks", "an array of signatures");
    }
    return signature_check_list(members, e);
}

static bool check_chord(const cJSON *sig, struct err *e)
{
    const cJSON *group = signature_header_group(sig);

    if (group && signature_kind(group) != SIGNATURE_GROUP) {
        return refuse(e, "header", "an array of signatures or a group");
    }
    return (!group || signature_check(group, e)) && check_members(sig, e) &&
           (signature_check(signature_body(sig), e) || err_prefix(e, "body"));
}

static bool check_type(const cJSON *v, const char *what, const char *expected, bool ok,
                       struct err *e)
{
    return !v || cJSON_IsNull(v) || ok || refuse(e, what, expected);
}

bool signature_check(const cJSON *sig, struct err *e)
{
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(sig, "args");
    const cJSON *kwargs = cJSON_GetObjectItemCaseSensitive(sig, "kwargs");

    if (!cJSON_IsObject(sig)) {
        return err_set(e, ERR_PERMANENT, "ValueError", "a signature: expected an object");
    }
    if (!check_name("task", cJSON_GetObjectItemCaseSensitive(sig, "task"), e) ||
        !check_type(args, "args", "an array", cJSON_IsArray(args), e) ||
        !check_type(kwargs, "kwargs", "an object", cJSON_IsObject(kwargs), e) ||
        !check_options(cJSON_GetObjectItemCaseSensitive(sig, "options"), e)) {
        return false;
    }
    switch (signature_kind(sig)) {
    case SIGNATURE_TASK:
        return true;
    case SIGNATURE_GROUP:
    case SIGNATURE_CHAIN:
        return check_members(sig, e);
    case SIGNATURE_CHORD:
        return check_chord(sig, e);
    }
    return false;
}

bool signature_check_list(const cJSON *v, struct err *e)
{
    const cJSON *sig;

    if (!v || cJSON_IsNull(v)) {
        return true;
    }
    if (!cJSON_IsArray(v)) {
        return signature_check(v, e);
    }
    cJSON_ArrayForEach(sig, v)
    {
        if (!signature_check(sig, e)) {
            return false;
        }
    }
    return true;
}

/* ---- reading ---- */

static cJSON *kwarg(const cJSON *sig, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json_get_obj(sig, "kwargs"), name);
}

cJSON *signature_header_group(const cJSON *chord)
{
    cJSON *header = kwarg(chord, "header");

    return cJSON_IsObject(header) ? header : NULL;
}

cJSON *signature_members(const cJSON *sig)
{
    cJSON *group;

    if (signature_kind(sig) != SIGNATURE_CHORD) {
        return kwarg(sig, "tasks");
    }
    group = signature_header_group(sig);
    return group ? kwarg(group, "tasks") : kwarg(sig, "header");
}

cJSON *signature_body(const cJSON *chord)
{
    return kwarg(chord, "body");
}

cJSON *signature_option(const cJSON *sig, const char *name)
{
    cJSON *v = cJSON_GetObjectItemCaseSensitive(json_get_obj(sig, "options"), name);

    return cJSON_IsNull(v) ? NULL : v;
}

const char *signature_option_text(const cJSON *sig, const char *name)
{
    return cJSON_GetStringValue(signature_option(sig, name));
}

bool signature_is_immutable(const cJSON *sig)
{
    return json_get_bool(sig, "immutable", false);
}
