/* SPDX-License-Identifier: MIT */
/* retry - how long to wait before the next attempt. Pure. */
#ifndef RBF_RETRY_H
#define RBF_RETRY_H
#include "base/config.h"

/* Milliseconds before the attempt that follows attempt number n (from 1): exponential from
 * retryInitial to retryMax, of which the upper half is random, so that what failed together does
 * not come back together. */
int64_t retry_delay_ms(const struct config *cfg, int attempt);
/* Uniform in [low, high]. */
int64_t retry_random(int64_t low, int64_t high);
#endif
