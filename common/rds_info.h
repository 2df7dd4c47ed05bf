#ifndef COMMON_RDS_INFO_H
#define COMMON_RDS_INFO_H

#include "common/err.h"

/* Reading the text that INFO answers, and what it means for our data. Pure. */

/* Copies the value of a field ("name:value" on a line); false when it is absent or does not fit. */
bool rds_info_text(const char *info, const char *name, char *out, size_t cap);
bool rds_info_i64(const char *info, const char *name, int64_t *out);

enum rds_safety {
    RDS_SAFE,
    RDS_EVICTS,  /* its maxmemory-policy lets it delete what was not read yet */
    RDS_REPLICA, /* it takes no writes; a failover may be under way */
    RDS_UNSEEN,  /* it does not tell */
};

/* From the answer to INFO, NULL when that was refused. Unless it is safe, *e says what and why. */
enum rds_safety rds_judge(const char *info, struct err *e);

#endif
