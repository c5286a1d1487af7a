/* SPDX-License-Identifier: MIT */
#include "cache/lru.h"
#include "base/buf.h"
#include "base/list.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* The hash's buckets and malloc's own, a fair guess. */
#define OVERHEAD 48

struct entry {
    struct list node; /* in lru.order */
    UT_hash_handle hh;
    uint64_t ends_ms;
    size_t len;
    char *value; /* behind the key, in the same piece of memory */
    char key[];
};

struct lru {
    struct entry *by_key;
    struct list order; /* the one asked for last is at the end */
    size_t max, bytes, n;
};

struct lru *lru_new(size_t max_bytes) {
    struct lru *l = xcalloc(1, sizeof *l);
    l->max = max_bytes;
    list_init(&l->order);
    return l;
}

static size_t cost(size_t key_len, size_t len) {
    return sizeof(struct entry) + key_len + len + 2 + OVERHEAD;
}

static void remove_entry(struct lru *l, struct entry *e) {
    HASH_DEL(l->by_key, e);
    list_remove(&e->node);
    l->bytes -= cost(strlen(e->key), e->len);
    l->n--;
    free(e);
}

static struct entry *find(const struct lru *l, const char *key) {
    struct entry *e = NULL;
    HASH_FIND_STR(l->by_key, key, e);
    return e;
}

const char *lru_get(struct lru *l, const char *key, uint64_t now_ms, size_t *len) {
    struct entry *e = find(l, key);
    if (!e)
        return NULL;
    if (e->ends_ms <= now_ms) {
        remove_entry(l, e);
        return NULL;
    }
    list_remove(&e->node);
    list_push(&l->order, &e->node);
    *len = e->len;
    return e->value;
}

static struct entry *new_entry(const char *key, const char *value, size_t len) {
    size_t n = strlen(key);
    struct entry *e = xcalloc(1, sizeof *e + n + 1 + len + 1);
    memcpy(e->key, key, n);
    e->value = e->key + n + 1;
    memcpy(e->value, value, len);
    e->len = len;
    return e;
}

void lru_set(struct lru *l, const char *key, const char *value, size_t len, uint64_t ends_ms) {
    size_t bytes = cost(strlen(key), len);
    lru_drop(l, key);
    if (bytes > l->max / 4)
        return;
    while (l->bytes + bytes > l->max)
        remove_entry(l, container_of(l->order.next, struct entry, node));
    struct entry *e = new_entry(key, value, len);
    e->ends_ms = ends_ms;
    HASH_ADD_STR(l->by_key, key, e);
    list_push(&l->order, &e->node);
    l->bytes += bytes;
    l->n++;
}

void lru_drop(struct lru *l, const char *key) {
    struct entry *e = find(l, key);
    if (e)
        remove_entry(l, e);
}

void lru_clear(struct lru *l) {
    HASH_CLEAR(hh, l->by_key);
    list_each_safe(&l->order, it) free(container_of(it, struct entry, node));
    list_init(&l->order);
    l->bytes = l->n = 0;
}

size_t lru_bytes(const struct lru *l) {
    return l->bytes;
}

size_t lru_count(const struct lru *l) {
    return l->n;
}

void lru_delete(struct lru *l) {
    if (!l)
        return;
    lru_clear(l);
    free(l);
}
