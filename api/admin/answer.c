#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin/route.h"
#include "api/problem.h"
#include "common/mem.h"
#include "common/text.h"

static void forget(struct admin_call *c)
{
    cJSON_Delete(c->reply);
    free(c->bytes);
    c->reply = NULL;
    c->bytes = NULL;
    c->bytes_len = 0;
    c->type[0] = '\0';
}

void admin_reply(struct admin_call *c, int status, cJSON *doc)
{
    forget(c);
    if (!doc) {
        admin_problem(c, 503, NULL, "The service is out of memory.");
        return;
    }
    c->status = status;
    c->reply = doc;
}

void admin_bytes(struct admin_call *c, int status, const char *type, const void *bytes, size_t len)
{
    char *copy = mem_try_array(len + 1, 1);

    forget(c);
    if (!copy) {
        admin_problem(c, 503, NULL, "The service is out of memory.");
        return;
    }
    memcpy(copy, bytes, len);
    c->status = status;
    c->bytes = copy;
    c->bytes_len = len;
    text_copy(c->type, sizeof c->type, type);
}

void admin_problem(struct admin_call *c, int status, const char *param, const char *fmt, ...)
{
    char detail[600];
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    text_make_utf8(detail);
    buf_init(&b, PROBLEM_MAX);
    MUST(problem_write(&b, &(struct problem){status, detail, "param", param}));
    forget(c);
    c->status = status;
    c->location[0] = '\0';
    text_copy(c->type, sizeof c->type, PROBLEM_TYPE);
    c->bytes = buf_take(&b, &c->bytes_len);
}

void admin_fail(struct admin_call *c, const struct err *e)
{
    static const struct {
        const char *type;
        int status;
    } KNOWN[] = {{"LookupError", 404}, {"StateError", 409}, {"ValueError", 422}};
    int status = e->cls == ERR_RETRYABLE || e->cls == ERR_CANCELLED ? 503 : 500;

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (strcmp(KNOWN[i].type, e->type) == 0) {
            status = KNOWN[i].status;
        }
    }
    admin_problem(c, status, NULL, "%s", *e->text ? e->text : "It did not work.");
}

void admin_document(struct admin_call *c, cJSON *doc, const struct err *e)
{
    if (doc) {
        admin_reply(c, 200, doc);
    } else {
        admin_fail(c, e);
    }
}

void admin_location(struct admin_call *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->location, sizeof c->location, fmt, ap);
    va_end(ap);
}

void admin_target(struct admin_call *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->target, sizeof c->target, fmt, ap);
    va_end(ap);
    text_make_utf8(c->target);
}
