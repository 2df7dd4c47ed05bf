#include "api/details_keep.h"

#include "api/details_file.h"
#include "common/clock.h"
#include "common/log.h"

void details_keep_init(struct details_keep *k, const char *dir, struct details *store,
                       const struct details_feed *feed)
{
    *k = (struct details_keep){.dir = dir, .store = store, .feed = feed, .is_due = true};
}

void details_keep_mark(struct details_keep *k)
{
    k->is_due = true;
}

void details_keep_store(struct details_keep *k)
{
    uint64_t changes = details_changes(k->store);
    int64_t started_ms = clock_mono_ms();
    struct err e;

    /* A file of half of them would take the place of one of all. */
    if (!*k->dir || !k->is_due || !details_feed_is_complete(k->feed)) {
        return;
    }
    k->is_due = false;
    if (changes == k->stored) {
        return;
    }
    if (!details_file_store(k->dir, k->store, &e)) {
        log_warn("details.store", "dir=%s error=%s", LOGQ(k->dir), LOGQ(e.text));
        return;
    }
    k->stored = changes;
    log_info("details.stored", "characters=%u ms=%" PRId64, details_count(k->store),
             clock_mono_ms() - started_ms);
}

void details_keep_load(struct details_keep *k)
{
    struct err e;

    if (!*k->dir || k->was_read || details_feed_is_complete(k->feed)) {
        return;
    }
    k->was_read = true;
    if (details_file_load(k->dir, k->store, &e)) {
        log_info("details.read_back", "characters=%u", details_count(k->store));
    } else if (e.cls != ERR_NONE) {
        log_warn("details.read_back", "refused=%s", LOGQ(e.text));
    }
}
