#ifndef COMMON_SOURCE_ANSWER_H
#define COMMON_SOURCE_ANSWER_H

#include "common/source.h"

/* A reply of the source as JSON, for the other processes that wait for the same lookup. */
struct source_answer {
    struct source_reply reply; /* points at the rest */
    struct source_person person;
    char reason[400];
};
/* Owned by the caller (free()); NULL when memory is out or the texts are no UTF-8. */
char *source_answer_print(const struct source_reply *reply);
/* False and *e: not one of ours; *a is empty then. Otherwise source_answer_fini. */
bool source_answer_read(const char *text, struct source_answer *a, struct err *e) MUST_CHECK;
void source_answer_fini(struct source_answer *a);

#endif
