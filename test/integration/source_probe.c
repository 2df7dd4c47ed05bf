/*
 * The source from outside, for tests: settings from the environment as the programs have them.
 *
 *   source_probe ask             one question a line of standard input, asked when it comes:
 *                                lookup SERVER NAME | sheet SERVER NAME [ID [FILE of raw_payload]]
 *                                (fields end in tabs); a line of JSON for each answer, with "n"
 *   source_probe script NAME     the Lua of a script
 *   source_probe gate            the gate of a process: "ask NOW INTERVAL PATIENCE",
 *                                "start NOW INTERVAL LEASE ID", "tell NOW RESULT RETRY_AFTER ID"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/source.h"
#include "common/source_answer.h"
#include "common/source_gate.h"

struct settings {
    struct source_settings source;
    const char *redis_url;
    const char *log_level;
    int64_t lookup_ms, sheet_ms;
};
static const struct conf_item ITEMS[] = {
    SOURCE_CONF_ITEMS(struct settings, source),
    CONF_STR("REDIS_URL", struct settings, redis_url, "", CONF_PLAIN, "empty: without"),
    CONF_STR("LOG_LEVEL", struct settings, log_level, "info", CONF_PLAIN, "least severe events"),
    CONF_INT("LOOKUP_MS", struct settings, lookup_ms, "0", 0, 60000, "how long one may take"),
    CONF_INT("SHEET_MS", struct settings, sheet_ms, "0", 0, 60000, "how long one may take"),
};

#define ASKS_MAX 256
struct probe {
    struct event_base *base;
    struct source *src;
    struct rdsa *rdsa; /* NULL: without */
    int waiting;
    bool asked_all;
    struct event *input;
    struct buf lines;
    int count;
};
struct ask {
    struct probe *probe;
    int n;
};
static struct ask asks[ASKS_MAX];

static void give_up(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(2);
}

static void on_pong(void *base, UNUSED uint64_t number, UNUSED const redisReply *r)
{
    event_base_loopbreak(base);
}

/* Not before Redis has had everything that was sent to it. */
static void leave_if_done(struct probe *p)
{
    if (p->waiting > 0 || !p->asked_all) {
        return;
    }
    if (p->rdsa) {
        rdsa_command(p->rdsa, 1000, on_pong, p->base, 0, 1, (const char *[]){"PING"});
    } else {
        event_base_loopbreak(p->base);
    }
}

static void on_answer(void *ctx, const struct source_reply *reply)
{
    struct ask *a = ctx;
    char *text = source_answer_print(reply);

    printf("{\"n\":%d,%s\n", a->n, text + 1);
    fflush(stdout);
    free(text);
    a->probe->waiting--;
    leave_if_done(a->probe);
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = mem_alloc(MIB);

    if (!f || fread(text, 1, MIB - 1, f) == 0) {
        give_up("the file cannot be read");
    }
    fclose(f);
    return text;
}

static void ask_line(struct ask *a, char *line)
{
    struct source_who who = {0};
    char *kind = strsep(&line, "\t"), *file;
    struct source_call *call;
    struct err e = {0};

    who.server = strsep(&line, "\t");
    who.name = strsep(&line, "\t");
    who.source_id = line ? strsep(&line, "\t") : NULL;
    file = line ? slurp(line) : NULL;
    who.raw_payload = file;
    if (!who.server || !who.name) {
        give_up("a line needs a server and a name");
    }
    call = strcmp(kind, "sheet") == 0
               ? source_sheet(a->probe->src, &who, on_answer, a, &e)
               : source_lookup(a->probe->src, who.server, who.name, on_answer, a, &e);
    if (!call) {
        give_up(e.text);
    }
    a->probe->waiting++;
    free(file);
}

