/* The image: building, lookups, storing, and that nothing broken is accepted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/image_build.h"
#include "api/image_file.h"
#include "api/image_load.h"
#include "common/entry.h"

#define SCORED_US INT64_C(1767217636898687)

/* Rank, server, rank there, name; the other fields follow from the rank. */
struct sample {
    int rank;
    const char *server;
    int server_rank;
    const char *name;
};

/* Not in rank order, as COPY may send them. */
static const struct sample SAMPLES[] = {
    {3, "Siel", 2, "나무꾼"},          {1, "Zikel", 1, "Quote\"Back\\slash"},
    {5, "Zikel", 3, "Plain"},          {2, "Siel", 1, "Plain"},
    {4, "Zikel", 2, "日本 + & %\x01"}, {6, "\xf0\x9f\x98\x80\"", 1, "Plain"},
};

static const char *class_of(const struct sample *s)
{
    return s->rank % 2 ? "Ranger" : "";
}

/* Each row has a group of its own, the number-th; what is equal in several is found out. */
static struct image_source source_of(struct image_builder *b, int number, const struct sample *s)
{
    const struct image_member_of group = {.server = s->server,
                                          .server_len = strlen(s->server),
                                          .cls = class_of(s),
                                          .cls_len = strlen(class_of(s))};
    struct err e = {0};

    assert_true(image_builder_add_group(b, &group, &e));
    return (struct image_source){.id = 100 + s->rank,
                                 .power = s->rank == 4 ? IMAGE_POWER_NONE : s->rank * 1000,
                                 .power_score = 2000 - s->rank,
                                 .scored_us = SCORED_US + s->rank,
                                 .rank = s->rank,
                                 .server_rank = s->server_rank,
                                 .group = number,
                                 .level = 10 + s->rank,
                                 .percentile_c = s->rank * 100 + 25,
                                 .name = s->name,
                                 .name_len = strlen(s->name),
                                 .tier = image_tier_number("B1"),
                                 .stale = s->rank == 6};
}

static struct image *build(const struct sample *samples, size_t n, struct err *e)
{
    struct image_builder *b = image_builder_new(7, SCORED_US, (int64_t)n, e);

    assert_non_null(b);
    for (size_t i = 0; i < n; i++) {
        struct image_source s = source_of(b, (int)i, &samples[i]);

        if (!image_builder_add(b, &s, e)) {
            image_builder_free(b);
            return NULL;
        }
    }
    return image_builder_finish(b, e);
}

static struct image *build_samples(void)
{
    struct err e = {0};
    struct image *img = build(SAMPLES, ARRAY_LEN(SAMPLES), &e);

    assert_string_equal(e.text, "");
    assert_non_null(img);
    return img;
}

static struct image_list list_of(const struct image *img, int server, int cls)
{
    return image_list_of(img, (struct image_board){server, cls});
}

static const struct image_row *row_of(const struct image *img, int server, uint32_t i)
{
    struct image_list list = list_of(img, server, IMAGE_ANY);

    return image_list_row(&list, i);
}

static void test_every_character_is_found(void **state)
{
    struct image *img = build_samples();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        const struct sample *s = &SAMPLES[i];
        int server = image_find_server(img, s->server, strlen(s->server));
        const struct image_row *row;

        assert_true(server >= 0);
        row = image_find(img, server, s->name, strlen(s->name));
        assert_non_null(row);
        assert_int_equal(row->id, 100 + s->rank);
        assert_ptr_equal(row, row_of(img, IMAGE_ANY, (uint32_t)s->rank - 1));
        assert_ptr_equal(row, row_of(img, server, (uint32_t)s->server_rank - 1));
        assert_int_equal(row->percentile_c, s->rank * 100 + 25);
        assert_int_equal(row->power, s->rank == 4 ? IMAGE_POWER_NONE : s->rank * 1000);
        assert_int_equal(row->stale, s->rank == 6);
        assert_int_equal(image_scored_us(img, row), SCORED_US + s->rank);
    }
    image_unref(img);
}

