#include "api/loader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "api/details_keep.h"
#include "api/figures.h"
#include "api/image_file.h"
#include "api/image_load.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/schema.h"

#define SUBSCRIBERS_MAX      64
#define BACKOFF_MIN_MS       100
#define BACKOFF_MAX_MS       5000
#define FIRST_LOOK_S         10
#define FIRST_LOOK_STORED_S  1
#define RETIRE_WAIT_MS       10
#define RETIRE_TRIES         100
#define STOP_WAIT_MS         2000
#define LEGIONS_PAUSE_MS     500
#define LEGIONS_PAUSE_FACTOR 10
#define LOADER_NICE          10 /* serving comes first while a generation is read */

struct loader {
    const struct api_settings *settings;
    pthread_t thread;
    bool joined;
    int stop_fd; /* readable once the thread shall end */
    int fds[SUBSCRIBERS_MAX];
    size_t fd_count;
    atomic_int state; /* enum loader_state */
    atomic_bool confirmed;
    struct details *details;
    struct details_feed *feed; /* loader thread only, as the next one */
    struct details_keep keep;
    uint64_t legion_changes; /* what the table of legions knows of; loader thread only */
    int64_t legions_at_ms;   /* not to be summed up before; the same */
    unsigned failures;       /* in a row; loader thread only */
    unsigned rand_seed;      /* loader thread only */

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t first_look;
    bool looked;
    struct image *image;          /* one reference, or NULL */
    struct image *older;          /* the same */
    struct complete *complete;    /* the same */
    struct legion_table *legions; /* the same */
};

enum loader_state loader_state(const struct loader *l)
{
    return (enum loader_state)atomic_load(&l->state);
}

struct details *loader_details(struct loader *l)
{
    return l->details;
}

bool loader_confirmed(const struct loader *l)
{
    return atomic_load(&l->confirmed);
}

struct image *loader_image(struct loader *l)
{
    struct image *img;

    pthread_mutex_lock(&l->lock);
    img = l->image ? image_ref(l->image) : NULL;
    pthread_mutex_unlock(&l->lock);
    return img;
}

struct image *loader_older(struct loader *l, int64_t run_id)
{
    struct image *img = NULL;

    pthread_mutex_lock(&l->lock);
    if (l->older && l->older->head->run_id == run_id) {
        img = image_ref(l->older);
    }
    pthread_mutex_unlock(&l->lock);
    return img;
}

struct complete *loader_complete(struct loader *l)
{
    struct complete *c;

    pthread_mutex_lock(&l->lock);
    c = l->complete ? complete_ref(l->complete) : NULL;
    pthread_mutex_unlock(&l->lock);
    return c;
}

struct legion_table *loader_legions(struct loader *l)
{
    struct legion_table *t;

    pthread_mutex_lock(&l->lock);
    t = l->legions ? legion_table_ref(l->legions) : NULL;
    pthread_mutex_unlock(&l->lock);
    return t;
}

/* Takes over the reference; t may be NULL. */
static void keep_legions(struct loader *l, struct legion_table *t)
{
    struct legion_table *before;

    pthread_mutex_lock(&l->lock);
    before = l->legions;
    l->legions = t;
    pthread_mutex_unlock(&l->lock);
    legion_table_unref(before);
}

/* Old sums are served until the new ones are there, at most a tenth of the time goes into them. */
static void build_legions(struct loader *l, struct image *img)
{
    int64_t began_ms = clock_mono_ms();
    struct legion_table *t;

    l->legion_changes = details_legion_changes(l->details);
    t = legion_table_build(img, l->details);
    if (t) {
        keep_legions(l, t);
    } else {
        log_warn("ranking.legions", "error=\"out of memory\"");
    }
    l->legions_at_ms =
        clock_mono_ms() + LEGIONS_PAUSE_MS + LEGIONS_PAUSE_FACTOR * (clock_mono_ms() - began_ms);
}

/* Returns after how many milliseconds there may be something to do. */
static int build_legions_if_changed(struct loader *l)
{
    int64_t left_ms = l->legions_at_ms - clock_mono_ms();

    if (!l->image || details_legion_changes(l->details) == l->legion_changes) {
        return LOADER_LOOK_MS;
    }
    if (left_ms > 0) {
        return left_ms < LOADER_LOOK_MS ? (int)left_ms : LOADER_LOOK_MS;
    }
    build_legions(l, l->image);
    return LOADER_LOOK_MS;
}