/* Asks whatever lines are complete. */
static void on_input(evutil_socket_t fd, UNUSED short what, void *probe)
{
    struct probe *p = probe;
    char bytes[4 * KIB], *end;
    ssize_t n = read(fd, bytes, sizeof bytes);

    if (n <= 0) {
        p->asked_all = true;
        event_del(p->input);
        leave_if_done(p);
        return;
    }
    buf_add(&p->lines, bytes, (size_t)n);
    while (p->lines.len > 0 && (end = strchr(p->lines.data, '\n')) && p->count < ASKS_MAX) {
        *end = '\0';
        asks[p->count] = (struct ask){p, p->count};
        ask_line(&asks[p->count++], p->lines.data);
        buf_consume(&p->lines, (size_t)(end - p->lines.data) + 1);
    }
}

static void ignore(UNUSED void *ctx)
{
}

static struct rdsa *open_redis(struct probe *p, const char *url)
{
    static struct rds_addr addr;
    struct rdsa_config cf = {.base = p->base,
                             .addr = &addr,
                             .role = "source",
                             .scripts = {{SOURCE_SCRIPTS, SOURCE_SCRIPT_COUNT}},
                             .on_up = ignore};
    struct err e;

    if (url[0] == '\0') {
        return NULL;
    }
    if (!rds_parse_url(url, &addr, &e)) {
        give_up(e.text);
    }
    return rdsa_new(&cf);
}

static int run_asks(void)
{
    struct settings settings;
    struct probe p = {.base = event_base_new()};
    struct source_config cf = {.base = p.base, .settings = &settings.source};
    enum log_level level;
    struct err e;

    if (!conf_load(ITEMS, ARRAY_LEN(ITEMS), &settings, &e)) {
        give_up(e.text);
    }
    log_init("probe", log_level_parse(settings.log_level, &level) ? level : LOG_INFO);
    cf.lookup_ms = settings.lookup_ms;
    cf.sheet_ms = settings.sheet_ms;
    cf.rdsa = p.rdsa = open_redis(&p, settings.redis_url);
    p.src = source_new(&cf, &e);
    if (!p.src) {
        give_up(e.text);
    }
    buf_init(&p.lines, MIB);
    p.input = event_new(p.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, &p);
    event_add(p.input, NULL);
    event_base_dispatch(p.base);
    event_free(p.input);
    buf_fini(&p.lines);
    source_free(p.src);
    if (cf.rdsa) {
        rdsa_free(cf.rdsa);
    }
    event_base_free(p.base);
    return 0;
}

static int print_script(const char *name)
{
    for (size_t i = 0; i < SOURCE_SCRIPT_COUNT; i++) {
        if (strcmp(SOURCE_SCRIPTS[i]->name, name) == 0) {
            fputs(SOURCE_SCRIPTS[i]->lua, stdout);
            return 0;
        }
    }
    give_up("there is no such script");
    return 2;
}

static int run_gate(void)
{
    struct gate_local g = {0};
    char verb[8], word[GATE_ID_SIZE], id[GATE_ID_SIZE];
    int64_t now, a, b;

    while (scanf("%7s %" SCNd64, verb, &now) == 2) {
        struct gate_answer answer = {0};

        if (strcmp(verb, "ask") == 0 && scanf("%" SCNd64 " %" SCNd64, &a, &b) == 2) {
            answer = gate_local_ask(&g, &(struct gate_pace){a, b, 0}, now);
        } else if (strcmp(verb, "start") == 0 &&
                   scanf("%" SCNd64 " %" SCNd64 " %63s", &a, &b, id) == 3) {
            answer = gate_local_start(&g, &(struct gate_pace){a, 0, b}, id, now);
        } else if (scanf("%63s %" SCNd64 " %63s", word, &a, id) == 3) {
            static const char *const RESULTS[] = {"ok", "busy", "failed", "given_up"};
            int result = 0;

            while (strcmp(RESULTS[result], word) != 0) {
                result++;
            }
            answer.wait_ms =
                gate_local_tell(&g, &(struct gate_report){(enum gate_result)result, a}, id, now);
        }
        printf("%d %" PRId64 "\n", (int)answer.verdict, answer.wait_ms);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "ask") == 0) {
        return run_asks();
    }
    if (argc == 3 && strcmp(argv[1], "script") == 0) {
        return print_script(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "gate") == 0) {
        return run_gate();
    }
    give_up("usage: source_probe ask | script NAME | gate");
    return 2;
}
