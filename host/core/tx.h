/* SPDX-License-Identifier: MIT */
/* tx - one SERIALIZABLE transaction around a list of tasks (of length one until group execution
 * comes): flight 1 looks the request ids up and begins, then the members run one after the other,
 * the last flight stores results and outbox rows and commits. Loop thread only. */
#ifndef RBF_TX_H
#define RBF_TX_H
#include "core/task.h"

/* Takes the task through its transaction to its end. */
void tx_run(struct task *t);
/* The same again, after a pause with jitter that grows with t->conflicts. */
void tx_run_again(struct task *t);
/* The same again, once the host's own trouble (a lost connection, a missing table) may be over. */
void tx_run_later(struct task *t);
#endif
