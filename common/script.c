#include "common/script.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Several threads may run the same script, each on its own connection. */
static pthread_mutex_t sha1_lock = PTHREAD_MUTEX_INITIALIZER;

static void copy_sha1(char *to, const char *from)
{
    pthread_mutex_lock(&sha1_lock);
    memcpy(to, from, SCRIPT_SHA1_SIZE);
    pthread_mutex_unlock(&sha1_lock);
}

void script_sha1_get(const struct script *s, char out[SCRIPT_SHA1_SIZE])
{
    copy_sha1(out, s->sha1);
}

void script_sha1_set(struct script *s, const char sha1[SCRIPT_SHA1_SIZE])
{
    copy_sha1(s->sha1, sha1);
}

bool script_load(redisContext *c, struct script *s, struct err *e)
{
    redisReply *r = rds_command(c, e, "SCRIPT LOAD %s", s->lua);
    bool ok;

    if (!r) {
        return false;
    }
    ok = r->type == REDIS_REPLY_STRING && r->len == SCRIPT_SHA1_SIZE - 1;
    if (ok) {
        script_sha1_set(s, r->str);
    } else {
        err_set(e, ERR_PERMANENT, "RedisError", "SCRIPT LOAD did not answer with a SHA1");
    }
    freeReplyObject(r);
    return ok;
}

/* args with room for the three words that come before them; NULL when memory is out. */
static const char **with_head(int n, const char *const *args, const size_t *lens, size_t **argl)
{
    const char **argv = mem_try_array((size_t)n + 3, sizeof *argv);

    *argl = mem_try_array((size_t)n + 3, sizeof **argl);
    for (int i = 0; argv && *argl && i < n; i++) {
        argv[i + 3] = args[i];
        (*argl)[i + 3] = lens ? lens[i] : strlen(args[i]);
    }
    return argv;
}

redisReply *script_run(redisContext *c, struct script *s, int keys, int n, const char *const *args,
                       const size_t *lens, struct err *e)
{
    size_t *argl;
    const char **argv = with_head(n, args, lens, &argl);
    char nkeys[12], sha1[SCRIPT_SHA1_SIZE];
    redisReply *r = NULL;

    MUST(keys <= n);
    if (!argv || !argl) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "no memory for a Redis command");
        goto out;
    }
    snprintf(nkeys, sizeof nkeys, "%d", keys);
    /* Twice at most: the second time right after loading. */
    for (int attempt = 0; attempt < 2 && !r; attempt++) {
        script_sha1_get(s, sha1);
        if ((sha1[0] == '\0' || attempt > 0) && !script_load(c, s, e)) {
            break;
        }
        script_sha1_get(s, sha1);
        argv[0] = "EVALSHA";
        argv[1] = sha1;
        argv[2] = nkeys;
        for (int i = 0; i < 3; i++) {
            argl[i] = strlen(argv[i]);
        }
        r = rds_command_argv(c, n + 3, argv, argl, e);
        if (!r && !strstr(e->text, "NOSCRIPT")) {
            break;
        }
    }
out:
    free(argv);
    free(argl);
    return r;
}
