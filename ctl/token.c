#include <string.h>

#include "common/text.h"
#include "common/tokens.h"
#include "ctl/ctl.h"
#include "ctl/note.h"
#include "ctl/table.h"

const char CTL_TOKEN_HELP[] =
    "Usage: aion2ctl token [list] [--json]\n"
    "       aion2ctl token create NAME --scope SCOPE [--expires TIME] [--json]\n"
    "       aion2ctl token revoke ID [--json]\n"
    "\n"
    "Tokens for the admin side of aion2-api (ADMIN_LISTEN).\n"
    "\n"
    "  list    all of them, the newest first; never the tokens themselves\n"
    "  create  makes one and prints it. That is the only time it is shown: only its\n"
    "          SHA-256 is stored\n"
    "  revoke  ends one, by its number\n"
    "\n"
    "  --scope SCOPE   read: look at everything; operate: also start, cancel, retry\n"
    "                  and the like; admin: also what cannot be undone, and tokens\n"
    "  --expires TIME  it ends by itself: 12h, 30d (default: never)\n"
    "  --json          one line of JSON\n"
    "\n"
    "Every aion2-api knows of a change within two seconds, without a restart. To\n"
    "rotate a token, create another one, hand it out, then revoke the first.\n"
    "\n"
    "Examples:\n"
    "  aion2ctl token create grafana --scope read --expires 90d\n"
    "  aion2ctl token revoke 3\n"
    "\n"
    "Exit codes: 0 done, 1 there is none of that number, 64 wrong usage, 69\n"
    "PostgreSQL not reachable.\n";

struct options {
    const char *scope;
    int64_t expires_s;
    bool json;
};

static const struct opt LIST_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};
static const struct opt CREATE_OPTS[] = {
    {"scope", OPT_TEXT, offsetof(struct options, scope), 0, 0, "read|operate|admin"},
    {"expires", OPT_SPAN, offsetof(struct options, expires_s), 1, TOKENS_SECONDS_MAX, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* ---- list ---- */

static void add_time(struct table *t, const cJSON *token, const char *name)
{
    const char *iso = json_get_str(token, name);

    table_addf(t, TERM_DIM, "%.16s", iso ? iso : "-");
}

static void print_tokens(const cJSON *doc)
{
    static const struct table_column COLUMNS[] = {
        {"Id", true, 0},     {"Name", false, 12},    {"Scope", false, 0},     {"State", false, 0},
        {"Made", false, 10}, {"Expires", false, 10}, {"Last used", false, 10}};
    const cJSON *one;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    cJSON_ArrayForEach(one, json_get_arr(doc, "tokens"))
    {
        const char *state = json_get_str(one, "state");
        int64_t id = 0;

        json_get_i64(one, "id", 0, INT64_MAX, &id);
        table_addf(&table, TERM_PLAIN, "%" PRId64, id);
        table_add(&table, TERM_BOLD, json_get_str(one, "name"));
        table_add(&table, TERM_PLAIN, json_get_str(one, "scope"));
        table_add(&table, strcmp(state, "active") == 0 ? TERM_GREEN : TERM_DIM, state);
        add_time(&table, one, "created_at");
        add_time(&table, one, "expires_at");
        add_time(&table, one, "last_used_at");
    }
    if (table.count == 0) {
        term_print(&t, TERM_PLAIN, "no tokens; aion2ctl token create makes one\n");
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

static int list(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("token", LIST_OPTS, argc, argv, &o);
    struct err e;
    PGconn *c;
    cJSON *doc;

    if (first < 0 || ctl_no_more("token", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    c = ctl_pg("token", s, &code);
    if (!c) {
        return code;
    }
    doc = tokens_list(c, &e);
    PQfinish(c);
    if (!doc) {
        return ctl_fail_err("token", &e);
    }
    if (o.json) {
        return ctl_print_json("token", doc);
    }
    print_tokens(doc);
    cJSON_Delete(doc);
    return CTL_OK;
}

/* ---- create ---- */

static int check_name(const char *name)
{
    size_t len = strlen(name);

    if (len > 0 && text_is_utf8(name, len) && !text_has_control(name, len) &&
        text_utf8_count(name, len) <= TOKEN_NAME_MAX) {
        return CTL_OK;
    }
    return ctl_fail("token", CTL_USAGE, "a name has 1 to %d characters, no control ones",
                    TOKEN_NAME_MAX);
}

static int print_created(cJSON *doc, const char *token, bool json)
{
    if (json) {
        cJSON_AddStringToObject(doc, "token", token);
        return ctl_print_json("token", doc);
    }
    /* The token alone, so that it can go into a file; the rest is for people. */
    fprintf(stderr, "This is the only time that the token is shown:\n");
    puts(token);
    cJSON_Delete(doc);
    return CTL_OK;
}

static int create_named(const struct ctl_settings *s, const char *name, enum token_scope scope,
                        const struct options *o)
{
    struct note note = {.command = "token", .action = "token.create"};
    char token[TOKEN_SIZE];
    int code;
    PGconn *c = ctl_pg("token", s, &code);
    struct err e;
    cJSON *doc;

    if (!c) {
        return code;
    }
    note_target(&note, "token %s", name);
    if (!note_begin(&note, c, &e)) {
        PQfinish(c);
        return ctl_fail_err("token", &e);
    }
    doc = tokens_create(c, name, scope, o->expires_s, token, &e);
    note.after = doc;
    note_end(&note, c, doc ? NULL : &e);
    PQfinish(c);
    return doc ? print_created(doc, token, o->json) : ctl_fail_err("token", &e);
}

static int create(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("token", CREATE_OPTS, argc, argv, &o);
    enum token_scope scope;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1 || !o.scope || !token_scope_parse(o.scope, &scope)) {
        return ctl_fail("token", CTL_USAGE, "create needs a name and --scope; see --help");
    }
    return check_name(argv[first]) == CTL_OK ? create_named(s, argv[first], scope, &o) : CTL_USAGE;
}

/* ---- revoke ---- */

static int revoke_id(const struct ctl_settings *s, int64_t id, bool json)
{
    struct note note = {.command = "token", .action = "token.revoke"};
    int code;
    PGconn *c = ctl_pg("token", s, &code);
    struct err e;
    cJSON *doc;

    if (!c) {
        return code;
    }
    note_target(&note, "token %" PRId64, id);
    if (!note_begin(&note, c, &e)) {
        PQfinish(c);
        return ctl_fail_err("token", &e);
    }
    doc = tokens_revoke(c, id, &e);
    note.before = doc;
    note_end(&note, c, doc ? NULL : &e);
    PQfinish(c);
    if (!doc) {
        return ctl_fail("token", e.cls == ERR_RETRYABLE ? CTL_UNAVAILABLE : CTL_FAILED,
                        "token %" PRId64 ": %s", id, e.text);
    }
    if (json) {
        return ctl_print_json("token", doc);
    }
    printf("token %" PRId64 " revoked\n", id);
    cJSON_Delete(doc);
    return CTL_OK;
}

static int revoke_token(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int first = opt_parse("token", LIST_OPTS, argc, argv, &o);
    int64_t id;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (argc - first != 1 || !text_to_i64(argv[first], 1, INT64_MAX, &id)) {
        return ctl_fail("token", CTL_USAGE, "revoke needs the number of one token");
    }
    return revoke_id(s, id, o.json);
}

const struct ctl_verb CTL_TOKEN_VERBS[] = {
    {"list", list, LIST_OPTS},
    {"create", create, CREATE_OPTS},
    {"revoke", revoke_token, LIST_OPTS},
    {NULL, NULL, NULL},
};
