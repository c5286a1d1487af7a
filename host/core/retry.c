/* SPDX-License-Identifier: MIT */
#include "core/retry.h"
#include <stdlib.h>
#include <sys/random.h>

int64_t retry_random(int64_t low, int64_t high) {
    uint64_t r = 0;
    if (high <= low)
        return low;
    if (getrandom(&r, sizeof r, 0) != sizeof r)
        abort(); /* cannot happen for 8 bytes once the kernel is seeded */
    return low + (int64_t)(r % (uint64_t)(high - low + 1));
}

int64_t retry_delay_ms(const struct config *cfg, int attempt) {
    int64_t delay = cfg->retry_initial_ms;
    for (int i = 1; i < attempt && delay < cfg->retry_max_ms; i++)
        delay *= 2;
    if (delay > cfg->retry_max_ms)
        delay = cfg->retry_max_ms;
    return retry_random(delay / 2, delay);
}
