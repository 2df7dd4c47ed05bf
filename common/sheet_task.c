#include "common/sheet_task.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/keys.h"
#include "common/uuid.h"

#define LIST_SIZE 512
#define WHO_SIZE  600 /* a server and a name */

static struct script PUSH = {
    .name = "sheet.push",
    .lua = "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return 0 end\n"
           "redis.call('LPUSH', KEYS[2], ARGV[3])\n"
           "return 1\n",
};
struct script *const SHEET_TASK_SCRIPTS[] = {&PUSH};
const size_t SHEET_TASK_SCRIPT_COUNT = ARRAY_LEN(SHEET_TASK_SCRIPTS);

/* The message; NULL: no memory. */
static char *build(const struct sheet_task *t, const char *id, size_t *len)
{
    cJSON *kwargs = cJSON_CreateObject();
    struct msg_new n = {.task = TASK_FETCH_SHEET,
                        .id = id,
                        .queue = t->queue,
                        .origin = t->origin,
                        .sent_us = t->now_us,
                        .expires_us = t->now_us + SHEET_TASK_EXPIRES_S * INT64_C(1000000),
                        .kwargs = kwargs,
                        .group_index = -1,
                        .slot_unix_s = -1,
                        .priority = t->priority};
    char *text = NULL;

    if (kwargs && cJSON_AddStringToObject(kwargs, "server", t->server) &&
        cJSON_AddStringToObject(kwargs, "name", t->name)) {
        text = msg_build(&n, len);
    }
    cJSON_Delete(kwargs);
    return text;
}

void sheet_task_push(struct command *c, const struct sheet_task *t)
{
    char who[WHO_SIZE], list[LIST_SIZE], id[UUID_SIZE];
    size_t len = 0;
    char *message;

    uuid_random(id);
    message = build(t, id, &len);
    command_begin(c, &PUSH);
    if (snprintf(who, sizeof who, "%s:%s", t->server, t->name) >= (int)sizeof who ||
        !msg_list_name(list, sizeof list, t->queue, t->priority) || !message) {
        c->failed = true;
    } else {
        command_key2(c, KEY_SHEET_PREFIX, who);
        command_key(c, list);
        command_arg(c, id);
        command_i64(c, SHEET_TASK_ONCE_S);
        command_bytes(c, message, len);
    }
    free(message);
}
