/* POST /api/search: a character from the source, or as it is stored. */
#include "api/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/board.h"
#include "api/client.h"
#include "api/person.h"
#include "api/post.h"
#include "api/route.h"
#include "common/clock.h"

static const char *const BODY_MEMBERS[] = {"server", "name"};

/* ---- the answer ---- */

static void answer_person(const struct request *rq, const struct person *p)
{
    const struct reply reply = {.status = 200, .max_age_s = -1, .age_s = -1};
    struct buf b;

    buf_init(&b, BODY_MAX);
    person_add_json(&b, rq, p);
    board_add_snapshot(&b, rq, rq->loop->image);
    buf_addch(&b, '}');
    reply_buf(rq, &reply, &b);
}

static void set_names(struct person *p, const char *server, const char *name)
{
    p->server_len = strlen(server);
    p->name_len = strlen(name);
    memcpy(p->server, server, p->server_len + 1);
    memcpy(p->name, name, p->name_len + 1);
}

static void answer_row(const struct request *rq, struct search_job *j, const char *status)
{
    struct persons *all = persons_new(1);
    struct person *p = &all->at[0];

    set_names(p, j->row.server, j->row.name);
    person_from_row(rq, p, &j->row.detail);
    j->row.detail.text = NULL; /* p's now */
    p->fetch_status = status;
    answer_person(rq, p);
    persons_free(all);
}

static bool is_fresh(const struct request *rq, const struct person *p)
{
    int64_t cooldown_us = rq->loop->settings->fetch_cooldown_s * 1000000;

    return p->has_detail && p->detail.fetched_us != DETAIL_NO_TIME &&
           p->detail.fetched_us > clock_wall_us() - cooldown_us;
}

/* PostgreSQL is away: nobody is asked for what cannot be stored, but memory may know. */
static void answer_from_memory(const struct request *rq, const struct search_job *j)
{
    struct persons *all = persons_new(1);
    struct person *p = &all->at[0];

    set_names(p, j->server, j->name);
    if (person_from_memory(rq, p)) {
        p->fetch_status = is_fresh(rq, p) ? "cached" : "failed";
        answer_person(rq, p);
    } else {
        reply_unavailable(rq, "The database does not answer, so nothing can be fetched.");
    }
    persons_free(all);
}

static void answer_absent(const struct request *rq, const struct search_job *j)
{
    char detail[CHARACTER_REASON_SIZE + 64];

    snprintf(detail, sizeof detail, "Character not found and fetch failed: %s", j->reason);
    reply_problem(rq, 404, NULL, detail);
}

static int64_t seconds_up(int64_t ms)
{
    return (ms + 999) / 1000;
}

static void add_number(const struct request *rq, const char *key, int64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, v);
    reply_add_header(rq, key, text);
}

static void add_limits(const struct request *rq, const struct quota_answer *q)
{
    char policy[48];

    snprintf(policy, sizeof policy, "%" PRId64 ";w=%d", q->limit, QUOTA_WINDOW_MS / 1000);
    reply_add_header(rq, "RateLimit-Policy", policy);
    add_number(rq, "RateLimit-Limit", q->limit);
    add_number(rq, "RateLimit-Remaining", q->remaining);
    add_number(rq, "RateLimit-Reset", seconds_up(q->reset_ms));
}

static void answer_limited(const struct request *rq, const struct search_job *j)
{
    int64_t wait_s = seconds_up(j->quota.reset_ms);
    char detail[128];

    add_number(rq, "Retry-After", wait_s);
    snprintf(detail, sizeof detail,
             "%" PRId64 " searches in a minute are allowed; the next one in %" PRId64 " s.",
             j->quota.limit, wait_s);
    reply_problem(rq, 429, NULL, detail);
}

static void answer(const struct request *rq, struct search_job *j)
{
    if (j->limited) {
        add_limits(rq, &j->quota);
    }
    switch (j->end) {
    case SEARCH_LIMITED:
        answer_limited(rq, j);
        return;
    case SEARCH_FRESH:
        answer_row(rq, j, "cached");
        return;
    case SEARCH_FETCHED:
        answer_row(rq, j, "success");
        return;
    case SEARCH_FAILED:
        answer_row(rq, j, "failed");
        return;
    case SEARCH_ABSENT:
        answer_absent(rq, j);
        return;
    case SEARCH_NO_SERVER:
        reply_problem(rq, 404, "server", "There is no server of this name.");
        return;
    case SEARCH_NO_DATABASE:
        answer_from_memory(rq, j);
        return;
    }
    MUST(!"a known end");
}

void search_answer(void *loop, struct mail *m)
{
    struct search_job *j = (struct search_job *)m;
    struct loop *l = loop;

    l->searching--;
    answer(j->arg, j);
    search_drop(m);
}

void search_drop(struct mail *m)
{
    struct search_job *j = (struct search_job *)m;

    free(j->arg);
    search_job_free(j);
}

/* ---- the question ---- */

/* False: answered. */
static bool take_text(const struct request *rq, const cJSON *doc, const char *key,
                      char out[QUERY_TEXT_BYTES + 1])
{
    struct query_value v;
    bool good = post_name(rq, doc, key, &v);

    if (good) {
        memcpy(out, v.text, v.len + 1);
    }
    return good;
}

void handle_search(const struct request *rq, UNUSED const struct query_value *values)
{
    cJSON *doc = post_read(rq);
    struct search_job *j = search_job_new();

    if (doc && post_check_members(rq, doc, "The body", BODY_MEMBERS, ARRAY_LEN(BODY_MEMBERS)) &&
        take_text(rq, doc, "server", j->server) && take_text(rq, doc, "name", j->name)) {
        client_text(rq, j->client);
        j->answer_to = rq->loop->searched;
        j->arg = request_keep(rq);
        rq->loop->searching++;
        searcher_ask(rq->loop->searcher, j);
    } else {
        search_job_free(j);
    }
    cJSON_Delete(doc);
}
