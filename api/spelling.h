#ifndef API_SPELLING_H
#define API_SPELLING_H

#include "api/request.h"

/*
 * A server has several names (common/realm.h), and what is stored may have any of them. Whoever is
 * asked about one looks under the name that was given, then under the others.
 */
#define SPELLINGS_MAX 4

/* The given name first; the rest NULL where there are no more. Returns how many. */
int spelling_list(const struct request *rq, const char *server, const char *out[SPELLINGS_MAX]);
/* Number of the server in an image, below 0: none. */
int spelling_find_server(const struct request *rq, const struct image *img, const char *server);
/*
 * The character's row in the loop's image; NULL: none, or no image. *stored (may be NULL): the name
 * of the server that it was found under, `server` itself or a static text.
 */
const struct image_row *spelling_find_person(const struct request *rq, const char *server,
                                             const char *name, const char **stored);

#endif