static void test_what_is_not_there_is_not_found(void **state)
{
    struct image *img = build_samples();
    int siel = image_find_server(img, "Siel", 4);

    (void)state;
    assert_int_equal(image_find_server(img, "siel", 4), -1);
    assert_int_equal(image_find_server(img, "Sie", 3), -1);
    assert_null(image_find(img, siel, "Nobody", 6));
    assert_null(image_find(img, siel, "", 0));
    assert_null(image_find(img, siel, "Quote\"Back\\slash", 16)); /* lives on Zikel */
    image_unref(img);
}

static void test_texts_are_kept_escaped(void **state)
{
    struct image *img = build_samples();
    const struct image_row *row = row_of(img, IMAGE_ANY, 0);
    char text[64];

    (void)state;
    snprintf(text, sizeof text, "%.*s", row->name_len, img->text + row->name_off);
    assert_string_equal(text, "Quote\\\"Back\\\\slash");
    image_unref(img);
}

static void test_boards_have_their_totals(void **state)
{
    struct image *img = build_samples();

    (void)state;
    assert_int_equal(list_of(img, IMAGE_ANY, IMAGE_ANY).count, 6);
    assert_int_equal(list_of(img, image_find_server(img, "Zikel", 5), IMAGE_ANY).count, 3);
    assert_int_equal(list_of(img, image_find_server(img, "Siel", 4), IMAGE_ANY).count, 2);
    image_unref(img);
}

/* Odd ranks are Rangers, even ones have no class. */
static void test_boards_of_a_class(void **state)
{
    struct image *img = build_samples();
    int ranger = image_find_class(img, "Ranger", 6), zikel = image_find_server(img, "Zikel", 5);
    int none = image_find_class(img, "", 0), siel = image_find_server(img, "Siel", 4);
    struct image_list rangers = list_of(img, IMAGE_ANY, ranger);
    struct image_list there = list_of(img, zikel, ranger);

    (void)state;
    assert_int_equal(image_find_class(img, "ranger", 6), -1);
    assert_int_equal(rangers.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(image_list_row(&rangers, i)->id, 101 + 2 * i);
        assert_int_equal(image_list_rank(&rangers, image_list_row(&rangers, i)), i + 1);
    }
    assert_int_equal(image_list_rank(&rangers, &img->rows[1]), 0);
    assert_int_equal(there.count, 2);
    assert_int_equal(image_list_row(&there, 1)->id, 105);
    assert_int_equal(image_list_rank(&there, &img->rows[4]), 2);
    assert_int_equal(list_of(img, siel, ranger).count, 1);
    assert_int_equal(list_of(img, siel, none).count, 1);
    assert_int_equal(list_of(img, image_find_server(img, "\xf0\x9f\x98\x80\"", 5), ranger).count,
                     0);
    assert_int_equal(list_of(img, IMAGE_NONE, IMAGE_ANY).count, 0);
    assert_int_equal(list_of(img, IMAGE_ANY, IMAGE_NONE).count, 0);
    image_unref(img);
}

static void test_rows_of_one_score_share_a_rank(void **state)
{
    struct err e = {0};
    struct image_builder *b = image_builder_new(1, SCORED_US, 5, &e);
    static const int64_t SCORES[] = {9, 7, 7, 7, 1};
    struct image_list all;
    struct image *img;

    (void)state;
    for (int i = 0; i < 5; i++) {
        char name[] = {(char)('a' + i), '\0'};
        struct image_source s = source_of(b, i, &(struct sample){i + 1, "A", i + 1, name});

        s.power_score = SCORES[i];
        assert_true(image_builder_add(b, &s, &e));
    }
    img = image_builder_finish(b, &e);
    assert_non_null(img);
    all = list_of(img, IMAGE_ANY, IMAGE_ANY);
    assert_int_equal(image_list_tied_rank(&all, 9), 1);
    assert_int_equal(image_list_tied_rank(&all, 7), 2);
    assert_int_equal(image_list_tied_rank(&all, 1), 5);
    assert_int_equal(image_list_tied_rank(&all, 0), 6);
    for (uint32_t i = 1; i <= all.count; i++) {
        assert_int_equal(image_list_tied_at(&all, i),
                         image_list_tied_rank(&all, image_list_row(&all, i - 1)->power_score));
    }
    image_unref(img);
}

