/* Titles and descriptions of pages, with figures of the image: what a link shows elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/html.h"
#include "api/page.h"
#include "api/spelling.h"
#include "common/json.h"
#include "common/realm.h"

#define NAMES_REGION "kr" /* whose local names Korean readers are shown */

/* Values by name, for the {{names}} of a text. */
struct figure {
    const char *name;
    const char *text;
};
struct figures {
    const struct figure *at;
    size_t count;
};

static const char *value_of(const void *arg, const char *name, size_t len)
{
    const struct figures *f = arg;

    for (size_t i = 0; i < f->count; i++) {
        if (strlen(f->at[i].name) == len && memcmp(f->at[i].name, name, len) == 0) {
            return f->at[i].text;
        }
    }
    return NULL;
}

static void set(struct buf *b, enum page_lang lang, const char *key, const struct figures *f)
{
    const char *text = page_text(lang, key, strlen(key));

    MUST(text);
    buf_reset(b);
    html_fill(b, text, value_of, f);
}

void page_preview_fill(struct page_preview *p, UNUSED const struct request *rq, const char *page,
                       enum page_lang lang)
{
    static const struct {
        const char *suffix;
        size_t offset;
    } PARTS[] = {
        {"title", offsetof(struct page_preview, title)},
        {"heading", offsetof(struct page_preview, heading)},
        {"description", offsetof(struct page_preview, description)},
    };
    const struct figures none = {NULL, 0};
    char key[64];

    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        snprintf(key, sizeof key, "%s_%s", page, PARTS[i].suffix);
        set((struct buf *)(void *)((char *)p + PARTS[i].offset), lang, key, &none);
    }
}

/* ---- figures ---- */

#define NUMBER_SIZE 32

/* 1,234,567 */
static const char *grouped(int64_t v, char out[NUMBER_SIZE])
{
    char digits[NUMBER_SIZE];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRId64, v < 0 ? 0 : v), n = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[n++] = ',';
        }
        out[n++] = digits[i];
    }
    out[n] = '\0';
    return out;
}

/* The name that readers of the language know the server by. */
static const char *server_name(enum page_lang lang, const char *server)
{
    const struct realm *r = lang == PAGE_KO ? realm_find(NAMES_REGION, server) : NULL;

    return r ? r->local_name : server;
}

/* A text of the image, which keeps it as it stands in JSON; free() it. "" when memory is out. */
static char *image_text(const struct image *img, const struct image_name *name)
{
    char quoted[IMAGE_TEXT_MAX + 3];
    int len = snprintf(quoted, sizeof quoted, "\"%.*s\"", (int)name->text_len,
                       img->text + name->text_off);
    struct err e;
    cJSON *v = json_parse(quoted, (size_t)len, &e);
    char *text = strdup(v && cJSON_IsString(v) ? v->valuestring : "");

    cJSON_Delete(v);
    MUST(text);
    return text;
}

/* ---- a server's board ---- */

void page_preview_server(struct page_preview *p, const struct request *rq, enum page_lang lang,
                         const char *server)
{
    const struct image *img = rq->loop->image;
    int found = img ? spelling_find_server(rq, img, server) : -1;
    char count[NUMBER_SIZE], top[NUMBER_SIZE];
    struct image_list list;

    if (found < 0) {
        return;
    }
    list = image_list_of(img, (struct image_board){found, IMAGE_ANY});
    const struct figure at[] = {
        {"server", server_name(lang, server)},
        {"count", grouped(list.count, count)},
        {"top_score", grouped(image_list_row(&list, 0)->power_score, top)},
    };
    const struct figures f = {at, ARRAY_LEN(at)};

    set(&p->title, lang, "server_title", &f);
    set(&p->description, lang, "server_description", &f);
}

/* ---- a character ---- */

static void set_person(struct page_preview *p, const struct image *img, enum page_lang lang,
                       const struct image_row *row, const char *const server_and_name[2])
{
    struct image_list list = image_list_of(img, (struct image_board){row->server, IMAGE_ANY});
    uint64_t top_c = ((uint64_t)row->server_rank * 10000 + list.count - 1) / list.count;
    char score[NUMBER_SIZE], rank[NUMBER_SIZE], server_rank[NUMBER_SIZE], of[NUMBER_SIZE];
    char *cls = image_text(img, &img->classes[row->cls]);
    char top[NUMBER_SIZE], level[NUMBER_SIZE], tier[3];

    snprintf(top, sizeof top, "%" PRIu64 ".%02" PRIu64, top_c / 100, top_c % 100);
    snprintf(level, sizeof level, "%" PRId32, row->level);
    snprintf(tier, sizeof tier, "%.2s", row->tier);
    const struct figure at[] = {
        {"server", server_name(lang, server_and_name[0])},
        {"name", server_and_name[1]},
        {"tier", tier},
        {"score", grouped(row->power_score, score)},
        {"rank", grouped(row - img->rows + 1, rank)},
        {"server_rank", grouped(row->server_rank, server_rank)},
        {"server_of", grouped(list.count, of)},
        {"top", top},
        {"class", cls},
        {"level", level},
    };
    const struct figures f = {at, ARRAY_LEN(at)};

    set(&p->title, lang, "person_title", &f);
    set(&p->description, lang, "person_description", &f);
    free(cls);
}

void page_preview_person(struct page_preview *p, const struct request *rq, enum page_lang lang,
                         const char *server, const char *name)
{
    const struct image *img = rq->loop->image;
    const struct image_row *row = spelling_find_person(rq, server, name, NULL);
    const struct figure at[] = {{"server", server_name(lang, server)}, {"name", name}};
    const struct figures f = {at, ARRAY_LEN(at)};

    buf_reset(&p->heading);
    buf_addstr(&p->heading, name);
    if (row) {
        set_person(p, img, lang, row, (const char *const[]){server, name});
    } else {
        set(&p->title, lang, "person_unknown_title", &f);
    }
}

/* ---- characters side by side ---- */

void page_preview_versus(struct page_preview *p, enum page_lang lang, const char *a, const char *b)
{
    const char *a_name = strchr(a, ':'), *b_name = strchr(b, ':');
    const struct figure at[] = {{"a", a_name ? a_name + 1 : a}, {"b", b_name ? b_name + 1 : b}};
    const struct figures f = {at, ARRAY_LEN(at)};

    set(&p->title, lang, "versus_title", &f);
}
