#include "common/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define ARGS_FIRST    32 /* enough for most */
#define KEY_BYTES_MAX KIB

void command_begin(struct command *c, struct script *script)
{
    *c = (struct command){.script = script};
}

static bool make_room(struct command *c)
{
    int cap = c->cap ? 2 * c->cap : ARGS_FIRST;
    char **args;
    size_t *lens;

    if (c->n < c->cap) {
        return true;
    }
    args = mem_try_resize(c->args, (size_t)cap, sizeof *args);
    if (!args) {
        return false;
    }
    c->args = args;
    lens = mem_try_resize(c->lens, (size_t)cap, sizeof *lens);
    if (!lens) {
        return false;
    }
    c->lens = lens;
    c->cap = cap;
    return true;
}

void command_borrow(struct command *c, char *bytes, size_t len)
{
    if (!make_room(c)) {
        c->failed = true;
        return;
    }
    c->args[c->n] = bytes;
    c->lens[c->n] = len;
    c->n++;
}

void command_bytes(struct command *c, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy || !make_room(c)) {
        c->failed = true;
        free(copy);
        return;
    }
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    command_borrow(c, copy, len);
}

void command_arg(struct command *c, const char *text)
{
    command_bytes(c, text ? text : "", text ? strlen(text) : 0);
}

void command_i64(struct command *c, int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    command_arg(c, text);
}

void command_key(struct command *c, const char *name)
{
    command_arg(c, name);
    c->keys++;
}

void command_key3(struct command *c, const char *prefix, const char *rest, const char *suffix)
{
    char name[KEY_BYTES_MAX];

    /* A name that is cut short would be somebody else's key. */
    if (snprintf(name, sizeof name, "%s%s%s", prefix, rest, suffix) >= (int)sizeof name) {
        c->failed = true;
    }
    command_key(c, name);
}

void command_key2(struct command *c, const char *prefix, const char *rest)
{
    command_key3(c, prefix, rest, "");
}

void command_fini_borrowed(struct command *c)
{
    free(c->args);
    free(c->lens);
    *c = (struct command){0};
}

void command_fini(struct command *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->args[i]);
    }
    command_fini_borrowed(c);
}

redisReply *command_run(redisContext *c, const struct command *cmd, struct err *e)
{
    if (cmd->failed) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a Redis command");
        return NULL;
    }
    return script_run(c, cmd->script, cmd->keys, cmd->n, (const char *const *)cmd->args, cmd->lens,
                      e);
}
