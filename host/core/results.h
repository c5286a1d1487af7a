/* SPDX-License-Identifier: MIT */
/* results - the SQL of rbf_results: which requests had their outcome, and the outcome of one. Loop
 * thread only; only adds statements to a flight. */
#ifndef RBF_RESULTS_H
#define RBF_RESULTS_H
#include "core/task.h"

/* Adds: one row for each request id of the tasks (struct task.member) that has a stored result,
 * with the columns number (from 1), status, data, requested_path, requested_input; all NULL but the
 * first for a message that had its outcome so long ago that its result is purged (purge.h). To be
 * sent outside of a SERIALIZABLE transaction: there, looking for absent ids conflicts with
 * everybody's inserts. */
void results_add_lookup(struct pgconn *c, const struct host *h, const struct list *members);
/* Adds the plain INSERT of one result; data: JSON. 23505 says that a twin was faster. */
void results_add_insert(struct pgconn *c, const struct task *t, int status, const char *data);
/* The same with status 200 for all tasks of a transaction (struct task.member), of one generation:
 * what their runs came to. */
void results_add_inserts(struct pgconn *c, const struct list *ran);
/* Did a flight fail because the request has its outcome already? */
bool results_taken(const struct pgflight *f);
#endif
