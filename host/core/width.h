/* SPDX-License-Identifier: MIT */
/* width - how many transactions of one operation may run side by side. Transactions that conflict
 * only undo each other, so a path whose transactions do is narrowed, down to one at a time, and
 * widened again when it calms: PostgreSQL's predicate locks are pages, and on a small or hot table
 * everybody's page is the same one. One at a time in each of many workers may still be too many:
 * then it takes turns with the others (turn.h), for one of few places that all of them share. Pure.
 */
#ifndef RBF_WIDTH_H
#define RBF_WIDTH_H
#include <stdbool.h>

struct width {
    int now, most;   /* of this worker */
    int places;      /* of all workers, when now is 1; 0: without turns */
    double share;    /* of conflicts, lately */
    int seen, probe; /* transactions since it last changed; as many until it widens */
    bool cut;        /* once it was cut it widens one by one, before that it doubles */
};

enum width_end {
    WIDTH_CALM,
    WIDTH_CONFLICT, /* a serialization failure undid it */
    WIDTH_BLOCKED,  /* a deadlock or a lock timeout did, or it was a large one: that is dear */
};

void width_init(struct width *w, int most);
/* One transaction is over. True when it became narrower. */
bool width_learn(struct width *w, enum width_end end);
#endif