/* Takes over the reference; c may be NULL. */
static void keep_complete(struct loader *l, struct complete *c)
{
    struct complete *before;

    pthread_mutex_lock(&l->lock);
    before = l->complete;
    l->complete = c;
    pthread_mutex_unlock(&l->lock);
    complete_unref(before);
}

/* Names can be looked for a moment after the board is served; until then those of the one before.
 */
static void build_complete(struct loader *l, struct image *img)
{
    int64_t started_ms = clock_mono_ms();
    struct complete *c = complete_build(img, l->complete); /* only this thread changes it */

    if (!c) {
        log_warn("ranking.complete", "error=\"out of memory\"");
        return;
    }
    keep_complete(l, c);
    log_debug("ranking.complete", "run=%" PRId64 " ms=%" PRId64, img->head->run_id,
              clock_mono_ms() - started_ms);
}

/* Of the stored image, once there is time for it. */
static void complete_if_missing(struct loader *l)
{
    if (l->image && !l->complete) {
        build_complete(l, l->image);
    }
}

/* Takes over the reference, lets go of what was there. img may be NULL. */
static void keep_older(struct loader *l, struct image *img)
{
    struct image *before;

    pthread_mutex_lock(&l->lock);
    before = l->older;
    l->older = img;
    pthread_mutex_unlock(&l->lock);
    image_unref(before);
}

/* Before a generation is read: no more than two are in memory at a time. */
static void make_room(void *loader)
{
    keep_older(loader, NULL);
}

void loader_subscribe(struct loader *l, int eventfd)
{
    pthread_mutex_lock(&l->lock);
    MUST(l->fd_count < SUBSCRIBERS_MAX);
    l->fds[l->fd_count++] = eventfd;
    pthread_mutex_unlock(&l->lock);
}

/* Takes over the reference; img may be NULL. Returns that of the image before, or NULL. */
static struct image *publish(struct loader *l, struct image *img)
{
    struct image *old;
    const uint64_t one = 1;

    pthread_mutex_lock(&l->lock);
    old = l->image;
    l->image = img;
    for (size_t i = 0; i < l->fd_count; i++) {
        if (write(l->fds[i], &one, sizeof one) < 0) {
            log_warn("loader.wake", "error=%s", LOGQ(strerror(errno)));
        }
    }
    pthread_mutex_unlock(&l->lock);
    return old;
}

static void set_state(struct loader *l, enum loader_state state)
{
    static const char *const NAMES[] = {"unknown", "empty", "live", "detached"};

    if (state == LOADER_LIVE) {
        atomic_store(&l->confirmed, true);
    }
    if (atomic_exchange(&l->state, (int)state) != (int)state) {
        log_info("ranking.state", "state=%s", NAMES[state]);
    }
}

static void mark_looked(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->looked = true;
    pthread_cond_broadcast(&l->first_look);
    pthread_mutex_unlock(&l->lock);
}

void loader_wait_first(struct loader *l)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&l->lock);
    until.tv_sec += l->image ? FIRST_LOOK_STORED_S : FIRST_LOOK_S;
    while (!l->looked && pthread_cond_timedwait(&l->first_look, &l->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&l->lock);
}

/* Waits for the connection's socket (NULL: none), for the stop or for the time. True: stop. */
static bool wait_or_stop(struct loader *l, PGconn *pg, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = l->stop_fd, .events = POLLIN},
                            {.fd = pg ? PQsocket(pg) : -1, .events = POLLIN}};

    if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) {
        log_error("loader.poll", "error=%s", LOGQ(strerror(errno)));
    }
    return fds[0].revents != 0;
}

static int backoff_ms(struct loader *l)
{
    unsigned shift = l->failures < 8 ? l->failures : 8;
    int ms = BACKOFF_MIN_MS << shift;

    ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    /* Half of it at random, so that many processes do not come back at the same moment. */
    return ms / 2 + rand_r(&l->rand_seed) % (ms / 2);
}

static void store(struct loader *l, const struct image *img)
{
    struct err e;

    if (*l->settings->state_dir && !image_file_store(l->settings->state_dir, img, &e)) {
        log_warn("ranking.store", "dir=%s error=%s", LOGQ(l->settings->state_dir), LOGQ(e.text));
    }
}

