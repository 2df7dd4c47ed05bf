#ifndef CTL_POPULATION_NAMES_H
#define CTL_POPULATION_NAMES_H

#include "common/base.h"

#define POPULATION_NAME_SIZE 64

/* Made-up player names, all different: the numbers 0 .. count - 1 scattered over syllables. */
struct name_maker {
    uint64_t seed;
    unsigned hangul_bits, latin_bits; /* how many names each script can make, as a power of two */
};

/* count up to 100 million. */
void name_maker_init(struct name_maker *n, uint64_t seed, uint64_t count);
/* Writes the name of member i, at most POPULATION_NAME_SIZE bytes with its NUL. */
void name_maker_write(const struct name_maker *n, uint64_t i, char *out);

/* The i-th server: a real one for the first ones, then numbered. */
void population_server_name(uint64_t i, char *out);

/* A well-mixed function of x (the finalizer of splitmix64). */
uint64_t population_mix(uint64_t x);

#endif
