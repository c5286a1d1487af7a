/* SPDX-License-Identifier: MIT */
/* hook - the onError hooks of an operation: a second call on what a failed one left, once its
 * transaction is rolled back and its failure final. Without a database; may wait and time out. Loop
 * thread only. */
#ifndef RBF_HOOK_H
#define RBF_HOOK_H
#include "core/task.h"

/* Runs the hooks of t's operation after f of the call `failed`, which is deleted then. f is copied.
 * cb comes once, from inside or later, with the failure that stands: f, or the one that a hook gave
 * in its place; borrowed until cb returns. */
void hook_run(struct task *t, struct call *failed, const struct failure *f,
              void (*cb)(const struct failure *f, void *arg), void *arg);
#endif
