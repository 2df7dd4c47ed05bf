#include "common/audit.h"

#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/mem.h"
#include "common/script.h"
#include "common/text.h"

/*
 * Members that are not ours are looked for only when something does not add up: that costs a look
 * at each.
 */
#define LOOK_MAX "100000"

/*
 * foreign(n, get, is_ours): how many of the first LOOK_MAX members are not ours; get(i, j) gives a
 * slice of them.
 */
#define LUA_FOREIGN                                                                                \
    "local function decoded(text)\n"                                                               \
    "  local ok, v = pcall(cjson.decode, text)\n"                                                  \
    "  return ok and type(v) == 'table' and v or {}\n"                                             \
    "end\n"                                                                                        \
    "local function is_delayed(m)\n"                                                               \
    "  local v = decoded(m)\n"                                                                     \
    "  return type(v.q) == 'string' and type(v.m) == 'string'\n"                                   \
    "end\n"                                                                                        \
    "local function is_letter(m) return type(decoded(m).at) == 'number' end\n"                     \
    "local function foreign(command, key, n, is_ours)\n"                                           \
    "  local found = 0\n"                                                                          \
    "  for i = 0, math.min(n, " LOOK_MAX ") - 1, 100 do\n"                                         \
    "    for _, m in ipairs(redis.call(command, key, i, i + 99)) do\n"                             \
    "      if not is_ours(m) then found = found + 1 end\n"                                         \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  return found\n"                                                                             \
    "end\n"

/*
 * KEYS counters, workers, delayed, dead, quarantine, unacked, unacked_index;
 * ARGV prefixes of held and worker, 1: look for members that are not ours; boot ids under which
 * something was seen to be held. Replies {counters, numbers, boot, held, 1: registered, 1: alive,
 * boot, ...}.
 */
static struct script LUA_AUDIT = {
    .name = "audit",
    .lua = LUA_FOREIGN
    "local look = ARGV[3] == '1'\n"
    "local held, mirrored, missing, unindexed, odd = 0, 0, 0, 0, 0\n"
    "local function look_at(boot)\n"
    "  local key, n = ARGV[1] .. boot, 0\n"
    "  for _, tag in ipairs(redis.call('HKEYS', key)) do\n"
    "    n = n + 1\n"
    "    local delivery = string.match(tag, ':(.+)$')\n"
    "    if delivery then\n"
    "      mirrored = mirrored + 1\n"
    "      if redis.call('HEXISTS', KEYS[6], delivery) == 0 then\n"
    "        missing = missing + 1\n"
    "      elseif not redis.call('ZSCORE', KEYS[7], delivery) then\n"
    "        unindexed = unindexed + 1\n"
    "      end\n"
    "    end\n"
    "    if look and not (string.find(tag, '^%d') and\n"
    "        string.find(redis.call('HGET', key, tag), '\\n', 1, true)) then\n"
    "      odd = odd + 1\n"
    "    end\n"
    "  end\n"
    "  held = held + n\n"
    "  return n\n"
    "end\n"
    "local reply, seen = {redis.call('HGETALL', KEYS[1]), 0}, {}\n"
    "local function add(boot, registered)\n"
    "  if seen[boot] then return end\n"
    "  seen[boot] = true\n"
    "  local n = look_at(boot)\n"
    "  if not registered and n == 0 then return end\n"
    "  reply[#reply + 1] = boot\n"
    "  reply[#reply + 1] = n\n"
    "  reply[#reply + 1] = registered and 1 or 0\n"
    "  reply[#reply + 1] = redis.call('EXISTS', ARGV[2] .. boot)\n"
    "end\n"
    "for _, boot in ipairs(redis.call('SMEMBERS', KEYS[2])) do add(boot, true) end\n"
    "for i = 4, #ARGV do add(ARGV[i], false) end\n"
    "local delayed, dead = redis.call('ZCARD', KEYS[3]), redis.call('LLEN', KEYS[4])\n"
    "local quarantine = redis.call('LLEN', KEYS[5])\n"
    "local fd, fl, fq = 0, 0, 0\n"
    "if look then\n"
    "  fd = foreign('ZRANGE', KEYS[3], delayed, is_delayed)\n"
    "  fl = foreign('LRANGE', KEYS[4], dead, is_letter)\n"
    "  fq = foreign('LRANGE', KEYS[5], quarantine, is_letter)\n"
    "end\n"
    "reply[2] = {tonumber(redis.call('TIME')[1]), held, delayed, dead, quarantine, odd, fd, fl, fq,\n"
    "  mirrored, missing, unindexed, redis.call('HLEN', KEYS[6])}\n"
    "return reply\n",
};

