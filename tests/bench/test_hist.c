/* SPDX-License-Identifier: MIT */
/* The bench's latency buckets: percentiles are within 1 % of the sorted values. */
#include "hist.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct hist hist;

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void percentiles_are_within_one_percent(void **state) {
    enum { N = 20000 };
    static uint64_t us[N];
    static const double percents[] = {0.01, 1, 50, 90, 99, 99.9, 100};
    memset(&hist, 0, sizeof hist);
    for (int i = 0; i < N; i++) { /* 1 us to 20 minutes, each size as often */
        us[i] = (uint64_t)exp(drand48() * log(1.2e9)) + 1;
        hist_add(&hist, us[i]);
    }
    qsort(us, N, sizeof *us, by_size);
    for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
        double want = (double)us[(int)ceil(N * percents[i] / 100) - 1] / 1000;
        assert_true(fabs(hist_ms(&hist, percents[i]) - want) <= want * .01);
    }
}

static void small_values_are_exact(void **state) {
    memset(&hist, 0, sizeof hist);
    for (uint64_t us = 1; us <= 200; us++)
        hist_add(&hist, us);
    assert_true(fabs(hist_ms(&hist, 50) - .1) < 1e-9);
    assert_true(fabs(hist_ms(&hist, 100) - .2) < 1e-9);
}

static void nothing_is_zero(void **state) {
    memset(&hist, 0, sizeof hist);
    assert_true(hist_ms(&hist, 99) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_one_percent),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(nothing_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
