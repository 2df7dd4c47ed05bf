#ifndef COMMON_SIGNATURE_H
#define COMMON_SIGNATURE_H

#include "common/json.h"

/*
 * Celery's signatures, the JSON objects that say what is to be run after a task:
 *
 *   {"task":NAME,"args":[],"kwargs":{},"options":{},"subtask_type":null,"immutable":false}
 *
 * subtask_type makes it a group or a chain (kwargs.tasks: its members) or a chord (kwargs.header: a
 * group or an array, kwargs.body: a signature). Reading only; everything but signature_check
 * expects a checked one.
 */
#define SIGNATURE_QUEUE_MAX 200 /* bytes of a queue's name, as BROKER_QUEUE_MAX */

enum signature_kind { SIGNATURE_TASK, SIGNATURE_GROUP, SIGNATURE_CHAIN, SIGNATURE_CHORD };

/*
 * Whether this and all that is inside can be carried out: types of every member that matters. False
 * and *e otherwise. The depth of the JSON bounds the recursion.
 */
bool signature_check(const cJSON *sig, struct err *e) MUST_CHECK;
/* The same for an array of them, a single one, or null. */
bool signature_check_list(const cJSON *v, struct err *e) MUST_CHECK;

enum signature_kind signature_kind(const cJSON *sig);
/* Members of a group or a chain, the header's of a chord (nested groups not unrolled). */
cJSON *signature_members(const cJSON *sig);
/* Of a chord. */
cJSON *signature_body(const cJSON *chord);
/* The group in which the header of a chord is written, NULL: a plain array. */
cJSON *signature_header_group(const cJSON *chord);
/* An option that is there and not null, or NULL. */
cJSON *signature_option(const cJSON *sig, const char *name);
const char *signature_option_text(const cJSON *sig, const char *name);
/* It takes nothing from the task before it. */
bool signature_is_immutable(const cJSON *sig);

#endif
