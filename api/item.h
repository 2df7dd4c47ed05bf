#ifndef API_ITEM_H
#define API_ITEM_H

#include "api/image.h"
#include "common/buf.h"

/* One place of a board, as every answer shows it. */
struct item {
    const struct image *img;
    const struct image_row *row;
    uint32_t rank;
    uint32_t before; /* rank on this board in the generation before, 0: none, or not kept */
};

/* The row at place i (from 0) of a list of this board. */
struct item item_at(const struct image *img, struct image_board board,
                    const struct image_list *list, uint32_t i);
/* {"rank":1,"name":...} */
void item_add_json(struct buf *b, const struct item *it);
/* A line with its end; texts quoted where they need it. */
void item_add_csv(struct buf *b, const struct item *it);
extern const char ITEM_CSV_HEAD[];

/* A text of the image, which is kept as it stands inside a JSON string; with the quotes. */
void item_add_text(struct buf *b, const struct image *img, const struct image_name *name);

#endif
