/* SPDX-License-Identifier: MIT */
/* id - UUIDs in text (RFC 9562): v4 random, v5 from a name, v7 ordered by time; and the content
 * hash that names a code version. Any thread. libuuid and libcrypto do the work. */
#ifndef RBF_ID_H
#define RBF_ID_H
#include <stddef.h>
#include <stdint.h>

#define ID_TEXT 37 /* 36 characters and NUL */

void id_v4(char out[ID_TEXT]);
void id_v7(char out[ID_TEXT]);
/* The same name always gives the same id: v5 in RBF's own namespace UUID (a constant in id.c). */
void id_v5(const void *name, size_t n, char out[ID_TEXT]);
/* n random bytes, 256 at most. */
void id_random(void *p, size_t n);
/* From now on id_v7 and id_random repeat what they gave after the same seed, at the times that
 * clock_db_ms tells. For `rbf test`; one thread only. */
void id_seed(uint64_t from);
/* First 12 hex digits of SHA-256. */
void id_hash12(const void *bytes, size_t n, char out[13]);
#endif
