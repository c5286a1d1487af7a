/* SPDX-License-Identifier: MIT */
/* settle - the outcome of what did not succeed (DESIGN 5, the table): stored error, plain refusal,
 * parked for a later attempt, or dead letter; each durable in a transaction of its own before the
 * message is acked. Loop thread only. */
#ifndef RBF_SETTLE_H
#define RBF_SETTLE_H
#include "core/task.h"

/* After a handler's failure. conn is lent with its transaction still open or failed; settle rolls
 * it back and releases it; NULL: it takes one of its own. The failure is copied. failed: the call,
 * if its operation has onError hooks (settle deletes it), else NULL. */
void settle_failure(struct task *t, struct pgconn *conn, const struct failure *f,
                    struct call *failed);
/* A message that is refused before or instead of running: replies; nobody waiting → dead letter.
 * issues: JSON or NULL. with_result: the dead letter claims the request id (not for
 * REQUEST_ID_CONFLICT, whose id has its outcome). */
void settle_refuse(struct task *t, int status, const char *code, const char *message,
                   const char *issues, bool with_result);
/* A message that took its worker down with it each time it ran alone: 500, and a dead letter. */
void settle_poison(struct task *t);
/* Target-At in the future: into the outbox until then. */
void settle_delay(struct task *t);
/* Unknown path: NAKs for a grace (a newer host may know it), then 404; nobody waiting → parked. */
void settle_unknown(struct task *t);
#endif
