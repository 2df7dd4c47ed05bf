#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/err.h"

#include <stdio.h>

/*
 * Settings come from the environment, described by one table per program:
 *
 *   static const struct conf_item ITEMS[] = {
 *       CONF_STR("DATABASE_URL", struct settings, database_url, "postgresql:///aion2rank",
 *                CONF_SECRET_URL, "PostgreSQL connection"),
 *       CONF_INT("BATCH_INTERVAL", struct settings, batch_interval_s, 600, 1, 86400, "seconds
 * ..."),
 *   };
 *
 * An empty variable counts as not set. String values point into the environment or the table.
 */
enum conf_type { CONF_T_STR, CONF_T_INT, CONF_T_BOOL, CONF_T_CHOICE };

enum conf_flag {
    CONF_PLAIN = 0,
    CONF_SECRET = 1,     /* never printed */
    CONF_SECRET_URL = 2, /* the password inside is never printed */
};

struct conf_item {
    const char *name;
    enum conf_type type;
    size_t offset;           /* of a const char *, int64_t or bool in the program's struct */
    const char *default_str; /* as it would stand in the environment */
    int64_t min, max;        /* CONF_T_INT; for strings max is the length in bytes */
    enum conf_flag flag;
    const char *choices; /* CONF_T_CHOICE: "a|b|c" */
    const char *help;
};

#define CONF_STR(name, st, field, def, flag, help)                                                 \
    {                                                                                              \
        name, CONF_T_STR, offsetof(st, field), def, 0, 4096, flag, NULL, help                      \
    }
#define CONF_INT(name, st, field, def, min, max, help)                                             \
    {                                                                                              \
        name, CONF_T_INT, offsetof(st, field), def, min, max, CONF_PLAIN, NULL, help               \
    }
#define CONF_BOOL(name, st, field, def, help)                                                      \
    {                                                                                              \
        name, CONF_T_BOOL, offsetof(st, field), def, 0, 1, CONF_PLAIN, NULL, help                  \
    }
#define CONF_CHOICE(name, st, field, def, choices, help)                                           \
    {                                                                                              \
        name, CONF_T_CHOICE, offsetof(st, field), def, 0, 0, CONF_PLAIN, choices, help             \
    }

/* Reads every item into *settings. On a bad value: false, *e names the variable and the range. */
bool conf_load(const struct conf_item *items, size_t n, void *settings, struct err *e) MUST_CHECK;
/* The settings section of --help. */
void conf_print_help(const struct conf_item *items, size_t n, FILE *out);
/* --check-config: NAME=value  (default | environment), secrets masked. Call after conf_load. */
void conf_print_effective(const struct conf_item *items, size_t n, FILE *out);

/* Calls fn for each item with the value in effect, secrets masked. Call after conf_load. */
void conf_each(const struct conf_item *items, size_t n,
               void (*fn)(void *ctx, const struct conf_item *item, const char *value,
                          bool from_env),
               void *ctx);

/* url with the password replaced by ***; text of a thread-local buffer. */
const char *conf_mask_url(const char *url);

#endif
