#ifndef COMMON_SOURCE_PERSON_H
#define COMMON_SOURCE_PERSON_H

#include "common/base.h"

/* A character as a source tells of it; common/character_row.h stores it. */
#define SOURCE_TEXT_SIZE 257 /* 64 code points of 4 bytes, as the columns of the table */
#define SOURCE_ID_SIZE   129

/* How the stats were found out: only a sheet is scored. */
#define SOURCE_MODE_SHEET   "sheet"
#define SOURCE_MODE_PROFILE "profile"

struct source_person {
    char server[SOURCE_TEXT_SIZE]; /* canonical */
    char name[SOURCE_TEXT_SIZE];
    char cls[SOURCE_TEXT_SIZE];     /* "": not known */
    char legion[SOURCE_TEXT_SIZE];  /* "": none, or not known */
    char source_id[SOURCE_ID_SIZE]; /* the source's own name of it; "": none */
    int64_t level;
    int64_t power;       /* -1: unknown */
    int64_t item_level;  /* -1: unknown */
    const char *mode;    /* SOURCE_MODE_*, static */
    char *stats_payload; /* owned (free()): a JSON object with the member "mode" */
    char *raw_payload;   /* owned: JSON, what the stats were computed from; NULL: none */
};

#endif
