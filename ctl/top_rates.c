#include <string.h>

#include "ctl/top.h"

static const char *const COUNTED[] = {"taken", "done", "retried", "dead"};

static void add_counters(cJSON *rates, const cJSON *doc, const cJSON *earlier, double seconds)
{
    const cJSON *now = json_get_obj(doc, "counters"), *then = json_get_obj(earlier, "counters");

    for (size_t i = 0; i < ARRAY_LEN(COUNTED); i++) {
        int64_t a = 0, b = 0;

        json_get_i64(then, COUNTED[i], 0, INT64_MAX, &a);
        json_get_i64(now, COUNTED[i], 0, INT64_MAX, &b);
        if (now && then && b >= a) {
            cJSON_AddNumberToObject(rates, COUNTED[i], (double)(b - a) / seconds);
        }
    }
}

static const cJSON *queue_named(const cJSON *doc, const char *name)
{
    const cJSON *queue;

    cJSON_ArrayForEach(queue, json_get_arr(doc, "queues"))
    {
        const char *own = json_get_str(queue, "name");

        if (own && strcmp(own, name) == 0) {
            return queue;
        }
    }
    return NULL;
}

static void add_changes(cJSON *doc, const cJSON *earlier, double seconds)
{
    cJSON *queue;

    cJSON_ArrayForEach(queue, json_get_arr(doc, "queues"))
    {
        const char *name = json_get_str(queue, "name");
        int64_t a, b;

        if (name && json_get_i64(queue, "ready", 0, INT64_MAX, &b) &&
            json_get_i64(queue_named(earlier, name), "ready", 0, INT64_MAX, &a)) {
            cJSON_AddNumberToObject(queue, "change", (double)(b - a) / seconds);
        }
    }
}

void top_add_rates(cJSON *doc, const cJSON *earlier, double seconds)
{
    cJSON *rates;

    if (!earlier || seconds <= 0) {
        return;
    }
    rates = cJSON_AddObjectToObject(doc, "rates");
    cJSON_AddNumberToObject(rates, "over_s", seconds);
    add_counters(rates, doc, earlier, seconds);
    add_changes(doc, earlier, seconds);
}
