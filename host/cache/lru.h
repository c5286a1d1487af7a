/* SPDX-License-Identifier: MIT */
/* lru - texts by key, within so many bytes: when they are full, what was not asked for the longest
 * goes first. Each entry also has a time when it ends. Pure: the time is a parameter (monotonic
 * ms). Not for sharing between threads. */
#ifndef RBF_LRU_H
#define RBF_LRU_H
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct lru;
/* max_bytes counts keys, values and what it costs to keep them; 0: nothing is kept. */
struct lru *lru_new(size_t max_bytes) NODISCARD;
/* NULL when it is not there (any more). The text ends with a NUL and lives until the next call. */
const char *lru_get(struct lru *l, const char *key, uint64_t now_ms, size_t *len);
/* Copies. One larger than a quarter of the bytes is not kept: it would push out everything else. */
void lru_set(struct lru *l, const char *key, const char *value, size_t len, uint64_t ends_ms);
void lru_drop(struct lru *l, const char *key);
void lru_clear(struct lru *l);
size_t lru_bytes(const struct lru *l);
size_t lru_count(const struct lru *l);
void lru_delete(struct lru *l); /* NULL is allowed */
#endif