static void test_tiers_and_averages_of_a_server(void **state)
{
    struct err e = {0};
    struct image_builder *b = image_builder_new(7, SCORED_US, ARRAY_LEN(SAMPLES), &e);
    struct image_averages a = {
        .server = "Siel", .server_len = 4, .sample_size = 2, .average = {1, 2, 3, 4, 5, 6, 7, 8}};
    const struct image_stats *s;
    struct image *img;
    int b1 = image_tier_number("B1");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        struct image_source row = source_of(b, (int)i, &SAMPLES[i]);

        assert_true(image_builder_add(b, &row, &e));
    }
    assert_true(image_builder_add_averages(b, &a, &e));
    a.server = "gone";
    assert_true(image_builder_add_averages(b, &a, &e)); /* not on the board: left out */
    img = image_builder_finish(b, &e);
    assert_non_null(img);
    s = &img->stats[image_find_server(img, "Siel", 4)];
    assert_int_equal(s->sample_size, 2);
    assert_int_equal(s->average[STAT_HP], 8);
    assert_int_equal(s->tier_count[b1], 2);
    assert_int_equal(s->tier_min[b1], 1997); /* of rank 3 */
    s = &img->stats[img->head->servers];
    assert_int_equal(s->tier_count[b1], 6);
    assert_int_equal(s->tier_min[b1], 1994);
    assert_int_equal(img->stats[image_find_server(img, "Zikel", 5)].sample_size, 0);
    image_unref(img);
}

static void test_tiers_have_numbers(void **state)
{
    (void)state;
    assert_int_equal(image_tier_number("S5"), 0);
    assert_int_equal(image_tier_number("D1"), IMAGE_TIERS - 1);
    for (int i = 0; i < IMAGE_TIERS; i++) {
        assert_int_equal(image_tier_number(image_tier_name(i)), i);
    }
    assert_int_equal(image_tier_number("E1"), -1);
    assert_int_equal(image_tier_number("S0"), -1);
    assert_int_equal(image_tier_number("S6"), -1);
    assert_int_equal(image_tier_number("\0\0"), -1);
}

/* Ranks 1 and 2 have changed places since; one is new, one had another id, one another server. */
static void test_where_everybody_stood_before(void **state)
{
    static const struct sample NOW[] = {
        {1, "Siel", 1, "Plain"}, {2, "Zikel", 1, "Quote\"Back\\slash"},
        {3, "Siel", 2, "new"},   {4, "Zikel", 2, "Plain"},
        {5, "New", 1, "나무꾼"},
    };
    static const int64_t IDS[] = {102, 101, 900, 901, 103};
    static const uint32_t BEFORE[] = {2, 1, 0, 0, 0}, SERVER_BEFORE[] = {1, 1, 0, 0, 0};
    struct image *old = build_samples();

    (void)state;
    for (int way = 0; way < 2; way++) {
        struct err e = {0};
        struct image_builder *b = image_builder_new(8, SCORED_US, ARRAY_LEN(NOW), &e);
        struct image *img;

        for (size_t i = 0; i < ARRAY_LEN(NOW); i++) {
            struct image_source s = source_of(b, (int)i, &NOW[i]);

            s.id = IDS[i];
            assert_true(image_builder_add(b, &s, &e));
        }
        if (way == 0) {
            assert_true(image_builder_take_before(b, old, &e));
        } else { /* by id alone, so who moved to another server is known as well */
            assert_true(image_builder_expect_before(b, &e));
            for (uint32_t i = 0; i < old->head->entries; i++) {
                image_builder_add_before(b, old->rows[i].id, i + 1, old->rows[i].server_rank);
            }
            image_builder_add_before(b, 901, 0, 1); /* nonsense is left out */
        }
        img = image_builder_finish(b, &e);
        assert_non_null(img);
        for (size_t i = 0; i < ARRAY_LEN(NOW); i++) {
            bool moved = way == 1 && i == 4;

            assert_int_equal(img->rows[i].before, moved ? 3 : BEFORE[i]);
            assert_int_equal(img->rows[i].server_before, moved ? 2 : SERVER_BEFORE[i]);
        }
        image_unref(img);
    }
    image_unref(old);
}

