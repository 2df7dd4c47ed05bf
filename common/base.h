#ifndef COMMON_BASE_H
#define COMMON_BASE_H

/* What every file needs: fixed-size integers, attributes and two small macros. */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK             __attribute__((warn_unused_result))
#define NO_RETURN              __attribute__((noreturn))
#define UNUSED                 __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

/* A bug in this program, not a bad input: says where and aborts. Stays on in release builds. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            must_failed(#cond, __FILE__, __LINE__);                                                \
        }                                                                                          \
    } while (0)

NO_RETURN void must_failed(const char *cond, const char *file, int line);

/* The release, as --version prints it. */
#define AION2RANK_VERSION "0.1.0"

#endif
