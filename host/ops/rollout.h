/* SPDX-License-Identifier: MIT */
/* rollout - which generation the workers run, and the change to the next one in all of them or in
 * none: every running worker is asked to build it (PREPARE); when all have, all are told to use it
 * (COMMIT); when one refuses, the others drop it (ABORT). Loop thread only.
 *
 * To one worker: PREPARE, its answer, then ABORT or COMMIT and its LIVE, and only then another
 * PREPARE. A worker that dies meanwhile has no vote any more; its replacement gets the live
 * generation's bytes. */
#ifndef RBF_ROLLOUT_H
#define RBF_ROLLOUT_H
#include "base/tree.h"
#include "ops/workerproc.h"

struct generation {
    uint32_t number;
    struct tree *tree;
    struct buf packed;
    char *describe; /* of the first worker that built it; NULL until then */
    uint64_t begun_ms;
};

struct rollout {
    struct workerproc *workers; /* borrowed */
    int n;
    struct generation *live, *next; /* NULL: none */
    uint32_t last_number;
    bool told; /* of the live one */
    /* All workers serve live. */
    void (*on_live)(struct rollout *r, void *arg);
    /* g, which was next, is not taken; it is gone after the call. */
    void (*on_refused)(struct rollout *r, const struct generation *g, const char *message,
                       void *arg);
    void *arg;
};

/* Takes the tree, unless it gives false: a change is under way (also one that a worker has not
 * confirmed yet), or no worker runs that could be asked. */
bool rollout_begin(struct rollout *r, struct tree *tree);
void rollout_worker_started(struct rollout *r, struct workerproc *w);
void rollout_worker_gone(struct rollout *r, struct workerproc *w);
/* PREPARED, REFUSED, LIVE; others are ignored. */
void rollout_frame(struct rollout *r, struct workerproc *w, const struct ctl_frame *f);
/* Each second: a load that takes too long is refused and its worker killed. */
void rollout_tick(struct rollout *r);
void rollout_free(struct rollout *r);
#endif
