/* SPDX-License-Identifier: MIT */
/* sweeper - publishes outbox rows that are due or were left behind by a host that died. Holds each
 * row's lock until NATS has it, so that several hosts share the work. Woken by a timer for the
 * next due time, and at least every second. Also keeps the database's clock offset. Loop thread
 * only. */
#ifndef RBF_SWEEPER_H
#define RBF_SWEEPER_H
#include "core/host.h"

struct sweeper *sweeper_new(struct host *h) NODISCARD;
void sweeper_start(struct sweeper *s);
/* A row of ours is due at target_at (ms epoch by the database's clock). */
void sweeper_arm(struct sweeper *s, int64_t target_at);
/* No new sweep; one under way ends. */
void sweeper_stop(struct sweeper *s);
bool sweeper_idle(const struct sweeper *s);
void sweeper_delete(struct sweeper *s);
#endif
