/* SPDX-License-Identifier: MIT */
/* cron - fires the app's crons: each slot once, however many hosts and versions there are. Loop
 * thread only.
 *
 * Every worker may fire. A slot is claimed by one conditional UPDATE of rbf_crons, and the same
 * statement inserts the outbox row, whose request id is cron:<name>:<slot>: both or neither, once.
 * The sweeper publishes the row.
 *
 * Versions: each worker registers its app's version in rbf_cron_versions and says every so often
 * that it is alive. In force is, of the versions alive, the one that was deployed last: whose first
 * host came last, or to which a host reloaded last. Only its workers define, claim and remove. A
 * version unheard of for cron_lease_ms is dead (its hosts were rolled back, say); a host that comes
 * with it after that deploys it anew, a worker that is only started again does not.
 *
 * Time: the database's clock decides what is due, and is asked before each claim; a monotonic timer
 * waits. A slot up to CRON_GRACE_MS late fires as usual. Older ones were missed: of them all the
 * latest fires ("once"), or none ("skip"). A spec that is new or changed counts from now, never
 * back before the slot that fired last. */
#ifndef RBF_CRON_H
#define RBF_CRON_H
#include "core/host.h"

#define CRON_GRACE_MS 60000

struct cron *cron_new(struct host *h) NODISCARD;
/* Begins, unless --no-cron. */
void cron_start(struct cron *c);
/* The live generation has changed. */
void cron_wake(struct cron *c);
/* Claims nothing more; a flight under way ends. */
void cron_stop(struct cron *c);
bool cron_idle(const struct cron *c);
void cron_delete(struct cron *c); /* NULL is allowed */
#endif
