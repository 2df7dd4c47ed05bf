#include "ctl/result_group.h"

#include "common/json.h"
#include "common/keys.h"
#include "common/script.h"
#include "ctl/await.h"
#include "ctl/table.h"

#include <string.h>

#define SLICE 200 /* tasks asked for in one step */

/* KEYS results; replies the status of each, empty when nothing is stored */
static struct script LUA_STATES = {
    .name = "result_states",
    .lua = "local reply = {}\n"
           "for i, key in ipairs(KEYS) do\n"
           "  local doc = redis.pcall('GET', key)\n"
           "  local ok, v = pcall(cjson.decode, type(doc) == 'string' and doc or '')\n"
           "  local status = ok and type(v) == 'table' and v.status\n"
           "  reply[i] = type(status) == 'string' and status or ''\n"
           "end\n"
           "return reply\n",
};

/* The id in [[id, parent], children]; NULL when it is none. */
static const char *member_id(const cJSON *member)
{
    const cJSON *pair = cJSON_IsArray(member) ? cJSON_GetArrayItem(member, 0) : NULL;
    const char *id = cJSON_IsArray(pair) ? cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0)) : NULL;

    return id && strlen(id) < 256 ? id : NULL;
}

/* Asks for the states of the next members, from *m on, and adds them. */
static bool add_slice(redisContext *c, const cJSON **m, cJSON *tasks, struct err *e)
{
    static char keys[SLICE][sizeof KEY_RESULT_PREFIX + 256];
    const char *args[SLICE], *ids[SLICE];
    redisReply *r;
    int n = 0;

    for (; *m && n < SLICE; *m = (*m)->next) {
        const char *id = member_id(*m);

        if (id) {
            snprintf(keys[n], sizeof keys[n], KEY_RESULT_PREFIX "%s", id);
            args[n] = keys[n];
            ids[n++] = id;
        }
    }
    r = script_run(c, &LUA_STATES, n, n, args, NULL, e);
    for (int i = 0; r && i < n && (size_t)i < r->elements; i++) {
        const char *status = r->element[i]->str;
        cJSON *one = cJSON_CreateObject();

        cJSON_AddStringToObject(one, "task_id", ids[i]);
        cJSON_AddStringToObject(one, "status", status && *status ? status : "PENDING");
        cJSON_AddItemToArray(tasks, one);
    }
    freeReplyObject(r);
    return r != NULL;
}

static void count(cJSON *doc)
{
    int ready = 0, failed = 0;
    const cJSON *one;

    cJSON_ArrayForEach(one, json_get_arr(doc, "tasks"))
    {
        const char *status = json_get_str(one, "status");

        ready += await_is_final(status);
        failed += await_is_final(status) && strcmp(status, "SUCCESS") != 0;
    }
    cJSON_AddNumberToObject(doc, "ready", ready);
    cJSON_AddNumberToObject(doc, "failed", failed);
}

/* saved: {"result": [[id, parent], [member, ...]]} */
static cJSON *read_group(redisContext *c, const char *id, const cJSON *saved, struct err *e)
{
    const cJSON *members = cJSON_GetArrayItem(json_get_arr(saved, "result"), 1);
    cJSON *doc = cJSON_CreateObject(), *tasks = cJSON_AddArrayToObject(doc, "tasks");
    const cJSON *m = cJSON_IsArray(members) ? members->child : NULL;

    cJSON_AddStringToObject(doc, "group_id", id);
    while (m && cJSON_GetArraySize(tasks) < RESULT_GROUP_MAX) {
        if (!add_slice(c, &m, tasks, e)) {
            cJSON_Delete(doc);
            return NULL;
        }
    }
    count(doc);
    return doc;
}

cJSON *result_group(redisContext *c, const char *id, struct err *e)
{
    redisReply *r;
    cJSON *saved = NULL, *doc = NULL;
    struct err ignored;

    *e = (struct err){.cls = ERR_NONE};
    r = rds_command(c, e, "GET " KEY_GROUP_PREFIX "%s", id);
    if (r && r->type == REDIS_REPLY_STRING) {
        saved = json_parse(r->str, (size_t)r->len, &ignored);
    }
    if (json_get_arr(saved, "result")) {
        doc = read_group(c, id, saved, e);
    }
    cJSON_Delete(saved);
    freeReplyObject(r);
    return doc;
}

static int64_t get(const cJSON *doc, const char *name)
{
    int64_t n = 0;

    json_get_i64(doc, name, 0, INT64_MAX, &n);
    return n;
}

int result_group_code(const cJSON *doc)
{
    return get(doc, "ready") < cJSON_GetArraySize(json_get_arr(doc, "tasks")) ? CTL_TIMEOUT
           : get(doc, "failed") > 0                                           ? CTL_FAILED
                                                                              : CTL_OK;
}

void result_group_print(const struct term *t, const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {{"Task", false, -8}, {"State", false, 8}};
    const cJSON *one;
    struct table table;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "tasks"))
    {
        const char *status = json_get_str(one, "status");

        table_add(&table, TERM_PLAIN, json_get_str(one, "task_id"));
        table_add(&table,
                  strcmp(status, "SUCCESS") == 0 ? TERM_GREEN
                  : await_is_final(status)       ? TERM_RED
                                                 : TERM_YELLOW,
                  status);
    }
    table_print(&table, t, 0);
    table_fini(&table);
    term_print(t, TERM_DIM, "a group: %" PRId64 " of %d ended, %" PRId64 " of them not well\n",
               get(doc, "ready"), cJSON_GetArraySize(json_get_arr(doc, "tasks")),
               get(doc, "failed"));
}