/*
 * Gives an image up once the loops have: giving 80 MB back takes milliseconds, in which a loop
 * would answer nobody.
 */
static void retire(struct loader *l, struct image *old)
{
    for (int i = 0; old && atomic_load(&old->refs) > 1 && i < RETIRE_TRIES; i++) {
        if (wait_or_stop(l, NULL, RETIRE_WAIT_MS)) {
            break;
        }
    }
    image_unref(old);
}

static void take_new(struct loader *l, struct image *img, int64_t started_ms)
{
    struct image *old;

    /* The thread holds its own reference while it writes; the loops have theirs. */
    image_ref(img);
    old = publish(l, img);
    log_info("ranking.loaded", "run=%" PRId64 " entries=%u bytes=%zu ms=%" PRId64,
             img->head->run_id, img->head->entries, img->block_bytes, clock_mono_ms() - started_ms);
    figures_image_loaded((clock_mono_ms() - started_ms) * 1000);
    set_state(l, LOADER_LIVE);
    mark_looked(l);
    build_complete(l, img); /* both let go of the image before */
    build_legions(l, img);
    if (old && atomic_load(&old->walked)) {
        keep_older(l, old);
    } else {
        retire(l, old);
    }
    store(l, img);
    details_keep_mark(&l->keep);
    image_unref(img);
}

/* One look at ranking_state. False: it failed, and how is logged. */
static bool look(struct loader *l, PGconn *pg)
{
    int64_t started_ms = clock_mono_ms();
    struct image *fresh = NULL;
    struct err e = {0};

    /* Only this thread changes l->image, so it may be read without the lock here. */
    switch (image_load(pg, &(struct image_want){l->image, make_room, l}, &fresh, &e)) {
    case IMAGE_LOAD_FAILED:
        log_warn("ranking.load", "error=%s", LOGQ(e.text));
        figures_image_failed();
        return false;
    case IMAGE_LOAD_EMPTY:
        if (l->image) {
            keep_complete(l, NULL);
            keep_legions(l, NULL);
            retire(l, publish(l, NULL));
        }
        set_state(l, LOADER_EMPTY);
        return true;
    case IMAGE_LOAD_SAME:
        set_state(l, LOADER_LIVE);
        return true;
    case IMAGE_LOAD_NEW:
        take_new(l, fresh, started_ms);
        return true;
    }
    MUST(!"a known result");
}

enum news { NEWS_NONE = 0, NEWS_RANKING = 1, NEWS_CHARACTERS = 2 };

/* What was told since the last time; enum news, combined. */
static unsigned take_notifications(struct loader *l, PGconn *pg)
{
    unsigned news = NEWS_NONE;
    PGnotify *n;

    while ((n = PQnotifies(pg))) {
        if (strcmp(n->relname, DETAILS_CHANNEL) == 0) {
            details_feed_notify(l->feed, n->extra);
            news |= NEWS_CHARACTERS;
        } else {
            news |= NEWS_RANKING;
        }
        PQfreemem(n);
    }
    return news;
}

static void begin_to_follow(struct loader *l, PGconn *pg)
{
    struct err e;

    if (!pg_run(pg, "LISTEN " SCHEMA_NOTIFY_CHANNEL, &e)) {
        /* A standby cannot; the regular look does then. */
        log_warn("loader.listen", "error=%s", LOGQ(e.text));
    }
    if (!schema_check(pg, &e)) {
        /* Only said: during an upgrade the schema is newer than the services, and that works. */
        log_warn("loader.schema", "error=%s", LOGQ(e.text));
    }
    details_feed_connect(l->feed, pg);
}

/* Returns after how many milliseconds the next look is due. */
static int look_once(struct loader *l, PGconn *pg)
{
    bool ok = look(l, pg);

    mark_looked(l);
    complete_if_missing(l);
    l->failures = ok ? 0 : l->failures + 1;
    if (!ok) {
        set_state(l, LOADER_DETACHED);
    }
    return ok ? LOADER_LOOK_MS : backoff_ms(l);
}

