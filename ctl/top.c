#include "ctl/top.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/overview.h"
#include "common/pg.h"
#include "common/status.h"
#include "ctl/ctl.h"
#include "ctl/interrupt.h"
#include "ctl/screen.h"
#include "ctl/status.h"

const char CTL_TOP_HELP[] =
    "Usage: aion2ctl top [--interval TIME] [--once] [--json]\n"
    "\n"
    "A live screen: what runs and how far it is, queues and how fast they change,\n"
    "workers, schedules with their next slots, the last batches, dead letters, the\n"
    "age of the ranking, whether every message is accounted for, the source. It only\n"
    "reads, a handful of questions each time.\n"
    "\n"
    "  --interval TIME  look again after so much time (default 2s, 1s to 1h)\n"
    "  --once           look once, print it and end; with --interval look twice, so\n"
    "                   that there are rates. So it is without a terminal, too\n"
    "  --json           one JSON object on a line, each time\n"
    "\n"
    "Keys: q ends it. 1 to 6 show one table in full, 0 or Esc all of them, Tab the\n"
    "next. Space looks now, h halts it, + and - change the interval.\n"
    "\n"
    "Examples:\n"
    "  aion2ctl top\n"
    "  aion2ctl top --interval 5s\n"
    "  aion2ctl top --once --interval 2s --json | jq .rates\n"
    "\n"
    "Exit codes: 0 ended by q, or everything could be read, 1 the database needs\n"
    "aion2ctl migrate, 64 wrong usage, 69 Redis or PostgreSQL is not reachable (with\n"
    "--once; a live screen waits for them), 130 interrupted.\n";

#define INTERVAL_DEFAULT_S 2
#define INTERVAL_MAX_S     3600
/* Sums that are wrong are looked at with all keys: not each time. */
#define SUMS_EVERY_MS 10000

struct options {
    int64_t interval_s;
    bool once, json;
};

const struct opt CTL_TOP_OPTS[] = {
    {"interval", OPT_SPAN, offsetof(struct options, interval_s), 1, INTERVAL_MAX_S, NULL},
    {"once", OPT_FLAG, offsetof(struct options, once), 0, 0, NULL},
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL},
    OPT_END,
};

/* ---- looking ---- */

struct looking {
    const struct ctl_settings *s;
    struct rds_addr addr;
    bool addr_ok;
    struct overview_links links; /* kept from look to look */
    struct overview_found found;
    cJSON *doc, *earlier; /* the last look and the one before */
    cJSON *sums;          /* "conservation" of the last look that asked for it */
    int64_t at_ms, sums_ms;
};

static void connect_links(struct looking *k)
{
    struct overview_links *l = &k->links;

    if (!l->redis && k->addr_ok) {
        l->redis = rds_connect(&k->addr, STATUS_TIMEOUT_MS, &l->redis_why);
    }
    if (!l->pg) {
        l->pg = status_connect_pg(k->s, &l->pg_why);
    }
}

/* Those that broke are made anew the next time. */
static void drop_broken(struct looking *k)
{
    struct overview_links *l = &k->links;

    if (l->redis && (l->redis->err || !k->found.redis)) {
        redisFree(l->redis);
        l->redis = NULL;
    }
    if (l->pg && (PQstatus(l->pg) != CONNECTION_OK || !k->found.pg)) {
        PQfinish(l->pg);
        l->pg = NULL;
    }
}

static void keep_sums(struct looking *k, bool asked, int64_t now_ms)
{
    if (asked) {
        cJSON_Delete(k->sums);
        k->sums = cJSON_Duplicate(json_get_obj(k->doc, "conservation"), true);
        k->sums_ms = now_ms;
    } else if (k->found.redis) {
        cJSON_AddItemToObject(k->doc, "conservation", cJSON_Duplicate(k->sums, true));
    }
}

static void look(struct looking *k)
{
    int64_t now_ms = clock_mono_ms();
    struct overview_of o = {.task_queue = k->s->task_queue,
                            .batch_interval_s = k->s->batch_interval_s,
                            .redis_url = k->s->redis_url,
                            .database_url = k->s->database_url,
                            .db = k->addr.db,
                            .conservation = !k->sums || now_ms - k->sums_ms >= SUMS_EVERY_MS};

    connect_links(k);
    cJSON_Delete(k->earlier);
    k->earlier = k->doc;
    k->doc = overview_make(&o, &k->links, &k->found);
    keep_sums(k, o.conservation, now_ms);
    top_add_rates(k->doc, k->earlier, (double)(now_ms - k->at_ms) / 1000);
    k->at_ms = now_ms;
    drop_broken(k);
}

static void looking_init(struct looking *k, const struct ctl_settings *s)
{
    *k = (struct looking){.s = s};
    k->addr_ok = rds_parse_url(s->redis_url, &k->addr, &k->links.redis_why);
}

static void looking_fini(struct looking *k)
{
    k->found = (struct overview_found){0};
    drop_broken(k);
    cJSON_Delete(k->doc);
    cJSON_Delete(k->earlier);
    cJSON_Delete(k->sums);
}

