/* SPDX-License-Identifier: MIT */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "cli/progress.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void expect(const char *expected, int64_t done, int64_t total, int width) {
    struct progress p = {.what = "working", .total = total, .done = done};
    struct buf out = {0};
    progress_put(&out, &p, width, 10000);
    assert_string_equal(expected, out.p);
    buf_free(&out);
}

static void draws_what_is_done(void **state) {
    expect("working [#######.......................] 25/100, 30s left", 25, 100, 80);
    expect("working [..............................] 0/100", 0, 100, 80);
    expect("working [##############################] 100/100", 100, 100, 80);
    expect("working [##############################] 101/100", 101, 100, 80);
    expect("working 7", 7, 0, 80);
    expect("working 10s", 0, 0, 80);
}

static void fits_the_width(void **state) {
    expect("working [##......] 25/100, 30s left", 25, 100, 36);
    expect("working 25/100, 30s left", 25, 100, 30);
}

static void is_silent_where_nobody_looks(void **state) {
    int ends[2], saved = dup(STDERR_FILENO);
    char byte;
    assert_int_equal(0, pipe(ends));
    dup2(ends[1], STDERR_FILENO);
    struct progress p = progress_begin("working", 2);
    p.began_ms -= 5000;
    progress_step(&p);
    progress_end(&p);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    close(saved);
    assert_int_equal(0, read(ends[0], &byte, 1));
    close(ends[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_is_done),
        cmocka_unit_test(fits_the_width),
        cmocka_unit_test(is_silent_where_nobody_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
