#include "ctl/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "ctl/term.h"

const char CTL_DOCTOR_HELP[] =
    "Usage: aion2ctl doctor [--json]\n"
    "\n"
    "Looks at Redis, its Sentinels, PostgreSQL, workers and beats for what loses data\n"
    "or stops work, and says what to do about it. It changes nothing.\n"
    "\n"
    "  --json  the same as one JSON object on one line, for programs\n"
    "\n"
    "Each line is ok, a warning (it works, but not through everything), a problem\n"
    "(data will be lost or nothing works) or unseen (Redis or PostgreSQL does not\n"
    "show it to this user, or it is on another machine).\n"
    "\n"
    "Examples:\n"
    "  aion2ctl doctor\n"
    "  aion2ctl doctor --json | jq -r '.checks[] | select(.level != \"ok\") | .text'\n"
    "\n"
    "Exit codes: 0 no problem (there may be warnings), 1 a problem, 64 wrong usage,\n"
    "69 Redis or PostgreSQL is not reachable (the rest is shown).\n";

struct options {
    bool json;
};
const struct opt CTL_DOCTOR_OPTS[] = {
    {"json", OPT_FLAG, offsetof(struct options, json), 0, 0, NULL}, OPT_END};

static const struct {
    const char *word;
    enum term_colour colour;
} LEVELS[DOCTOR_LEVELS] = {
    [DOCTOR_OK] = {"ok", TERM_GREEN},
    [DOCTOR_UNSEEN] = {"unseen", TERM_DIM},
    [DOCTOR_WARNING] = {"warning", TERM_YELLOW},
    [DOCTOR_PROBLEM] = {"problem", TERM_RED},
};

#define NAME_WIDTH  14
#define LEVEL_WIDTH 9
#define INDENT      (2 + LEVEL_WIDTH + NAME_WIDTH)

/* ---- findings ---- */

void doctor_say(struct doctor *d, const char *name, enum doctor_level level, const char *advice,
                const char *fmt, ...)
{
    cJSON *check = cJSON_CreateObject();
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_make_utf8(text); /* servers have written some of it */
    cJSON_AddStringToObject(check, "area", d->area);
    cJSON_AddStringToObject(check, "name", name);
    cJSON_AddStringToObject(check, "level", LEVELS[level].word);
    cJSON_AddStringToObject(check, "text", text);
    if (advice) {
        cJSON_AddStringToObject(check, "advice", advice);
    }
    cJSON_AddItemToArray(d->checks, check);
    d->worst = level > d->worst ? level : d->worst;
}

void doctor_judge_clock(struct doctor *d, const char *name, const char *whose, int64_t ahead_us)
{
    static const char ADVICE[] = "Let NTP (chrony, systemd-timesyncd) set the clocks of all "
                                 "machines: times in messages of other clients and the age of the "
                                 "ranking are wrong by that much.";
    int64_t off_us = ahead_us < 0 ? -ahead_us : ahead_us;
    enum doctor_level level = off_us >= 60000000  ? DOCTOR_PROBLEM
                              : off_us >= 1000000 ? DOCTOR_WARNING
                                                  : DOCTOR_OK;

    if (level == DOCTOR_OK) {
        doctor_say(d, name, level, NULL, "%s clock and ours agree", whose);
    } else {
        doctor_say(d, name, level, ADVICE, "%s clock is %" PRId64 ".%01" PRId64 " s %s ours", whose,
                   off_us / 1000000, off_us / 100000 % 10, ahead_us > 0 ? "ahead of" : "behind");
    }
}

void doctor_judge_disk(struct doctor *d, const char *dir)
{
    struct statvfs fs;
    double free_bytes, share;
    enum doctor_level level;

    if (statvfs(dir, &fs) != 0 || fs.f_blocks == 0) {
        doctor_say(d, "disk", DOCTOR_UNSEEN, NULL, "%s: %s", dir, strerror(errno));
        return;
    }
    free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    share = (double)fs.f_bavail / (double)fs.f_blocks;
    level = share < 0.02 ? DOCTOR_PROBLEM : share < 0.10 ? DOCTOR_WARNING : DOCTOR_OK;
    doctor_say(d, "disk", level, level == DOCTOR_OK ? NULL : "Make room before writes are refused.",
               "%.1f GiB free on %s (%.0f %%)", free_bytes / (1024.0 * 1024 * 1024), dir,
               share * 100);
}