/* Of a damaged table: found out at once, not after a search among empty rows without end. */
static void test_rows_that_are_missing(void **state)
{
    struct image *old = build_samples();

    (void)state;
    for (int way = 0; way < 2; way++) {
        struct err e = {0};
        struct image_builder *b = image_builder_new(8, SCORED_US, 3000000, &e);
        struct image_source s = source_of(b, 0, &SAMPLES[1]);

        assert_true(image_builder_add(b, &s, &e));
        assert_false(way ? image_builder_take_before(b, old, &e)
                         : image_builder_expect_before(b, &e));
        assert_string_equal(e.text, "1 of 3000000 entries of the ranking came");
        assert_int_equal(e.cls, ERR_RETRYABLE);
        image_builder_free(b);
    }
    image_unref(old);
}

static void test_an_empty_generation_is_an_image(void **state)
{
    struct err e = {0};
    struct image *img = build(NULL, 0, &e);

    (void)state;
    assert_non_null(img);
    assert_int_equal(list_of(img, IMAGE_ANY, IMAGE_ANY).count, 0);
    assert_int_equal(image_find_server(img, "Siel", 4), -1);
    image_unref(img);
}

static void test_broken_generations_are_refused(void **state)
{
    static const struct {
        struct sample rows[3];
        const char *why;
    } CASES[] = {
        {{{1, "A", 1, "a"}, {1, "A", 2, "b"}, {3, "A", 3, "c"}}, "a rank comes twice"},
        {{{1, "A", 1, "a"}, {2, "A", 1, "b"}, {3, "A", 3, "c"}}, "ranks of a server"},
        {{{1, "A", 1, "a"}, {2, "A", 2, "b"}, {3, "B", 2, "c"}}, "ranks of a server"},
        {{{0, "A", 1, "a"}, {2, "A", 2, "b"}, {3, "A", 3, "c"}}, "out of range"},
        {{{1, "A", 1, "a"}, {4, "A", 2, "b"}, {3, "A", 3, "c"}}, "out of range"},
        {{{1, "A", 1, "a"}, {2, "A", 0, "b"}, {3, "A", 3, "c"}}, "out of range"},
        {{{1, "A", 1, ""}, {2, "A", 2, "b"}, {3, "A", 3, "c"}}, "out of range"},
        {{{1, "A", 1, "\xff"}, {2, "A", 2, "b"}, {3, "A", 3, "c"}}, "not UTF-8"},
        {{{1, "\xc0\x80", 1, "a"}, {2, "A", 2, "b"}, {3, "A", 3, "c"}}, "not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct err e = {0};

        assert_null(build(CASES[i].rows, 3, &e));
        assert_non_null(strstr(e.text, CASES[i].why));
    }
}

static void test_a_missing_row_is_noticed(void **state)
{
    struct err e = {0};
    struct image_builder *b = image_builder_new(1, SCORED_US, 2, &e);
    struct image_source s = source_of(b, 0, &(struct sample){1, "A", 1, "a"});

    (void)state;
    assert_non_null(b);
    assert_true(image_builder_add(b, &s, &e));
    assert_null(image_builder_finish(b, &e));
    assert_int_equal(e.cls, ERR_RETRYABLE);
}

static void test_rows_of_no_group_and_groups_of_nobody(void **state)
{
    struct err e = {0};
    struct image_builder *b = image_builder_new(1, SCORED_US, 1, &e);
    struct image_member_of group = {.server = "", .cls = ""};
    struct image_source s = source_of(b, 0, &(struct sample){1, "A", 1, "a"});
    struct image *img;

    (void)state;
    assert_false(image_builder_add_group(b, &group, &e)); /* a server without a name */
    (void)source_of(b, 1, &(struct sample){2, "Nobody's", 1, "b"});
    for (s.group = -1; s.group <= 2; s.group += 3) {
        assert_false(image_builder_add(b, &s, &e));
        assert_non_null(strstr(e.text, "group"));
    }
    s.group = 0;
    assert_true(image_builder_add(b, &s, &e));
    img = image_builder_finish(b, &e);
    assert_non_null(img);
    assert_int_equal(img->head->servers, 1);
    assert_int_equal(img->head->groups, 1);
    image_unref(img);
}

static void test_numbers_of_entries_are_packed(void **state)
{
    const struct entry_traits most = {ENTRY_GROUP_MAX, ENTRY_LEVEL_MAX, ENTRY_PERCENTILE_MAX,
                                      ENTRY_TIER_MAX, true};
    struct entry_traits t;

    (void)state;
    for (int one = 0; one < 5; one++) { /* each as large as it can be, the others 0 */
        const struct entry_traits in = {one == 0 ? most.group : 0, one == 1 ? most.level : 0,
                                        one == 2 ? most.percentile_c : 0, one == 3 ? most.tier : 0,
                                        one == 4};

        t = entry_traits_unpack(entry_traits_pack(&in));
        assert_memory_equal(&t.group, &in.group, 4 * sizeof(int32_t));
        assert_int_equal(t.stale, in.stale);
    }
    t = entry_traits_unpack(entry_traits_pack(&most));
    assert_memory_equal(&t.group, &most.group, 4 * sizeof(int32_t));
    assert_true(entry_traits_pack(&most) > 0);
    assert_int_equal(entry_place(entry_places(INT32_MAX, 1)), INT32_MAX);
    assert_int_equal(entry_place_on_server(entry_places(1, INT32_MAX)), INT32_MAX);
}

static void test_sizes_out_of_range_are_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(image_builder_new(1, 1, -1, &e));
    assert_null(image_builder_new(1, 1, (int64_t)IMAGE_ENTRIES_MAX + 1, &e));
}

