#ifndef API_FOLD_H
#define API_FOLD_H

#include "common/base.h"

/*
 * Names as people look for them: letters of ASCII in lower case, and Korean by its initial
 * consonants ("ㄷㄱㄹㅈ" finds "달그림자"). Pure; texts are UTF-8.
 */
#define FOLD_MAX 256 /* bytes of a folded name that count */

/* Lower case. Returns the bytes written, at most cap. */
size_t fold_name(const char *s, size_t len, char *out, size_t cap);
/*
 * The same with each Korean syllable, and each consonant written alone, as one byte from 0x80 on
 * that stands for its initial consonant.
 */
size_t fold_initials(const char *s, size_t len, char *out, size_t cap);
/* A consonant stands alone in it: it is to be looked for by initials. */
bool fold_has_initial(const char *s, size_t len);
/*
 * name begins with what was typed: letters in any case, consonants that stand alone as the initial
 * of the syllable in their place.
 */
bool fold_matches(const char *typed, size_t typed_len, const char *name, size_t len);

#endif
