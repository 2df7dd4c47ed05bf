#ifndef API_COMPLETE_H
#define API_COMPLETE_H

#include "api/image.h"

/*
 * Names that begin with what somebody types, the best placed first: an index beside an image, made
 * after the image is served already. Looks for names by letters in any case and, where a Korean
 * consonant stands alone, by initials.
 */
#define COMPLETE_MAX 20

struct complete;

/*
 * Takes a reference to the image. from: the index of an image before, or NULL; only names that are
 * not in it are sorted, which takes milliseconds in place of seconds. NULL when memory is out.
 */
struct complete *complete_build(struct image *img, const struct complete *from) MUST_CHECK;
struct complete *complete_ref(struct complete *c);
void complete_unref(struct complete *c); /* NULL is fine */
/* Whose rows it finds. */
const struct image *complete_image(const struct complete *c);

/*
 * The best placed rows (at most max) of a server, or IMAGE_ANY, whose name begins with typed, as
 * the image keeps names (escaped). Returns how many. Its cost does not depend on how many match.
 */
uint32_t complete_find(const struct complete *c, int server, const char *typed, size_t len,
                       const struct image_row **rows, uint32_t max);

#endif
