#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/keys.h"
#include "common/pg.h"
#include "common/schema.h"
#include "common/text.h"
#include "ctl/term.h"

#define REDIS_TIMEOUT_MS 5000

int ctl_fail(const char *command, enum ctl_exit code, const char *fmt, ...)
{
    char text[1024], clean[3 * sizeof text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_make_utf8(text); /* it may have been cut within a character */
    term_clean(clean, sizeof clean, text);
    fprintf(stderr, "aion2ctl %s: %s\n", command, clean);
    return code;
}

int ctl_fail_err(const char *command, const struct err *e)
{
    return ctl_fail(command, e->cls == ERR_RETRYABLE ? CTL_UNAVAILABLE : CTL_FAILED, "%s", e->text);
}

int ctl_no_more(const char *command, int first, int argc, char **argv)
{
    return first >= argc ? CTL_OK
                         : ctl_fail(command, CTL_USAGE, "unexpected argument \"%s\"", argv[first]);
}

int ctl_fail_redis(const char *command, const struct rds_addr *addr, const struct err *e)
{
    char place[RDS_TEXT_SIZE];

    return ctl_fail(command, CTL_UNAVAILABLE, "%s; REDIS_URL names %s", e->text,
                    rds_addr_text(addr, place));
}

redisContext *ctl_redis(const char *command, const struct ctl_settings *s, struct rds_addr *addr,
                        int *code)
{
    struct rds_addr own;
    struct err e;
    redisContext *c;

    addr = addr ? addr : &own;
    if (!rds_parse_url(s->redis_url, addr, &e)) {
        *code = ctl_fail(command, CTL_USAGE, "%s", e.text);
        return NULL;
    }
    c = rds_connect(addr, REDIS_TIMEOUT_MS, &e);
    if (!c) {
        *code = ctl_fail_redis(command, addr, &e);
    }
    return c;
}

int ctl_print_json(const char *command, cJSON *v)
{
    char *text = json_print(v);

    cJSON_Delete(v);
    if (!text) {
        return ctl_fail(command, CTL_FAILED, "out of memory");
    }
    term_put_json(stdout, text);
    putchar('\n');
    free(text);
    return CTL_OK;
}

PGconn *ctl_pg(const char *command, const struct ctl_settings *s, int *code)
{
    struct err e;
    PGconn *c = pg_connect(s->database_url, "aion2ctl", &e);

    if (!c) {
        *code = ctl_fail(command, CTL_UNAVAILABLE, "%s; DATABASE_URL is %s", e.text,
                         conf_mask_url(s->database_url));
        return NULL;
    }
    if (!pg_run(c, "SET statement_timeout = '15s'; SET lock_timeout = '5s'", &e) ||
        !schema_check(c, &e)) {
        *code = ctl_fail(command, CTL_FAILED, "%s", e.text);
        PQfinish(c);
        return NULL;
    }
    return c;
}

const char *ctl_list_shown(char out[CTL_LIST_SIZE], const char *list)
{
    const char *sep = list ? strstr(list, KEY_PRIORITY_SEP) : NULL;

    if (!sep) {
        return list;
    }
    snprintf(out, CTL_LIST_SIZE, "%.*s (priority %.10s)",
             (int)(sep - list < 200 ? sep - list : 200), list, sep + strlen(KEY_PRIORITY_SEP));
    return out;
}
