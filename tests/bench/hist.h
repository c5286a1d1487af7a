/* SPDX-License-Identifier: MIT */
/* hist - latencies in log-linear buckets: 128 steps for each doubling, so that no value is off by
 * more than 1 %, from 1 us to an hour, in 30 KB. One thread. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H
#include <stdint.h>

#define HIST_STEPS 128
#define HIST_BUCKETS (32 * HIST_STEPS)

struct hist {
    uint64_t n, max_us;
    uint64_t counts[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);
/* The value that `percent` of all do not exceed, in ms; 0 when nothing was added. */
double hist_ms(const struct hist *h, double percent);
/* Writes `"p50": 1.2, "p90": …, "max": …` (ms) to standard output. */
void hist_print(const struct hist *h);
#endif
