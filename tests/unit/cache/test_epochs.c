/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cache/epochs.h"
#include <cmocka.h>

static void a_reader_is_told_of_what_came_after_it(void **state) {
    struct epochs e;
    struct epochs_reader before, after;
    epochs_init(&e, 100);
    epochs_begin(&e, &before);
    assert_true(epochs_fresh(&e, &before, "a"));
    epochs_invalidate(&e, "a");
    epochs_begin(&e, &after);
    assert_false(epochs_fresh(&e, &before, "a"));
    assert_true(epochs_fresh(&e, &before, "b"));
    assert_true(epochs_fresh(&e, &after, "a"));
    epochs_invalidate(&e, "a");
    assert_false(epochs_fresh(&e, &after, "a"));
    epochs_end(&e, &before);
    epochs_end(&e, &after);
    epochs_free(&e);
}

/* Nobody began before it: nothing to remember. */
static void nothing_is_remembered_for_nobody(void **state) {
    struct epochs e;
    struct epochs_reader r;
    epochs_init(&e, 100);
    epochs_invalidate(&e, "a");
    assert_int_equal(epochs_count(&e), 0);
    epochs_begin(&e, &r);
    assert_true(epochs_fresh(&e, &r, "a"));
    epochs_end(&e, &r);
    epochs_free(&e);
}

static void what_nobody_needs_is_forgotten(void **state) {
    struct epochs e;
    struct epochs_reader first, second, third;
    epochs_init(&e, 100);
    epochs_begin(&e, &first);
    epochs_invalidate(&e, "a");
    epochs_invalidate(&e, "b");
    epochs_begin(&e, &second);
    epochs_invalidate(&e, "b"); /* now it is later than second */
    epochs_invalidate(&e, "c");
    epochs_begin(&e, &third);
    assert_int_equal(epochs_count(&e), 3);
    epochs_end(&e, &third); /* not the oldest: no change */
    assert_int_equal(epochs_count(&e), 3);
    epochs_end(&e, &first);
    assert_int_equal(epochs_count(&e), 2); /* "a" */
    assert_true(epochs_fresh(&e, &second, "a"));
    assert_false(epochs_fresh(&e, &second, "b"));
    assert_false(epochs_fresh(&e, &second, "c"));
    epochs_end(&e, &second);
    assert_int_equal(epochs_count(&e), 0);
    epochs_free(&e);
}

static void all_at_once(void **state) {
    struct epochs e;
    struct epochs_reader before, after;
    epochs_init(&e, 100);
    epochs_begin(&e, &before);
    epochs_invalidate(&e, "a");
    epochs_invalidate_all(&e);
    assert_int_equal(epochs_count(&e), 0);
    epochs_begin(&e, &after);
    assert_true(epochs_outdated(&e, &before));
    assert_false(epochs_fresh(&e, &before, "never named"));
    assert_false(epochs_outdated(&e, &after));
    assert_true(epochs_fresh(&e, &after, "a"));
    epochs_end(&e, &before);
    epochs_end(&e, &after);
    epochs_free(&e);
}

/* However long one reader takes, the memory is bounded; nothing old is ever taken for fresh. */
static void one_too_many_is_all(void **state) {
    struct epochs e;
    struct epochs_reader slow, after;
    char key[16];
    epochs_init(&e, 10);
    epochs_begin(&e, &slow);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        epochs_invalidate(&e, key);
        assert_true(epochs_count(&e) <= 10);
        assert_false(epochs_fresh(&e, &slow, key));
        assert_false(epochs_fresh(&e, &slow, "k0"));
    }
    for (int i = 0; i < 50; i++) /* the same key again is no other one */
        epochs_invalidate(&e, "k999");
    epochs_begin(&e, &after);
    assert_true(epochs_fresh(&e, &after, "k999"));
    epochs_end(&e, &slow);
    epochs_end(&e, &after);
    assert_int_equal(epochs_count(&e), 0);
    epochs_free(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_is_told_of_what_came_after_it),
        cmocka_unit_test(nothing_is_remembered_for_nobody),
        cmocka_unit_test(what_nobody_needs_is_forgotten),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(one_too_many_is_all),
    };
    return cmocka_run_group_tests_name("epochs", tests, NULL, NULL);
}
