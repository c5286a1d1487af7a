/* SPDX-License-Identifier: MIT */
/* purge - deletes what is old: results after resultsRetention, dead letters after deadRetention,
 * rows of rbf_suspects after a week. Any number of hosts may do it, one at a time does; small
 * batches with pauses, so that mutations never wait for it for long.
 *
 * A result goes when nothing that could ask for it is left: it is older than the retention, and by
 * that much older than the oldest message that is not acked yet in the namespace's streams and than
 * the oldest outbox row that may be in a stream already. (A request that was sent again within the
 * retention finds its result, however long it waits.) While NATS is away, or does not say, nothing
 * is purged. With the first results rbf_horizons says for each stream which messages that had left
 * it may be without a result now, for servers that bring them back. Loop thread only. */
#ifndef RBF_PURGE_H
#define RBF_PURGE_H
#include "core/host.h"

struct purge;

struct purge *purge_new(struct host *h) NODISCARD;
/* No effect with --no-sweeper. */
void purge_start(struct purge *p);
/* Nothing new is begun; a batch under way ends by itself, or is rolled back. */
void purge_stop(struct purge *p);
void purge_delete(struct purge *p);
#endif
