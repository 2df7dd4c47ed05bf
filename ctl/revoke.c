#include <stdlib.h>
#include <string.h>

#include "common/nodes.h"
#include "common/revocation.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/interrupt.h"
#include "ctl/table.h"

const char CTL_REVOKE_HELP[] =
    "Usage: aion2ctl revoke ID... [--terminate] [--signal NAME] [--timeout TIME]\n"
    "                       [--json]\n"
    "\n"
    "Tasks with these ids will not be run: when a worker comes to one, it ends as\n"
    "REVOKED. The ids are noted in Redis for a day (the last 50,000), so that workers\n"
    "heed them that are started later, and all workers are told now. Celery's workers\n"
    "only keep them in memory. Which ones have heard it is printed.\n"
    "\n"
    "  --terminate     end it also when it runs already: the process that runs it is\n"
    "                  killed\n"
    "  --signal NAME   with this signal (default SIGTERM)\n"
    "  --timeout TIME  wait so long for the workers' answers (default 1s, at most\n"
    "                  60s)\n"
    "  --json          one JSON object: ids, and the answer of each node under its\n"
    "                  name\n"
    "\n"
    "Examples:\n"
    "  aion2ctl revoke 6f1c2a9e-0d42-4c39-9a54-0a3f7a7f6f7c\n"
    "  aion2ctl revoke $(cat ids) --terminate --signal SIGKILL\n"
    "\n"
    "Exit codes: 0 noted (with --terminate: and somebody answered), 1 a node answered\n"
    "with an error, 64 wrong usage, 69 Redis not reachable, or with --terminate\n"
    "nobody answered.\n";

struct options {
    bool terminate, json;
    const char *signal;
    int64_t timeout_s;
};

const struct opt CTL_REVOKE_OPTS[] = {
    {"terminate", OPT_FLAG, offsetof(struct options, terminate), 0, 0, NULL},
    {"signal", OPT_TEXT, offsetof(struct options, signal), 0, 0,
     "SIGTERM|SIGKILL|SIGINT|SIGQUIT|SIGHUP|SIGUSR1|SIGUSR2|SIGABRT"},
    {"timeout", OPT_SPAN, offsetof(struct options, timeout_s), 1, 60, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

static bool check_ids(char **ids, int n)
{
    for (int i = 0; i < n; i++) {
        if (!revocation_id_ok(ids[i])) {
            ctl_fail("revoke", CTL_USAGE, "\"%s\" cannot be the id of a task", ids[i]);
            return false;
        }
    }
    return true;
}

static bool is_error(const cJSON *answer)
{
    return json_get_str(answer, "error") != NULL;
}

static void print_answers(int n, const cJSON *by_node)
{
    static const struct table_column COLUMNS[] = {{"Node", false, 12}, {"Answer", false, 20}};
    const cJSON *answer;
    struct table table;
    struct term t;

    term_init(&t, stdout);
    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    term_print(&t, TERM_PLAIN, "%d task%s revoked\n", n, n == 1 ? "" : "s");
    cJSON_ArrayForEach(answer, by_node)
    {
        const char *ok = json_get_str(answer, "ok");

        table_add(&table, TERM_BOLD, answer->string);
        table_add(&table, is_error(answer) ? TERM_RED : TERM_GREEN,
                  is_error(answer) ? json_get_str(answer, "error")
                  : ok             ? ok
                                   : "(no text)");
    }
    table_print(&table, &t, 0);
    table_fini(&table);
}

/* Prints what became of it; the exit code. Takes doc. */
static int report(const struct options *o, int n, cJSON *doc)
{
    const cJSON *by_node = json_get_obj(doc, "nodes"), *answer;
    bool nobody = !by_node->child, failed = false;

    cJSON_ArrayForEach(answer, by_node)
    {
        failed = failed || is_error(answer);
    }
    if (o->json) {
        ctl_print_json("revoke", doc);
    } else {
        print_answers(n, by_node);
        cJSON_Delete(doc);
    }
    if (nobody) {
        ctl_fail("revoke", CTL_UNAVAILABLE, "noted in Redis, but no worker answered%s",
                 o->terminate ? ": what runs goes on"
                              : "; those that are started later will heed it");
        return o->terminate ? CTL_UNAVAILABLE : CTL_OK;
    }
    return failed ? CTL_FAILED : CTL_OK;
}

int ctl_revoke(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {.signal = "SIGTERM", .timeout_s = 1};
    int first = opt_parse("revoke", CTL_REVOKE_OPTS, argc, argv, &o), code;
    struct rds_addr addr;
    struct err e;
    redisContext *c;

    if (first < 0) {
        return CTL_USAGE;
    }
    if (first == argc) {
        return ctl_fail("revoke", CTL_USAGE, "name at least one task by its id");
    }
    if (!check_ids(argv + first, argc - first)) {
        return CTL_USAGE;
    }
    c = ctl_redis("revoke", s, &addr, &code);
    if (c) {
        const struct revocation r = {.ids = (const char *const *)(argv + first),
                                     .n = argc - first,
                                     .terminate = o.terminate,
                                     .signal = o.signal,
                                     .timeout_ms = o.timeout_s * 1000,
                                     .stop = interrupt_watch()};
        cJSON *doc = revocation_run(c, addr.db, &r, &e);

        code = doc ? report(&o, r.n, doc) : ctl_fail_err("revoke", &e);
        redisFree(c);
    }
    return code;
}
