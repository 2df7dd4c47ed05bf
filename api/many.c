/* Many characters by one request. */
#include <string.h>

#include "api/board.h"
#include "api/person.h"
#include "api/post.h"
#include "api/route.h"

static const struct reply NOT_KEPT = {.status = 200, .max_age_s = -1, .age_s = -1};

static const char *const BODY_MEMBERS[] = {"characters"};
static const char *const CHARACTER_MEMBERS[] = {"server", "name"};

static void add_one(struct buf *b, const struct request *rq, const struct person *p)
{
    static const char *const STATUS[] = {
        [PERSON_UNKNOWN] = "unavailable", [PERSON_ABSENT] = "absent", [PERSON_FOUND] = "found"};

    buf_addstr(b, "{\"server\":");
    buf_add_json(b, p->server, p->server_len);
    buf_addstr(b, ",\"name\":");
    buf_add_json(b, p->name, p->name_len);
    buf_addf(b, ",\"status\":\"%s\",\"character\":", STATUS[p->found]);
    if (p->found == PERSON_FOUND) {
        person_add_json(b, rq, p);
        buf_addstr(b, "}}");
    } else {
        buf_addstr(b, "null}");
    }
}

static void answer(const struct request *rq, struct persons *p)
{
    struct buf b;

    buf_init(&b, BODY_MAX);
    buf_addstr(&b, "{\"characters\":[");
    for (size_t i = 0; i < p->count; i++) {
        buf_addstr(&b, i ? "," : "");
        add_one(&b, rq, &p->at[i]);
    }
    buf_addch(&b, ']');
    board_add_snapshot(&b, rq, rq->loop->image);
    buf_addch(&b, '}');
    reply_buf(rq, &NOT_KEPT, &b);
}

/* False: answered. */
static bool take_names(const struct request *rq, const cJSON *list, struct persons *p)
{
    const cJSON *one;
    size_t n = 0;

    cJSON_ArrayForEach(one, list)
    {
        struct query_value server, name;

        if (!post_check_members(rq, one, "A character", CHARACTER_MEMBERS,
                                ARRAY_LEN(CHARACTER_MEMBERS)) ||
            !post_text(rq, one, "server", &server) || !post_text(rq, one, "name", &name)) {
            return false;
        }
        person_set(&p->at[n++], &server, &name);
    }
    return true;
}

static void handle_list(const struct request *rq, const cJSON *list)
{
    size_t n = list ? (size_t)cJSON_GetArraySize(list) : 0;
    struct persons *p;

    if (n < 1 || n > PERSONS_MAX) {
        reply_problem(rq, 400, "characters", "characters must be a list of 1 to 200 characters.");
        return;
    }
    p = persons_new(n);
    if (take_names(rq, list, p)) {
        persons_find(rq, p, answer);
    } else {
        persons_free(p);
    }
}

void handle_many(const struct request *rq, const struct query_value *values)
{
    cJSON *doc = post_read(rq);

    (void)values;
    if (!doc) {
        return;
    }
    if (post_check_members(rq, doc, "The body", BODY_MEMBERS, ARRAY_LEN(BODY_MEMBERS))) {
        handle_list(rq, json_get_arr(doc, "characters"));
    }
    cJSON_Delete(doc);
}
