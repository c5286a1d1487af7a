/* SPDX-License-Identifier: MIT */
#include "core/retry.h"
#include "base/id.h"

int64_t retry_random(int64_t low, int64_t high) {
    uint64_t r = 0;
    if (high <= low)
        return low;
    id_random(&r, sizeof r);
    return low + (int64_t)(r % (uint64_t)(high - low + 1));
}

static const struct gen_retry preset = {
    .max_attempts = -1, .initial_ms = -1, .max_ms = -1, .jitter = -1};

static int64_t exponential(int64_t initial, int64_t max, int attempt) {
    int64_t delay = initial;
    for (int i = 1; i < attempt && delay < max; i++)
        delay *= 2;
    return delay < max ? delay : max;
}

int64_t retry_delay_ms(const struct config *cfg, const struct gen_retry *policy, int attempt) {
    const struct gen_retry *p = policy ? policy : &preset;
    int64_t initial = p->initial_ms >= 0 ? p->initial_ms : cfg->retry_initial_ms;
    int64_t max = p->max_ms >= 0 ? p->max_ms : cfg->retry_max_ms, delay;
    double jitter = p->jitter;
    if (p->backoff == BACKOFF_LIST) {
        delay = p->list_ms[attempt < p->n_list ? attempt - 1 : p->n_list - 1];
    } else if (p->backoff == BACKOFF_FIXED) {
        delay = initial;
    } else {
        delay = exponential(initial, max > initial ? max : initial, attempt);
        jitter = jitter < 0 ? .5 : jitter;
    }
    return jitter > 0 ? retry_random(delay - (int64_t)((double)delay * jitter), delay) : delay;
}

int64_t retry_max_attempts(const struct config *cfg, const struct gen_retry *policy) {
    return policy && policy->max_attempts > 0 ? policy->max_attempts : cfg->max_attempts;
}
