/* SPDX-License-Identifier: MIT */
/* lane - the waiting mutations of one operation, and what is known of it: how many of its
 * transactions run side by side (width.h), how many members one of them takes, whether they all
 * end after one statement. A free connection takes what waits, so nobody waits for a group to fill:
 * groups are as large as the database is slow. Loop thread only. */
#ifndef RBF_LANE_H
#define RBF_LANE_H
#include "core/task.h"
#include "core/width.h"

struct lane;

/* The lane of an operation, by queue and path; it outlives generations. */
struct lane *lane_of(struct host *h, const struct gen_op *op);
/* Queues t for a transaction (tx_start, later). front: ahead of those that wait. */
void lane_enter(struct lane *l, struct task *t, bool front);
/* All of them (struct task.member), ahead of those that wait, in their order. */
void lane_put_back(struct lane *l, struct list *members);
/* One transaction is over, and its connection back in the pool. */
void lane_leave(struct lane *l, enum width_end end);
void lanes_delete(struct host *h);

/* --- what its transactions tell, and ask --- */

/* n members ran within ms. */
void lane_note_time(struct lane *l, double ms, int n);
/* A member ended well, after so many statements; or failed after one. */
void lane_note_ran(struct lane *l, int statements);
void lane_note_failed(struct lane *l);
/* It said that it ends after one statement, and did not. */
void lane_not_one(struct lane *l);
/* Its handlers do what others in their transaction would notice. */
void lane_note_apart(struct lane *l);
/* A first statement could ride with BEGIN, or not. */
void lane_note_early(struct lane *l, bool rode);
/* Do all first statements travel together? Then so many at most (0: no): as fail seldom enough that
 * running the others again costs little, and are over soon. */
int lane_gathers(const struct lane *l);
/* Does the first statement travel with BEGIN? */
bool lane_early(const struct lane *l);
/* Is a lock that another transaction holds a conflict at once, also where t runs alone? (Only a few
 * times: it may be a lock that others take on purpose.) */
bool lane_impatient(const struct lane *l, const struct task *t);
/* Does it take turns with the same lane of other workers? Then *turn is the place to wait for. */
bool lane_turn(const struct lane *l, int32_t *turn);
/* It got its turn, or waited for it in vain: after a few of those it does without for a while. */
void lane_note_turn(struct lane *l, bool got);
/* Would a group of n lose more to failing members than savepoints cost? */
bool lane_wants_savepoints(const struct lane *l, int n);
#endif
