#ifndef API_LOADER_H
#define API_LOADER_H

#include "api/complete.h"
#include "api/details.h"
#include "api/image.h"
#include "api/legion_table.h"
#include "api/settings.h"

/*
 * The loader: one thread that may block. It maps the stored image, then follows PostgreSQL: LISTEN,
 * and a look every LOADER_LOOK_MS because a notification can be missed. A new generation is built
 * beside the old one, published to the loops and stored in STATE_DIR. Between that it reads the
 * details of the characters, a slice at a time.
 */
#define LOADER_LOOK_MS 2000

struct loader;

/* What is known about the ranking; read together with the image. */
enum loader_state {
    LOADER_UNKNOWN,  /* PostgreSQL was not reached yet */
    LOADER_EMPTY,    /* PostgreSQL says: nothing was ever published */
    LOADER_LIVE,     /* the image is the live generation, as far as the last look says */
    LOADER_DETACHED, /* PostgreSQL cannot be reached, or the live generation cannot be loaded */
};

/* Never fails: without PostgreSQL and without a stored image it waits for either. */
struct loader *loader_start(const struct api_settings *s);
/*
 * Waits until the first look at PostgreSQL has succeeded or failed: long when there is nothing to
 * serve before, shortly when there is a stored image.
 */
void loader_wait_first(struct loader *l);
/* Ends the thread; no loop is woken any more. loader_image() and loader_state() go on working. */
void loader_stop(struct loader *l);
/* After loader_stop() and after the loops. A thread that is still busy keeps what it uses. */
void loader_free(struct loader *l);

/* Each publication adds 1 to this eventfd (borrowed). Call before the loops start. */
void loader_subscribe(struct loader *l, int eventfd);
/* The image now, with a reference for the caller, or NULL. From any thread. */
struct image *loader_image(struct loader *l);
/*
 * The image before that one, when it is of this run, with a reference, or NULL. It is kept only
 * when somebody walked over it, and until the next one begins to be read.
 */
struct image *loader_older(struct loader *l, int64_t run_id);
/* Completion over the image now (or shortly ago), with a reference, or NULL. */
struct complete *loader_complete(struct loader *l);
/* What is known of every character beside its place; lives as long as the loader. */
struct details *loader_details(struct loader *l);
/* The legions over the image now (or shortly ago), with a reference, or NULL. */
struct legion_table *loader_legions(struct loader *l);
enum loader_state loader_state(const struct loader *l);
/* PostgreSQL has said of this image that it is the live generation; not yet: it is the stored one.
 */
bool loader_confirmed(const struct loader *l);

#endif