/* The numbers of its reply, by position. */
enum number {
    N_AT,
    N_HELD,
    N_DELAYED,
    N_DEAD,
    N_QUARANTINE,
    N_FOREIGN_HELD,
    N_FOREIGN_DELAYED,
    N_FOREIGN_DEAD,
    N_FOREIGN_QUARANTINE,
    N_MIRRORED,
    N_MISSING,
    N_UNINDEXED,
    N_UNACKED,
    N_COUNT
};

/* ------------------------------------------------------------------------------- identities */

#define TERMS_MAX 8

/* What came in = what went out + what is there. */
static const struct identity {
    const char *name;
    const char *in[TERMS_MAX];
    const char *out[TERMS_MAX];
    size_t there;       /* in struct audit_figures */
    const char *marker; /* a counter that a database from before it does not have; NULL: all do */
} IDENTITIES[] = {
    {"holds",
     {"taken"},
     {"done", "retried", "delayed", "requeued", "recovered", "quarantined"},
     offsetof(struct audit_figures, held),
     NULL},
    {"delayed",
     {"delayed", "retried"},
     {"due", "delayed_dropped"},
     offsetof(struct audit_figures, delayed),
     "due"},
    {"dead",
     {"dead"},
     {"dead_trimmed", "dead_retried", "dead_dropped"},
     offsetof(struct audit_figures, dead),
     "dead_trimmed"},
    {"quarantine",
     {"quarantined", "quarantine_foreign"},
     {"quarantine_trimmed", "quarantine_replayed", "quarantine_dropped"},
     offsetof(struct audit_figures, quarantine),
     "quarantine_trimmed"},
};

static void add_i64(cJSON *obj, const char *name, int64_t n)
{
    cJSON_AddNumberToObject(obj, name, (double)n);
}

static int64_t counter(const cJSON *counters, const char *name)
{
    int64_t n = 0;

    json_get_i64(counters, name, INT64_MIN, INT64_MAX, &n);
    return n;
}

/* The sum of the counters named, each of which also becomes a member of terms. */
static int64_t add_up(const cJSON *counters, const char *const names[TERMS_MAX], cJSON *terms)
{
    int64_t sum = 0;

    for (int i = 0; i < TERMS_MAX && names[i]; i++) {
        int64_t n = counter(counters, names[i]);

        add_i64(terms, names[i], n);
        sum += n;
    }
    return sum;
}

static cJSON *judge(const struct identity *id, const cJSON *counters, const struct audit_figures *f)
{
    cJSON *obj = cJSON_CreateObject(), *terms = cJSON_CreateObject();
    int64_t in = add_up(counters, id->in, terms), out = add_up(counters, id->out, terms);
    int64_t there = *(const int64_t *)(const void *)((const char *)f + id->there);

    cJSON_AddStringToObject(obj, "name", id->name);
    add_i64(obj, "in", in);
    add_i64(obj, "out", out);
    add_i64(obj, "there", there);
    if (id->marker && !json_has(counters, id->marker) && (in != 0 || out != 0 || there != 0)) {
        cJSON_AddNullToObject(obj, "difference");
    } else {
        add_i64(obj, "difference", in - out - there);
    }
    cJSON_AddItemToObject(obj, "terms", terms);
    return obj;
}

cJSON *audit_identities(const cJSON *counters, const struct audit_figures *f)
{
    cJSON *all = cJSON_CreateArray();

    for (size_t i = 0; i < ARRAY_LEN(IDENTITIES); i++) {
        cJSON_AddItemToArray(all, judge(&IDENTITIES[i], counters, f));
    }
    return all;
}

