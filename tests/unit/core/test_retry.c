/* SPDX-License-Identifier: MIT */
#include "core/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void grows_to_its_limit_with_jitter(void **state) {
    const struct config cfg = {.retry_initial_ms = 100, .retry_max_ms = 5000};
    const int64_t full[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    for (int attempt = 1; attempt <= 8; attempt++) {
        int64_t low = INT64_MAX, high = 0;
        for (int i = 0; i < 2000; i++) {
            int64_t ms = retry_delay_ms(&cfg, NULL, attempt);
            low = ms < low ? ms : low;
            high = ms > high ? ms : high;
        }
        assert_in_range(low, full[attempt - 1] / 2, full[attempt - 1] * 3 / 4);
        assert_in_range(high, full[attempt - 1] * 3 / 4, full[attempt - 1]);
    }
}

static void a_huge_attempt_does_not_overflow(void **state) {
    const struct config cfg = {.retry_initial_ms = 100, .retry_max_ms = 300000};
    assert_in_range(retry_delay_ms(&cfg, NULL, 1000000), 150000, 300000);
}

static const struct config settings = {
    .retry_initial_ms = 100, .retry_max_ms = 5000, .max_attempts = 10};

static void policies(void **state) {
    struct gen_retry p = {.max_attempts = -1, .initial_ms = -1, .max_ms = -1, .jitter = 0};
    assert_int_equal(retry_delay_ms(&settings, &p, 3), 400);
    assert_int_equal(retry_max_attempts(&settings, &p), 10);
    assert_int_equal(retry_max_attempts(&settings, NULL), 10);
    p.initial_ms = 10;
    p.max_ms = 35;
    p.max_attempts = 3;
    assert_int_equal(retry_delay_ms(&settings, &p, 2), 20);
    assert_int_equal(retry_delay_ms(&settings, &p, 9), 35);
    assert_int_equal(retry_max_attempts(&settings, &p), 3);
    p.backoff = BACKOFF_FIXED;
    p.jitter = -1;
    assert_int_equal(retry_delay_ms(&settings, &p, 9), 10);
    p.initial_ms = 8000; /* longer than the settings' longest wait */
    p.max_ms = -1;
    assert_int_equal(retry_delay_ms(&settings, &p, 1), 8000);
    p.backoff = BACKOFF_EXPONENTIAL;
    p.jitter = 0;
    assert_int_equal(retry_delay_ms(&settings, &p, 4), 8000);
    p.backoff = BACKOFF_LIST;
    p.list_ms = (int64_t[]){5, 50, 0};
    p.n_list = 3;
    assert_int_equal(retry_delay_ms(&settings, &p, 1), 5);
    assert_int_equal(retry_delay_ms(&settings, &p, 2), 50);
    assert_int_equal(retry_delay_ms(&settings, &p, 3), 0);
    assert_int_equal(retry_delay_ms(&settings, &p, 99), 0);
    p.jitter = 1;
    for (int i = 0; i < 100; i++)
        assert_in_range(retry_delay_ms(&settings, &p, 2), 0, 50);
}

static void random_keeps_its_bounds(void **state) {
    assert_int_equal(retry_random(7, 7), 7);
    assert_int_equal(retry_random(7, 3), 7);
    for (int i = 0; i < 1000; i++)
        assert_in_range(retry_random(1, 3), 1, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_limit_with_jitter),
        cmocka_unit_test(a_huge_attempt_does_not_overflow),
        cmocka_unit_test(policies),
        cmocka_unit_test(random_keeps_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
