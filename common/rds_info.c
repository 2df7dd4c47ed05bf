#include "common/rds_info.h"

#include <string.h>

#include "common/text.h"

/* The value and its length, NULL when there is no such line. */
static const char *find(const char *info, const char *name, size_t *len)
{
    size_t n = strlen(name);

    for (const char *line = info; *line; line += strspn(line, "\r\n")) {
        size_t end = strcspn(line, "\r\n");

        if (end > n && line[n] == ':' && memcmp(line, name, n) == 0) {
            *len = end - n - 1;
            return line + n + 1;
        }
        line += end;
    }
    return NULL;
}

bool rds_info_text(const char *info, const char *name, char *out, size_t cap)
{
    size_t len = 0;
    const char *value = find(info, name, &len);

    if (!value || len >= cap) {
        return false;
    }
    memcpy(out, value, len);
    out[len] = '\0';
    return true;
}

bool rds_info_i64(const char *info, const char *name, int64_t *out)
{
    size_t len = 0;
    const char *value = find(info, name, &len);

    return value && text_n_to_i64(value, len, INT64_MIN, INT64_MAX, out);
}

enum rds_safety rds_judge(const char *info, struct err *e)
{
    char role[16], policy[32];

    if (!info || !rds_info_text(info, "role", role, sizeof role) ||
        !rds_info_text(info, "maxmemory_policy", policy, sizeof policy)) {
        err_set(e, ERR_RETRYABLE, "UnsafeRedis",
                "Redis does not let us see its maxmemory-policy (INFO); it must be noeviction");
        return RDS_UNSEEN;
    }
    if (strcmp(policy, "noeviction") != 0) {
        err_set(e, ERR_PERMANENT, "UnsafeRedis",
                "Redis' maxmemory-policy is %s: when memory is short it deletes queued messages, "
                "schedules and heartbeats. Set it to noeviction (CONFIG SET maxmemory-policy "
                "noeviction, and in redis.conf), or start with ALLOW_UNSAFE_REDIS=1",
                policy);
        return RDS_EVICTS;
    }
    if (strcmp(role, "master") != 0) {
        err_set(e, ERR_RETRYABLE, "ReplicaRedis",
                "this Redis is a replica and takes no writes; waiting until it is a master");
        return RDS_REPLICA;
    }
    return RDS_SAFE;
}