static void *writable_copy(const struct image *img)
{
    void *block =
        mmap(NULL, img->head->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(block != MAP_FAILED);
    memcpy(block, img->block, img->head->size);
    return block;
}

static void test_any_changed_byte_is_refused(void **state)
{
    struct image *img = build_samples();
    size_t size = img->head->size;
    unsigned char *block = writable_copy(img);
    struct err e;

    (void)state;
    for (size_t i = 0; i < size; i++) {
        block[i] ^= 0x20;
        assert_null(image_open(block, size, &e));
        block[i] ^= 0x20;
    }
    for (size_t n = 0; n < size; n++) {
        assert_null(image_open(block, n, &e));
    }
    image_unref(image_open(block, size, &e)); /* as it was: good, and unmapped */
    image_unref(img);
}

/* A row changed by `change`, with a checksum that fits, is refused. */
static void refuse_row(void (*change)(struct image_row *row))
{
    struct image *img = build_samples();
    char *block = writable_copy(img);
    struct image_header *head = (struct image_header *)(void *)block;
    struct err e;

    change((struct image_row *)(void *)(block + head->rows_off) + 2);
    head->crc = image_crc(block, head->size);
    assert_null(image_open(block, head->size, &e));
    munmap(block, img->head->size);
    image_unref(img);
}

static void far_name(struct image_row *row)
{
    row->name_off = UINT32_MAX;
}
static void other_server(struct image_row *row)
{
    row->server = 200;
}
static void other_class(struct image_row *row)
{
    row->cls = 200;
}
static void other_rank(struct image_row *row)
{
    row->server_rank++;
}
static void bad_tier(struct image_row *row)
{
    row->tier[0] = '"';
}
static void bad_percentile(struct image_row *row)
{
    row->percentile_c = 10001;
}

static void test_wrong_rows_are_refused_despite_a_good_checksum(void **state)
{
    (void)state;
    refuse_row(far_name);
    refuse_row(other_server);
    refuse_row(other_class);
    refuse_row(other_rank);
    refuse_row(bad_tier);
    refuse_row(bad_percentile);
}

static void test_stored_and_mapped_again(void **state)
{
    char dir[] = "/tmp/aion2-image-XXXXXX", path[128];
    struct image *img = build_samples(), *again;
    struct image_header head;
    struct err e;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_null(image_file_load(dir, &e));
    assert_int_equal(e.cls, ERR_NONE); /* nothing there is no error */
    assert_true(image_file_store(dir, img, &e));
    assert_true(image_file_store(dir, img, &e)); /* over the first */
    again = image_file_load(dir, &e);
    assert_non_null(again);
    memcpy(&head, img->head, sizeof head);
    head.crc = again->head->crc; /* which only the file has */
    assert_memory_equal(again->head, &head, sizeof head);
    assert_memory_equal(again->head + 1, img->head + 1, img->head->size - sizeof head);
    snprintf(path, sizeof path, "%s/%s", dir, IMAGE_FILE_NAME);
    assert_int_equal(truncate(path, 40), 0);
    image_unref(again);
    assert_null(image_file_load(dir, &e));
    assert_int_equal(e.cls, ERR_PERMANENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_false(image_file_store(dir, img, &e));
    image_unref(img);
}

/* ---- rows as COPY sends them ---- */

static const unsigned char COPY_HEADER[] =
    "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and the NUL: 19 bytes */
static const unsigned char COPY_END[] = {0xff, 0xff};

static void put_be(unsigned char **p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        *(*p)++ = (unsigned char)(v >> (8 * i));
    }
}
static void put_field(unsigned char **p, uint64_t v, int bytes)
{
    put_be(p, (uint64_t)bytes, 4);
    put_be(p, v, bytes);
}
static void put_text(unsigned char **p, const char *s)
{
    put_be(p, strlen(s), 4);
    memcpy(*p, s, strlen(s));
    *p += strlen(s);
}

static size_t make_row(unsigned char *out)
{
    unsigned char *p = out;
    const struct entry_traits traits = {
        .group = 0, .level = 33, .percentile_c = 1250, .tier = 15, .stale = true};

    put_be(&p, 7, 2);
    put_field(&p, 42, 8);
    put_be(&p, UINT32_MAX, 4); /* power NULL */
    put_field(&p, 1000, 8);
    put_field(&p, (uint64_t)entry_places(1, 1), 8);
    put_field(&p, (uint64_t)entry_traits_pack(&traits), 8);
    put_field(&p, 1, 8); /* one microsecond after 2000 began */
    put_text(&p, "Name");
    return (size_t)(p - out);
}

/* For one row, of the only group. */
static struct image_builder *builder_of_one(void)
{
    const struct image_member_of group = {
        .server = "Siel", .server_len = 4, .cls = "Ranger", .cls_len = 6};
    struct err e = {0};
    struct image_builder *b = image_builder_new(1, SCORED_US, 1, &e);

    assert_non_null(b);
    assert_true(image_builder_add_group(b, &group, &e));
    return b;
}

static bool feed(struct image_copy *c, const void *bytes, size_t len)
{
    struct err e;

    return image_copy_feed(c, bytes, len, &e);
}

static void test_copy_rows_are_read(void **state)
{
    unsigned char message[512];
    struct err e = {0};
    struct image_copy c = {.builder = builder_of_one()};
    const struct image_row *row;
    struct image *img;
    size_t len;

    (void)state;
    /* PostgreSQL sends the header together with the first row. */
    memcpy(message, COPY_HEADER, sizeof COPY_HEADER);
    len = sizeof COPY_HEADER + make_row(message + sizeof COPY_HEADER);
    assert_true(feed(&c, message, len));
    assert_true(feed(&c, COPY_END, sizeof COPY_END));
    img = image_builder_finish(c.builder, &e);
    assert_non_null(img);
    row = row_of(img, IMAGE_ANY, 0);
    assert_int_equal(row->id, 42);
    assert_int_equal(row->level, 33);
    assert_int_equal(row->power, IMAGE_POWER_NONE);
    assert_int_equal(row->percentile_c, 1250);
    assert_int_equal(row->stale, 1);
    assert_int_equal(image_scored_us(img, row), INT64_C(946684800000001));
    image_unref(img);
}

static void test_malformed_copies_are_refused(void **state)
{
    unsigned char message[512];
    size_t header = sizeof COPY_HEADER, len;

    (void)state;
    memcpy(message, COPY_HEADER, header);
    len = header + make_row(message + header);
    for (size_t cut = 1; cut < len; cut++) {
        struct image_copy c = {.builder = builder_of_one()};

        /* Cut right behind the header is a message without a row. */
        assert_int_equal(feed(&c, message, cut), cut == header);
        image_builder_free(c.builder);
    }
    for (size_t i = 0; i < 11; i++) {
        struct image_copy c = {.builder = builder_of_one()};

        message[i] ^= 1;
        assert_false(feed(&c, message, len));
        message[i] ^= 1;
        image_builder_free(c.builder);
    }
}

static void test_nothing_follows_the_end_of_a_copy(void **state)
{
    struct image_copy c = {.builder = builder_of_one()};

    (void)state;
    assert_true(feed(&c, COPY_HEADER, sizeof COPY_HEADER));
    assert_true(feed(&c, COPY_END, sizeof COPY_END));
    assert_false(feed(&c, COPY_END, sizeof COPY_END));
    image_builder_free(c.builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_that_are_missing),
        cmocka_unit_test(test_every_character_is_found),
        cmocka_unit_test(test_what_is_not_there_is_not_found),
        cmocka_unit_test(test_texts_are_kept_escaped),
        cmocka_unit_test(test_boards_have_their_totals),
        cmocka_unit_test(test_boards_of_a_class),
        cmocka_unit_test(test_rows_of_one_score_share_a_rank),
        cmocka_unit_test(test_tiers_and_averages_of_a_server),
        cmocka_unit_test(test_tiers_have_numbers),
        cmocka_unit_test(test_where_everybody_stood_before),
        cmocka_unit_test(test_an_empty_generation_is_an_image),
        cmocka_unit_test(test_broken_generations_are_refused),
        cmocka_unit_test(test_a_missing_row_is_noticed),
        cmocka_unit_test(test_rows_of_no_group_and_groups_of_nobody),
        cmocka_unit_test(test_numbers_of_entries_are_packed),
        cmocka_unit_test(test_sizes_out_of_range_are_refused),
        cmocka_unit_test(test_any_changed_byte_is_refused),
        cmocka_unit_test(test_wrong_rows_are_refused_despite_a_good_checksum),
        cmocka_unit_test(test_stored_and_mapped_again),
        cmocka_unit_test(test_copy_rows_are_read),
        cmocka_unit_test(test_malformed_copies_are_refused),
        cmocka_unit_test(test_nothing_follows_the_end_of_a_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
