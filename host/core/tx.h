/* SPDX-License-Identifier: MIT */
/* tx - one SERIALIZABLE transaction around the mutations that a free connection found waiting in a
 * lane. Flight 1 looks the request ids up, begins, and takes along the first statement (of all
 * members, where the lane says that they end after one); then the members run strictly one after
 * the other; the last flight stores all results and outbox rows and commits.
 *
 * Each member's outcome is what it would be alone. One that fails after a statement is taken out
 * and runs again alone, which decides; the others run again without it, or from a savepoint.
 * Whatever cannot be blamed on one member (a deferred constraint, a lost connection) lets each run
 * alone. A conflict puts them all back. Loop thread only. */
#ifndef RBF_TX_H
#define RBF_TX_H
#include "core/lane.h"

/* Queues the task for its transaction. */
void tx_run(struct task *t);
/* The same again, after a pause with jitter that grows with t->conflicts. */
void tx_run_again(struct task *t);
/* The same again, once the host's own trouble (a lost connection, a missing table) may be over. */
void tx_run_later(struct task *t);
/* Begins, with conn (lent, taken) and n members (struct task.member, taken over). l: theirs, which
 * is left at the end; NULL: an unknown operation. */
void tx_start(struct host *h, struct lane *l, struct pgconn *conn, struct list *members, int n);
/* Members that wait behind a slow one go back to their lanes. */
void tx_check_all(struct host *h);
#endif