/* ---- showing them ---- */

static enum term_colour colour_of(const char *level)
{
    for (size_t i = 0; i < DOCTOR_LEVELS; i++) {
        if (strcmp(LEVELS[i].word, level) == 0) {
            return LEVELS[i].colour;
        }
    }
    return TERM_PLAIN;
}

/* Text that begins in the column INDENT, where the line stands already. */
static void print_beside(const struct term *t, const char *text)
{
    size_t room = TERM_COLUMNS - INDENT, n = strlen(text);
    char first[TERM_COLUMNS];

    if (n > room) {
        for (n = room; n > 1 && text[n] != ' '; n--) {
        }
        n = n > 1 ? n : room;
    }
    snprintf(first, sizeof first, "%.*s", (int)n, text);
    text_make_utf8(first); /* it may have been cut within a character */
    term_text(t, TERM_PLAIN, (int)room, first);
    term_print(t, TERM_PLAIN, "\n");
    term_wrap(t, TERM_PLAIN, INDENT, 6, text + n + strspn(text + n, " "));
}

static void print_check(const struct term *t, const cJSON *check)
{
    const char *text = json_get_str(check, "text"), *advice = json_get_str(check, "advice");
    const char *level = json_get_str(check, "level");

    term_print(t, TERM_PLAIN, "  ");
    term_cell(t, colour_of(level), LEVEL_WIDTH, level);
    term_cell(t, TERM_PLAIN, NAME_WIDTH, json_get_str(check, "name"));
    print_beside(t, text);
    if (advice) {
        term_wrap(t, TERM_BOLD, INDENT, 8, advice);
    }
}

static void print_all(const cJSON *doc)
{
    const char *area = "", *at = json_get_str(doc, "at");
    const cJSON *check;
    struct term t;

    term_init(&t, stdout);
    term_cell(&t, TERM_BOLD, TERM_COLUMNS - 23, "aion2rank");
    term_print(&t, TERM_DIM, "%.10s %.8s UTC", at, at + 11);
    term_print(&t, TERM_PLAIN, "\n");
    cJSON_ArrayForEach(check, json_get_arr(doc, "checks"))
    {
        if (strcmp(area, json_get_str(check, "area")) != 0) {
            area = json_get_str(check, "area");
            term_print(&t, TERM_BOLD, "\n%s\n", area);
        }
        print_check(&t, check);
    }
}

static int show(struct doctor *d, bool as_json)
{
    cJSON *doc = cJSON_CreateObject();
    char iso[CLOCK_ISO_SIZE];
    int code = d->unreachable ? CTL_UNAVAILABLE : d->worst == DOCTOR_PROBLEM ? CTL_FAILED : CTL_OK;

    cJSON_AddStringToObject(doc, "at", clock_iso(clock_wall_us(), "Z", iso));
    cJSON_AddStringToObject(doc, "verdict",
                            LEVELS[d->worst == DOCTOR_UNSEEN ? DOCTOR_OK : d->worst].word);
    cJSON_AddItemToObject(doc, "checks", d->checks);
    if (as_json) {
        int printed = ctl_print_json("doctor", doc);

        return printed == CTL_OK ? code : printed;
    }
    print_all(doc);
    cJSON_Delete(doc);
    return code;
}

int ctl_doctor(const struct ctl_settings *s, int argc, char **argv)
{
    struct options o = {0};
    struct doctor d = {.settings = s};
    int first = opt_parse("doctor", CTL_DOCTOR_OPTS, argc, argv, &o);
    struct rds_addr addr;
    redisContext *c;
    struct err e;

    if (first < 0 || ctl_no_more("doctor", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    if (!rds_parse_url(s->redis_url, &addr, &e)) {
        return ctl_fail("doctor", CTL_USAGE, "%s", e.text);
    }
    d.checks = cJSON_CreateArray();
    c = doctor_redis(&d, &addr);
    doctor_pg(&d);
    if (c) {
        doctor_jobs(&d, c);
        redisFree(c);
    }
    return show(&d, o.json);
}
