/* What follows a task: the body of a message with its signatures, and what Redis says of a chord.
 * Whatever a message asks for, each follow-up must be one that a worker of either kind can read. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned ids;

static void next_id(char id[UUID_SIZE])
{
    snprintf(id, UUID_SIZE, "%08x-0000-4000-8000-000000000000", ++ids);
}

static const struct flow_env ENV = {.queue = "celery",
                                    .origin = "aion2@lab",
                                    .reply_to = "me",
                                    .now_us = INT64_C(1700000000000000),
                                    .new_id = next_id};

static void check_item(const struct follow *item)
{
    struct err e;
    struct msg m;
    enum msg_verdict v = MSG_OK;

    if (item->kind == FOLLOW_PUSH) {
        v = msg_parse(item->bytes, item->len, &m, &e);
        /* Nested deeper than anybody reads, or with a number that is none: refused with its id. */
        if (v == MSG_UNREADABLE || (v == MSG_OK && (m.form != MSG_CELERY_2 || !m.delivery_tag))) {
            fprintf(stderr, "%s\n%.*s\n", e.text, (int)item->len, item->bytes);
            abort();
        }
        msg_fini(&m);
    } else if (item->key[0] == '\0' || item->len == 0) {
        abort();
    }
}

/* All parts are there, and what they hold is the rest of the input. */
static void end_chords(struct flow *f, const struct msg *m, const char *text)
{
    const char *members[] = {"[1, \"a\", \"SUCCESS\", {\"x\": NaN}]", text, NULL};
    struct flow_count c = {.ready = 3, .size = 3, .members = members, .member_count = 3};
    struct err e;

    for (int rounds = 0; flow_part(f) && rounds < 100; rounds++) {
        members[2] = flow_part(f)->member;
        c.saved = rounds % 2 ? text : NULL;
        if (!flow_counted(f, &ENV, m, &c, &e)) {
            return;
        }
    }
}

static void run(const struct msg *m, const char *text, bool success)
{
    static const struct flow_failure X = {
        .status = "FAILURE",
        .exception = "{\"exc_type\":\"ValueError\",\"exc_message\":[\"no\"],"
                     "\"exc_module\":\"builtins\"}"};
    struct flow f;
    struct err e;

    ids = 0;
    flow_init(&f);
    if (success ? flow_succeed(&f, &ENV, m, "[1.50]", &e) : flow_fail(&f, &ENV, m, &X, &e)) {
        end_chords(&f, m, text);
        for (size_t i = 0; i < f.count; i++) {
            check_item(&f.items[i]);
        }
    } else if (e.text[0] == '\0') {
        abort(); /* every refusal says why */
    }
    if (f.count > FLOW_ITEMS_MAX || f.bytes > FLOW_BYTES_MAX) {
        abort();
    }
    flow_fini(&f);
}

/* A plain message, and behind a NUL the text of a chord's member. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 2);
    size_t len;
    struct msg m;
    struct err e;

    memcpy(text, data, size);
    text[size] = text[size + 1] = '\0';
    len = strlen(text);
    if (msg_parse(text, len, &m, &e) == MSG_OK && m.id[0] != '\0') {
        run(&m, len < size ? text + len + 1 : "", true);
        run(&m, len < size ? text + len + 1 : "", false);
    }
    msg_fini(&m);
    free(text);
    return 0;
}