/* Follows PostgreSQL over one connection until it breaks. True: stop. */
static bool follow(struct loader *l, PGconn *pg)
{
    int64_t look_at_ms = 0;

    begin_to_follow(l, pg);
    for (;;) {
        int64_t now_ms = clock_mono_ms();
        unsigned news;
        int wait_ms, legions_ms;

        if (now_ms >= look_at_ms) {
            look_at_ms = now_ms + look_once(l, pg);
        }
        wait_ms = details_feed_step(l->feed, pg);
        if (wait_ms > 0) {
            details_keep_store(&l->keep);
        }
        legions_ms = build_legions_if_changed(l);
        wait_ms = legions_ms < wait_ms ? legions_ms : wait_ms;
        if (PQstatus(pg) != CONNECTION_OK) {
            return false;
        }
        news = take_notifications(l, pg);
        if (look_at_ms - clock_mono_ms() < wait_ms) {
            wait_ms = (int)(look_at_ms - clock_mono_ms());
        }
        if (wait_or_stop(l, pg, news || wait_ms < 0 ? 0 : wait_ms)) {
            return true;
        }
        if (!PQconsumeInput(pg)) {
            return false;
        }
        news |= take_notifications(l, pg);
        if ((news & NEWS_RANKING) && l->failures == 0) {
            look_at_ms = 0;
        }
    }
}

static void *run(void *arg)
{
    struct loader *l = arg;
    bool stop = false;

    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOADER_NICE) < 0) {
        log_warn("loader.priority", "error=%s", LOGQ(strerror(errno)));
    }
    while (!stop) {
        struct err e;
        PGconn *pg = pg_connect(l->settings->database_url, "aion2-api loader", &e);

        if (pg) {
            stop = follow(l, pg);
            details_feed_lost(l->feed);
            PQfinish(pg);
        } else {
            log_warn("loader.connect", "error=%s", LOGQ(e.text));
            l->failures++;
        }
        if (!stop) {
            set_state(l, LOADER_DETACHED);
            details_keep_load(&l->keep);
            build_legions_if_changed(l);
            mark_looked(l);
            complete_if_missing(l);
            stop = wait_or_stop(l, NULL, backoff_ms(l));
        }
    }
    return NULL;
}

static struct image *load_stored(const struct api_settings *s)
{
    struct image *img;
    struct err e;

    if (!*s->state_dir) {
        return NULL;
    }
    img = image_file_load(s->state_dir, &e);
    if (img) {
        log_info("ranking.stored", "run=%" PRId64 " entries=%u", img->head->run_id,
                 img->head->entries);
    } else if (e.cls != ERR_NONE) {
        log_warn("ranking.stored", "refused=%s", LOGQ(e.text));
    }
    return img;
}

struct loader *loader_start(const struct api_settings *s)
{
    struct loader *l = mem_alloc(sizeof *l);
    pthread_condattr_t monotonic;

    l->settings = s;
    l->details = details_new();
    l->feed = details_feed_new(l->details);
    details_keep_init(&l->keep, s->state_dir, l->details, l->feed);
    l->rand_seed = (unsigned)clock_mono_us() ^ (unsigned)getpid();
    l->image = load_stored(s);
    atomic_init(&l->state, LOADER_UNKNOWN);
    atomic_init(&l->confirmed, false);
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(l->stop_fd >= 0);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->first_look, &monotonic);
    pthread_condattr_destroy(&monotonic);
    MUST(pthread_create(&l->thread, NULL, run, l) == 0);
    return l;
}

void loader_stop(struct loader *l)
{
    const uint64_t one = 1;
    struct timespec until;

    pthread_mutex_lock(&l->lock);
    l->fd_count = 0;
    pthread_mutex_unlock(&l->lock);
    if (write(l->stop_fd, &one, sizeof one) < 0) {
        log_warn("loader.stop", "error=%s", LOGQ(strerror(errno)));
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_WAIT_MS / 1000;
    l->joined = pthread_timedjoin_np(l->thread, NULL, &until) == 0;
}

void loader_free(struct loader *l)
{
    if (!l->joined) {
        return; /* in a blocking call of libpq; the process ends now */
    }
    image_unref(l->image);
    image_unref(l->older);
    complete_unref(l->complete);
    legion_table_unref(l->legions);
    details_feed_free(l->feed);
    details_free(l->details);
    close(l->stop_fd);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->first_look);
    free(l);
}
