#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/page_text.h"
#include "api/request.h"

/*
 * The players' pages. The server sends a frame (web/shell.html) in the reader's language with
 * title, description and what other sites show of a link; scripts fill it from the public api.
 */

/* What is read of a page's address: the order of the values in the route table. */
enum page_value { PAGE_LANG, PAGE_SERVER, PAGE_NAME, PAGE_A, PAGE_B, PAGE_VALUES };

/* What a link to the page shows; texts are raw, they are escaped when the frame is filled. */
struct page_preview {
    struct buf title, description;
    struct buf heading;
};

/* Nobody answers at this path: a page for browsers, else a problem document. path may be NULL. */
void page_missing(const struct request *rq, const char *path);

/* The texts of a page; p is empty and its buffers are the caller's to free (page_preview.c). */
void page_preview_fill(struct page_preview *p, const struct request *rq, const char *page,
                       enum page_lang lang);
/* The better ones that the image allows for; without it the texts stay. */
void page_preview_server(struct page_preview *p, const struct request *rq, enum page_lang lang,
                         const char *server);
void page_preview_person(struct page_preview *p, const struct request *rq, enum page_lang lang,
                         const char *server, const char *name);
void page_preview_versus(struct page_preview *p, enum page_lang lang, const char *a, const char *b);

#endif
