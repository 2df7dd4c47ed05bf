#ifndef API_PAGE_TEXT_H
#define API_PAGE_TEXT_H

#include "common/base.h"

/*
 * What the server itself writes on a page, in each language: the frame, titles, descriptions. What
 * the scripts write is in web/pages/texts.js.
 */
enum page_lang { PAGE_KO, PAGE_EN, PAGE_LANGS };
extern const char *const PAGE_LANG_NAMES[PAGE_LANGS]; /* "ko", "en" */

/* NULL: there is no such text. */
const char *page_text(enum page_lang lang, const char *key, size_t len);

#endif
