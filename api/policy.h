#ifndef API_POLICY_H
#define API_POLICY_H

#include "common/base.h"

/* What browsers are told to hold a page to, players' and operators' alike. */
struct policy_header {
    const char *key, *value;
};
extern const struct policy_header POLICY_HEADERS[];
extern const size_t POLICY_HEADER_COUNT;

#endif