bool audit_balances(const cJSON *identities)
{
    const cJSON *one;
    int64_t n;

    cJSON_ArrayForEach(one, identities)
    {
        if (json_get_i64(one, "difference", INT64_MIN, INT64_MAX, &n) && n != 0) {
            return false;
        }
    }
    return true;
}

/* -------------------------------------------------------------------------- boots that hold */

/* Boot ids of keys that hold something; owned. */
struct boots {
    char **ids;
    size_t n;
};

static void boots_fini(struct boots *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->ids[i]);
    }
    free(b->ids);
    *b = (struct boots){0};
}

static bool add_boots(struct boots *b, const redisReply *keys)
{
    size_t more = b->n + keys->elements, prefix = strlen(KEY_HELD_PREFIX);
    char **ids;

    more = more < AUDIT_BOOTS_MAX ? more : AUDIT_BOOTS_MAX;
    ids = mem_try_resize(b->ids, more + 1, sizeof *ids);
    if (!ids) {
        return false;
    }
    b->ids = ids;
    for (size_t i = 0; i < keys->elements && b->n < more; i++) {
        const redisReply *key = keys->element[i];

        if (key->type == REDIS_REPLY_STRING && (size_t)key->len > prefix) {
            b->ids[b->n++] = mem_strndup(key->str + prefix, (size_t)key->len - prefix);
        }
    }
    return true;
}

/*
 * Every boot id under which there is something: no step may walk all keys at once, so they are
 * looked for before. What has changed since is no matter, the step looks again.
 */
static bool find_boots(redisContext *c, struct boots *b, struct err *e)
{
    char cursor[32] = "0";
    bool ok;

    do {
        redisReply *r =
            rds_command(c, e, "SCAN %s MATCH " KEY_HELD_PREFIX "* COUNT 1000 TYPE hash", cursor);

        ok = r && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
             r->element[0]->type == REDIS_REPLY_STRING && add_boots(b, r->element[1]);
        if (ok) {
            text_copy(cursor, sizeof cursor, r->element[0]->str);
        } else if (r) {
            err_set(e, ERR_RETRYABLE, "RedisError", "SCAN: unexpected answer, or out of memory");
        }
        freeReplyObject(r);
    } while (ok && strcmp(cursor, "0") != 0);
    return ok;
}

/* -------------------------------------------------------------------------------- the step */

