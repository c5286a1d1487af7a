/* SPDX-License-Identifier: MIT */
#include "wire/ctl.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void frames_survive_any_split(void **state) {
    struct buf all = {0};
    ctl_put(&all, CTL_PREPARE, 0x01020304, "tree\0bytes", 10);
    size_t first = all.len;
    ctl_put(&all, CTL_BEAT, 9, NULL, 0);
    ctl_put(&all, CTL_FATAL, 0, "no", 2);
    assert_memory_equal(all.p, "\x0f\0\0\0P\x04\x03\x02\x01tree\0bytes", 19);
    for (size_t n = 0; n <= all.len; n++) {
        struct buf part = {0};
        struct ctl_frame f;
        size_t used = 0;
        part.p = xmemdup(all.p, n); /* tight: reading beyond it is caught by the sanitizer */
        part.len = n;
        assert_int_equal(ctl_take(&part, &f, &used), n >= first);
        if (n >= first) {
            assert_int_equal(used, first);
            assert_int_equal(f.type, CTL_PREPARE);
            assert_int_equal(f.number, 0x01020304);
            assert_int_equal(f.len, 10);
            assert_memory_equal(f.payload, "tree\0bytes", 10);
        }
        free(part.p);
    }
    struct ctl_frame f;
    size_t used, at = first;
    struct buf rest = {all.p + at, all.len - at, 0};
    assert_int_equal(ctl_take(&rest, &f, &used), 1);
    assert_int_equal(f.type, CTL_BEAT);
    assert_int_equal(f.number, 0);
    assert_int_equal(f.len, 0);
    at += used;
    rest = (struct buf){all.p + at, all.len - at, 0};
    assert_int_equal(ctl_take(&rest, &f, &used), 1);
    assert_int_equal(f.type, CTL_FATAL);
    assert_memory_equal(f.payload, "no", 2);
    assert_int_equal(at + used, all.len);
    buf_free(&all);
}

static void every_type_comes_back(void **state) {
    static const char types[] = "PCADprlbf";
    for (const char *t = types; *t; t++) {
        struct buf b = {0};
        struct ctl_frame f;
        size_t used;
        ctl_put(&b, (enum ctl_type) * t, 7, "x", 1);
        assert_int_equal(ctl_take(&b, &f, &used), 1);
        assert_int_equal(f.type, *t);
        assert_int_equal(f.number, strchr("Dbf", *t) ? 0 : 7);
        assert_int_equal(f.len, 1);
        assert_int_equal(used, b.len);
        buf_free(&b);
    }
}

static void broken_streams_are_seen(void **state) {
    struct ctl_frame f;
    size_t used;
    struct buf zero = {(char[]){0, 0, 0, 0}, 4, 0};
    assert_int_equal(ctl_take(&zero, &f, &used), -1);
    struct buf unknown = {(char[]){1, 0, 0, 0, 'x'}, 5, 0};
    assert_int_equal(ctl_take(&unknown, &f, &used), -1);
    struct buf nul = {(char[]){1, 0, 0, 0, 0}, 5, 0};
    assert_int_equal(ctl_take(&nul, &f, &used), -1);
    struct buf huge = {(char[]){0, 0, 0, 0x7f}, 4, 0};
    assert_int_equal(ctl_take(&huge, &f, &used), -1);
    struct buf no_number = {(char[]){3, 0, 0, 0, 'C', 1, 2}, 7, 0};
    assert_int_equal(ctl_take(&no_number, &f, &used), -1);
}

static void random_bytes(void **state) {
    unsigned seed = 1, taken = 0;
    for (int round = 0; round < 200000; round++) {
        struct buf b = {0};
        struct ctl_frame f;
        size_t used = 0, n = (size_t)rand_r(&seed) % 24;
        b.p = malloc(n + 1);
        b.len = n;
        for (size_t i = 0; i < n; i++)
            b.p[i] = (char)(i == 0  ? rand_r(&seed) % 16
                            : i < 4 ? 0
                                    : "PCADprlbf\1x"[rand_r(&seed) % 11]);
        if (ctl_take(&b, &f, &used) == 1) {
            taken++;
            assert_true(used <= n && f.payload + f.len == b.p + used);
        }
        free(b.p);
    }
    assert_true(taken > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_any_split),
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(broken_streams_are_seen),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
