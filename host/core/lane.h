/* SPDX-License-Identifier: MIT */
/* lane - how many transactions of one operation run side by side. Transactions that conflict only
 * undo each other, so a path whose transactions do is narrowed, down to one at a time, and widened
 * again when it calms: PostgreSQL's predicate locks are pages, and on a small or hot table
 * everybody's page is the same one. Loop thread only. */
#ifndef RBF_LANE_H
#define RBF_LANE_H
#include "core/host.h"

struct lane;
struct lane_waiter { /* the caller's; borrowed until cb */
    struct list node;
    void (*cb)(void *arg);
    void *arg;
};

/* The lane of an operation, by queue and path; it outlives generations. */
struct lane *lane_of(struct host *h, const struct gen_op *op);
/* Calls cb when it may start: at once, from inside, or when another leaves. front: it was in the
 * lane before (a conflict) and goes ahead of those that were not. */
void lane_enter(struct lane *l, struct lane_waiter *w, bool front, void (*cb)(void *arg),
                void *arg);
/* One that was let in is over; conflicted: a serialization failure or deadlock undid it. */
void lane_leave(struct lane *l, bool conflicted);
void lanes_delete(struct host *h);
#endif
