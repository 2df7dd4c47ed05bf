#ifndef API_IMAGE_FILE_H
#define API_IMAGE_FILE_H

#include "api/image.h"

/*
 * The stored image, <dir>/ranking.img. It is written aside, synced and renamed, so the file is the
 * old one or the new one whenever the machine stops. Several processes may share a folder.
 */
#define IMAGE_FILE_NAME "ranking.img"

/* False and *e when it could not be stored; what was stored before is untouched then. */
bool image_file_store(const char *dir, const struct image *img, struct err *e) MUST_CHECK;

/*
 * The stored image, mapped read-only and checked, with one reference. NULL: *e says why;
 * e->cls is ERR_NONE when there is none.
 */
struct image *image_file_load(const char *dir, struct err *e) MUST_CHECK;

#endif
