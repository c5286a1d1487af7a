/* SPDX-License-Identifier: MIT */
#include "cache/epochs.h"
#include "base/buf.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct epoch {
    struct list node;
    UT_hash_handle hh;
    uint64_t number;
    char key[];
};

void epochs_init(struct epochs *e, size_t max) {
    memset(e, 0, sizeof *e);
    e->max = max;
    list_init(&e->readers);
    list_init(&e->order);
}

void epochs_begin(struct epochs *e, struct epochs_reader *r) {
    r->began = e->seq;
    list_push(&e->readers, &r->node);
}

static void forget(struct epochs *e, struct epoch *it) {
    HASH_DEL(e->by_key, it);
    list_remove(&it->node);
    e->n--;
    free(it);
}

static void forget_all(struct epochs *e) {
    list_each_safe(&e->order, it) forget(e, container_of(it, struct epoch, node));
}

/* Numbers only grow, so the first reader is the oldest, and what it need not know nobody needs. */
static void prune(struct epochs *e) {
    uint64_t oldest = e->seq;
    if (!list_empty(&e->readers))
        oldest = container_of(e->readers.next, struct epochs_reader, node)->began;
    list_each_safe(&e->order, it) {
        struct epoch *epoch = container_of(it, struct epoch, node);
        if (epoch->number > oldest)
            return;
        forget(e, epoch);
    }
}

void epochs_end(struct epochs *e, struct epochs_reader *r) {
    bool oldest = e->readers.next == &r->node;
    list_remove(&r->node);
    if (oldest)
        prune(e);
}

static struct epoch *find(const struct epochs *e, const char *key) {
    struct epoch *it = NULL;
    HASH_FIND_STR(e->by_key, key, it);
    return it;
}

static struct epoch *add(struct epochs *e, const char *key) {
    size_t n = strlen(key);
    struct epoch *it = xcalloc(1, sizeof *it + n + 1);
    memcpy(it->key, key, n);
    HASH_ADD_STR(e->by_key, key, it);
    list_init(&it->node);
    e->n++;
    return it;
}

void epochs_invalidate(struct epochs *e, const char *key) {
    e->seq++;
    if (list_empty(&e->readers))
        return;
    struct epoch *it = find(e, key);
    if (!it && e->n >= e->max) {
        epochs_invalidate_all(e);
        return;
    }
    if (!it)
        it = add(e, key);
    it->number = e->seq;
    list_remove(&it->node);
    list_push(&e->order, &it->node);
}

void epochs_invalidate_all(struct epochs *e) {
    e->floor = ++e->seq;
    forget_all(e); /* the floor says more */
}

bool epochs_outdated(const struct epochs *e, const struct epochs_reader *r) {
    return r->began < e->floor;
}

bool epochs_fresh(const struct epochs *e, const struct epochs_reader *r, const char *key) {
    const struct epoch *it = find(e, key);
    return !epochs_outdated(e, r) && (!it || it->number <= r->began);
}

size_t epochs_count(const struct epochs *e) {
    return e->n;
}

void epochs_free(struct epochs *e) {
    forget_all(e);
    list_each_safe(&e->readers, it) list_remove(it);
}
