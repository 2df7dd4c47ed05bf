#ifndef CTL_BATCH_H
#define CTL_BATCH_H

#include <cjson/cJSON.h>

#include "ctl/ctl.h"

/* What aion2ctl batch prints for people, of the documents of common/runs.h. */
void batch_print_list(const cJSON *doc);
void batch_print_one(const cJSON *doc);
void batch_print_failures(const cJSON *doc);
void batch_print_started(const cJSON *doc);
void batch_print_cancelled(const cJSON *doc);

#endif
