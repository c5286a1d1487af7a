/* SPDX-License-Identifier: MIT */
#include "hist.h"
#include <math.h>
#include <stdio.h>

/* Below HIST_STEPS one bucket a value; above it the highest 8 bits choose. */
static unsigned bucket_of(uint64_t us) {
    unsigned shift = 0;
    while (us >> shift >= 2 * HIST_STEPS)
        shift++;
    unsigned bucket = shift * HIST_STEPS + (unsigned)(us >> shift);
    return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

/* The middle of what falls into it. */
static double us_of(unsigned bucket) {
    unsigned shift = bucket < 2 * HIST_STEPS ? 0 : bucket / HIST_STEPS - 1;
    return ldexp((double)(bucket - shift * HIST_STEPS) + (shift ? .5 : 0), (int)shift);
}

void hist_add(struct hist *h, uint64_t us) {
    h->counts[bucket_of(us)]++;
    h->n++;
    if (us > h->max_us)
        h->max_us = us;
}

double hist_ms(const struct hist *h, double percent) {
    uint64_t want = (uint64_t)ceil((double)h->n * percent / 100), seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS && h->n; i++) {
        seen += h->counts[i];
        if (seen >= want)
            return fmin(us_of(i), (double)h->max_us) / 1000;
    }
    return 0;
}

void hist_print(const struct hist *h) {
    static const double percents[] = {50, 90, 95, 99, 99.9};
    for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++)
        printf("\"p%g\": %.4g, ", percents[i], hist_ms(h, percents[i]));
    printf("\"max\": %.4g", (double)h->max_us / 1000);
}