static redisReply *ask(redisContext *c, const struct boots *b, bool look, struct err *e)
{
    static const char *const FIXED[] = {KEY_COUNTERS,      KEY_WORKERS,     KEY_DELAYED,
                                        KEY_DEAD,          KEY_QUARANTINE,  KEY_UNACKED,
                                        KEY_UNACKED_INDEX, KEY_HELD_PREFIX, KEY_WORKER_PREFIX};
    size_t n = ARRAY_LEN(FIXED) + 1 + b->n;
    const char **args = mem_try_array(n, sizeof *args);
    redisReply *r;

    if (!args) {
        err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
        return NULL;
    }
    memcpy(args, FIXED, sizeof FIXED);
    args[ARRAY_LEN(FIXED)] = look ? "1" : "0";
    for (size_t i = 0; i < b->n; i++) {
        args[ARRAY_LEN(FIXED) + 1 + i] = b->ids[i];
    }
    r = script_run(c, &LUA_AUDIT, 7, (int)n, args, NULL, e);
    free(args);
    if (r && (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || r->elements % 4 != 2 ||
              r->element[0]->type != REDIS_REPLY_ARRAY || r->element[1]->elements != N_COUNT)) {
        err_set(e, ERR_PERMANENT, "RedisError", "the audit: unexpected answer");
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static cJSON *read_counters(const redisReply *flat)
{
    cJSON *counters = cJSON_CreateObject();
    int64_t n;

    for (size_t i = 0; i + 1 < flat->elements; i += 2) {
        const redisReply *name = flat->element[i], *value = flat->element[i + 1];

        if (text_is_utf8(name->str, (size_t)name->len) &&
            text_to_i64(value->str, INT64_MIN / 1024, INT64_MAX / 1024, &n)) {
            add_i64(counters, name->str, n);
        }
    }
    return counters;
}

static int64_t number(const redisReply *r, enum number which)
{
    return r->element[1]->element[which]->integer;
}

/* The rows of the reply; returns how many messages are held for nobody. */
static int64_t add_workers(cJSON *doc, const redisReply *r)
{
    cJSON *workers = cJSON_AddArrayToObject(doc, "workers");
    int64_t stranded = 0;

    for (size_t i = 2; i + 3 < r->elements; i += 4) {
        const redisReply *boot = r->element[i];
        cJSON *one = cJSON_CreateObject();
        bool registered = r->element[i + 2]->integer == 1;

        cJSON_AddStringToObject(
            one, "boot", text_is_utf8(boot->str, (size_t)boot->len) ? boot->str : "(not UTF-8)");
        add_i64(one, "held", r->element[i + 1]->integer);
        cJSON_AddBoolToObject(one, "registered", registered);
        cJSON_AddBoolToObject(one, "alive", r->element[i + 3]->integer == 1);
        cJSON_AddItemToArray(workers, one);
        stranded += registered ? 0 : r->element[i + 1]->integer;
    }
    return stranded;
}

static void add_numbers(cJSON *doc, const redisReply *r, int64_t stranded)
{
    int64_t ours = number(r, N_MIRRORED) - number(r, N_MISSING);
    const struct {
        const char *object, *name;
        int64_t n;
    } MEMBERS[] = {
        {"held", "total", number(r, N_HELD)},
        {"held", "stranded", stranded},
        {"held", "mirrored", number(r, N_MIRRORED)},
        {"held", "mirror_missing", number(r, N_MISSING)},
        {"held", "unindexed", number(r, N_UNINDEXED)},
        {"unacked", "entries", number(r, N_UNACKED)},
        {"unacked", "ours", ours},
        {"unacked", "others", number(r, N_UNACKED) - ours},
        {"foreign", "held", number(r, N_FOREIGN_HELD)},
        {"foreign", "delayed", number(r, N_FOREIGN_DELAYED)},
        {"foreign", "dead", number(r, N_FOREIGN_DEAD)},
        {"foreign", "quarantine", number(r, N_FOREIGN_QUARANTINE)},
    };

    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
        cJSON *obj = json_get_obj(doc, MEMBERS[i].object);

        obj = obj ? obj : cJSON_AddObjectToObject(doc, MEMBERS[i].object);
        add_i64(obj, MEMBERS[i].name, MEMBERS[i].n);
    }
}

/* *balanced: the sums are right. */
static cJSON *make_document(const redisReply *r, bool *balanced)
{
    struct audit_figures f = {
        .held = number(r, N_HELD) - number(r, N_FOREIGN_HELD),
        .delayed = number(r, N_DELAYED) - number(r, N_FOREIGN_DELAYED),
        .dead = number(r, N_DEAD) - number(r, N_FOREIGN_DEAD),
        .quarantine = number(r, N_QUARANTINE) - number(r, N_FOREIGN_QUARANTINE),
    };
    cJSON *doc = cJSON_CreateObject(), *counters = read_counters(r->element[0]);
    cJSON *identities = audit_identities(counters, &f);
    int64_t stranded;

    add_i64(doc, "at", number(r, N_AT));
    *balanced = audit_balances(identities);
    cJSON_AddItemToObject(doc, "identities", identities);
    stranded = add_workers(doc, r);
    add_numbers(doc, r, stranded);
    add_i64(doc, "redis_lost", counter(counters, "redis_lost"));
    cJSON_AddBoolToObject(doc, "ok", *balanced && stranded == 0);
    cJSON_Delete(counters);
    return doc;
}

cJSON *audit_run(redisContext *c, bool thorough, struct err *e)
{
    struct boots b = {0};
    bool balanced = false;
    cJSON *doc = NULL;

    for (int look = 0; look <= 1 && !balanced; look++) {
        redisReply *r;

        boots_fini(&b);
        cJSON_Delete(doc);
        doc = NULL;
        r = (look == 0 && !thorough) || find_boots(c, &b, e) ? ask(c, &b, look == 1, e) : NULL;
        if (!r) {
            break;
        }
        doc = make_document(r, &balanced);
        freeReplyObject(r);
    }
    boots_fini(&b);
    return doc;
}
