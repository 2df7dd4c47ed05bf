#ifndef COMMON_COMMAND_H
#define COMMON_COMMAND_H

#include "common/script.h"

/*
 * A run of a script as one value that owns its keys and arguments: built once, then run on a
 * blocking connection (command_run) or on an asynchronous one (rdsa_script), as often as needed.
 * When memory is out while it is built it is `failed`, and running it gives no answer; so building
 * needs no checks.
 */
struct command {
    struct script *script;
    int keys;
    int n, cap;
    bool failed;
    char **args; /* owned; the keys first */
    size_t *lens;
};

/* Empty; whatever *c held before is not freed. */
void command_begin(struct command *c, struct script *script);
void command_fini(struct command *c);

/* Keys come before all arguments. The second and third put a name together. */
void command_key(struct command *c, const char *name);
void command_key2(struct command *c, const char *prefix, const char *rest);
void command_key3(struct command *c, const char *prefix, const char *rest, const char *suffix);
/* NULL is "". */
void command_arg(struct command *c, const char *text);
void command_i64(struct command *c, int64_t v);
void command_bytes(struct command *c, const char *bytes, size_t len);
/* Without a copy: c must then not outlive the bytes, and ends with command_fini_borrowed. */
void command_borrow(struct command *c, char *bytes, size_t len);
void command_fini_borrowed(struct command *c);

/* Runs it on a blocking connection. NULL and *e on failure; freeReplyObject. */
redisReply *command_run(redisContext *c, const struct command *cmd, struct err *e) MUST_CHECK;

#endif
