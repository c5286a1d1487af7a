/* SPDX-License-Identifier: MIT */
/* turn - a place that the narrow lanes of all workers and hosts share (width.h): whoever has it
 * runs its transaction, the others wait their turn in PostgreSQL, in their order. An advisory lock
 * of the session, as it has to be there before BEGIN: a transaction's snapshot must be younger than
 * the one before it. It only saves work: who waits too long goes on without. Loop thread only. */
#ifndef RBF_TURN_H
#define RBF_TURN_H
#include "pg/pgconn.h"

/* The same for the same operation of the same namespace, everywhere. */
int32_t turn_key(const char *ns, const char *operation);
#define TURN_PATIENCE_MS 1000

/* Adds one statement, to be followed by a sync of its own; it fails where it waited for longer. */
void turn_add_take(struct pgconn *c, int32_t key);
/* Adds one statement; not inside a transaction. */
void turn_add_leave(struct pgconn *c, int32_t key);
#endif
