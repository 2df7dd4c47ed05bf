/* One character: what is stored of it, and its place in the image. */
#include "api/board.h"
#include "api/person.h"
#include "api/route.h"

static void answer(const struct request *rq, struct persons *p)
{
    const struct reply reply = {.status = 200, .max_age_s = -1, .age_s = -1};
    struct buf b;

    if (!person_must_be_found(rq, &p->at[0])) {
        return;
    }
    buf_init(&b, BODY_MAX);
    person_add_json(&b, rq, &p->at[0]);
    board_add_snapshot(&b, rq, rq->loop->image);
    buf_addch(&b, '}');
    reply_buf(rq, &reply, &b);
}

void handle_character(const struct request *rq, const struct query_value *values)
{
    struct persons *p = persons_new(1);

    person_set(&p->at[0], &values[0], &values[1]);
    persons_find(rq, p, answer);
}
