/* SPDX-License-Identifier: MIT */
/* utf8 - is this text, and if not, make it text. RFC 3629: no surrogates, no overlong forms, at
 * most U+10FFFF. Pure functions, any thread. */
#ifndef RBF_UTF8_H
#define RBF_UTF8_H
#include "base/buf.h"
#include <stdbool.h>

/* Bytes of the character that s begins with (1 to 4), 0 when it is no valid character. NUL is a
 * character of one byte. n > 0. */
size_t utf8_char(const char *s, size_t n);
bool utf8_valid(const char *s, size_t n);
/* Valid, and free of control characters (C0 with NUL, DEL and C1)? */
bool utf8_printable(const char *s, size_t n);
/* Appends s with U+FFFD in place of each byte that belongs to no valid character, and of NUL. */
void utf8_clean(struct buf *out, const char *s, size_t n);
/* A copy of s that is text; NULL gives NULL. Caller frees. */
char *utf8_copy(const char *s);
#endif
