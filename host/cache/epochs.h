/* SPDX-License-Identifier: MIT */
/* epochs - which keys were invalidated since a reader began: what it read before may be old by now,
 * and must not be kept under those keys. Each invalidation gets the next number; it is remembered
 * for as long as a reader is under way that began before it, and no longer. Pure; not for sharing
 * between threads. */
#ifndef RBF_EPOCHS_H
#define RBF_EPOCHS_H
#include "base/list.h"
#include <stdint.h>

struct epoch;

struct epochs {
    uint64_t seq;        /* of the last invalidation */
    uint64_t floor;      /* readers that began before it may keep nothing */
    struct list readers; /* struct epochs_reader.node, in the order they began */
    struct list order;   /* struct epoch.node, in the order of their numbers */
    struct epoch *by_key;
    size_t n, max;
};

struct epochs_reader { /* the owner's; in place between begin and end */
    struct list node;
    uint64_t began;
};

/* At most max keys are remembered: one more, and all readers under way may keep nothing. */
void epochs_init(struct epochs *e, size_t max);
void epochs_begin(struct epochs *e, struct epochs_reader *r);
void epochs_end(struct epochs *e, struct epochs_reader *r);
void epochs_invalidate(struct epochs *e, const char *key);
void epochs_invalidate_all(struct epochs *e);
/* May what r has read be kept under key? */
bool epochs_fresh(const struct epochs *e, const struct epochs_reader *r, const char *key);
/* Was everything invalidated at once since r began? */
bool epochs_outdated(const struct epochs *e, const struct epochs_reader *r);
size_t epochs_count(const struct epochs *e); /* keys remembered */
void epochs_free(struct epochs *e);          /* readers may be left; they are forgotten */
#endif