static int exit_code(const struct looking *k)
{
    return !k->found.redis || !k->found.pg ? CTL_UNAVAILABLE
           : k->found.schema_ok            ? CTL_OK
                                           : CTL_FAILED;
}

/* ---- without a screen ---- */

static int print_json(struct looking *k)
{
    int code = ctl_print_json("top", cJSON_Duplicate(k->doc, true));

    return code == CTL_OK && fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
}

/* Waits unless it is interrupted meanwhile. */
static bool sleep_s(int64_t seconds, const volatile sig_atomic_t *stop)
{
    struct timespec pause = {.tv_sec = seconds};

    return !*stop && nanosleep(&pause, NULL) == 0 && !*stop;
}

static int run_once(struct looking *k, const struct options *o)
{
    const volatile sig_atomic_t *stop = interrupt_watch();
    struct top_view v = {.rows = 0};
    struct term t;

    look(k);
    if (o->interval_s > 0) {
        if (!sleep_s(o->interval_s, stop)) {
            return CTL_INTERRUPTED;
        }
        look(k);
    }
    if (o->json) {
        return print_json(k) == CTL_OK ? exit_code(k) : CTL_FAILED;
    }
    term_init(&t, stdout);
    top_print(&t, k->doc, &v);
    return exit_code(k);
}

static int run_json(struct looking *k, int64_t interval_s)
{
    const volatile sig_atomic_t *stop = interrupt_watch();

    do {
        look(k);
        if (print_json(k) != CTL_OK) {
            return CTL_FAILED;
        }
    } while (sleep_s(interval_s, stop));
    return CTL_INTERRUPTED;
}

/* ---- the screen ---- */

static bool show(const struct looking *k, struct top_view *v)
{
    struct term t;
    size_t len = 0;
    char *text = NULL;
    bool shown;

    term_init(&t, stdout);
    screen_size(&v->rows, &t.width);
    t.out = open_memstream(&text, &len);
    MUST(t.out);
    top_print(&t, k->doc, v);
    MUST(fclose(t.out) == 0);
    shown = screen_show(text, len);
    free(text);
    return shown;
}

enum act { ACT_NONE, ACT_SHOW, ACT_LOOK, ACT_QUIT, ACT_STOP };

static enum act on_speed(struct top_view *v, double factor)
{
    v->interval_s *= factor;
    v->interval_s = v->interval_s < 0.5 ? 0.5 : v->interval_s;
    v->interval_s = v->interval_s > INTERVAL_MAX_S ? INTERVAL_MAX_S : v->interval_s;
    return ACT_SHOW;
}

static enum act on_key(struct top_view *v, int key)
{
    if (key >= '0' && key <= '0' + TOP_PANES) {
        v->pane = key - '0';
        return ACT_SHOW;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return ACT_QUIT;
    case ' ':
        return ACT_LOOK;
    case '\t':
        v->pane = (v->pane + 1) % (TOP_PANES + 1);
        return ACT_SHOW;
    case SCREEN_ESCAPE:
        v->pane = 0;
        return ACT_SHOW;
    case 'h':
        v->halted = !v->halted;
        return ACT_SHOW;
    case '+':
        return on_speed(v, 0.5);
    case '-':
        return on_speed(v, 2);
    case SCREEN_RESIZED:
        return ACT_SHOW;
    case SCREEN_STOP:
        return ACT_STOP;
    default:
        return ACT_NONE;
    }
}

/* Until it is time to look again, or a key says something else. */
static enum act wait_for_more(const struct looking *k, struct top_view *v)
{
    for (;;) {
        int64_t due_ms = k->at_ms + (int64_t)(v->interval_s * 1000) - clock_mono_ms();
        enum act act;

        if (due_ms <= 0 && !v->halted) {
            return ACT_LOOK;
        }
        act = on_key(v, screen_wait(v->halted ? INTERVAL_MAX_S * 1000 : due_ms));
        if (act == ACT_SHOW && !show(k, v)) {
            return ACT_STOP;
        }
        if (act >= ACT_LOOK) {
            return act;
        }
    }
}

static int run_screen(struct looking *k, const struct options *o)
{
    struct top_view v = {.live = true,
                         .interval_s =
                             (double)(o->interval_s > 0 ? o->interval_s : INTERVAL_DEFAULT_S)};
    enum act act = ACT_LOOK;

    while (act == ACT_LOOK) {
        look(k);
        act = show(k, &v) ? wait_for_more(k, &v) : ACT_STOP;
    }
    screen_close();
    return act == ACT_QUIT ? CTL_OK : CTL_INTERRUPTED;
}

int ctl_top(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    int code, first = opt_parse("top", CTL_TOP_OPTS, argc, argv, &o);
    struct looking k;

    if (first < 0 || ctl_no_more("top", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    looking_init(&k, s);
    if (o.json && !o.once) {
        code = run_json(&k, o.interval_s > 0 ? o.interval_s : INTERVAL_DEFAULT_S);
    } else if (o.once || !screen_open()) {
        code = run_once(&k, &o);
    } else {
        code = run_screen(&k, &o);
    }
    looking_fini(&k);
    return code;
}
