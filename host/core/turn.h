/* SPDX-License-Identifier: MIT */
/* turn - a place that the narrow lanes of all workers and hosts share (width.h): whoever has it
 * runs its transaction, the others wait their turn in PostgreSQL, in their order. An advisory lock
 * of the session, as it has to be there before BEGIN: a transaction's snapshot must be younger than
 * the one before it. It only saves work: who waits too long goes on without. Loop thread only. */
#ifndef RBF_TURN_H
#define RBF_TURN_H
#include "pg/pgconn.h"

#define TURN_PATIENCE_MS 1000

/* The same for the same operation of the same namespace, everywhere. */
int32_t turn_key(const char *ns, const char *operation);
/* Adds one statement, to be followed by a sync of its own. It fails where it waited for too long,
 * and may have the lock all the same, granted in the last moment: it is to be left in any case. */
void turn_add_take(struct pgconn *c, int32_t key);
/* How long that took, in ms; its failure: TURN_PATIENCE_MS. */
int turn_waited_ms(const struct pgres *taken);
/* Adds one statement; not inside a transaction. */
void turn_add_leave(struct pgconn *c, int32_t key);
/* False: perhaps it is held still. */
bool turn_left(const struct pgres *left);
#endif
