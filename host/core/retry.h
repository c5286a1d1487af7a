/* SPDX-License-Identifier: MIT */
/* retry - how long to wait before the next attempt, and how often there is one. Pure. */
#ifndef RBF_RETRY_H
#define RBF_RETRY_H
#include "base/config.h"
#include "vm/gen.h"

/* Milliseconds before the attempt that follows attempt number n (from 1). By policy, and by the
 * host's settings where it says nothing (NULL: all of it): exponential from retryInitial to
 * retryMax, of which the upper half is random, so that what failed together does not come back
 * together; fixed waits and lists are random only if their jitter says so. */
int64_t retry_delay_ms(const struct config *cfg, const struct gen_retry *policy, int attempt);
int64_t retry_max_attempts(const struct config *cfg, const struct gen_retry *policy);
/* Uniform in [low, high]. */
int64_t retry_random(int64_t low, int64_t high);
#endif
