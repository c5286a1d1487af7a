/* SPDX-License-Identifier: MIT */
/* Width: what conflicts do to how many transactions run side by side. */
#include "core/width.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* So many transactions end, every nth with a conflict (0: none). How many run side by side then. */
static int after(struct width *w, int times, int nth) {
    for (int i = 1; i <= times; i++)
        width_learn(w, nth && i % nth == 0 ? WIDTH_CONFLICT : WIDTH_CALM);
    return w->now;
}

static void starts_narrow(void **state) {
    struct width w;
    width_init(&w, 16);
    assert_int_equal(w.now, 4);
    width_init(&w, 2);
    assert_int_equal(w.now, 2);
}

static void widens_when_calm_up_to_the_connections(void **state) {
    struct width w;
    width_init(&w, 16);
    assert_int_equal(after(&w, 4, 0), 8);
    assert_int_equal(after(&w, 8, 0), 16);
    assert_int_equal(after(&w, 100, 0), 16);
}

static void conflicts_narrow_it_to_one(void **state) {
    struct width w;
    width_init(&w, 16);
    assert_int_equal(after(&w, 60, 2), 1);
}

static void a_block_narrows_it_at_once(void **state) {
    struct width w;
    width_init(&w, 16);
    assert_int_equal(after(&w, 100, 0), 16);
    assert_true(width_learn(&w, WIDTH_BLOCKED));
    assert_int_equal(w.now, 8);
}

static void takes_turns_where_one_at_a_time_is_too_many(void **state) {
    struct width w;
    width_init(&w, 4);
    assert_int_equal(after(&w, 300, 5), 1);
    assert_int_equal(w.places, 0); /* a fifth in vain is cheaper than waiting */
    assert_int_equal(after(&w, 40, 2), 1);
    assert_int_equal(w.places, 4);
    assert_int_equal(after(&w, 200, 2), 1);
    assert_int_equal(w.places, 1);
}

static void blocks_lead_to_turns_sooner(void **state) {
    struct width w;
    width_init(&w, 1);
    for (int i = 0; i < 3; i++)
        width_learn(&w, WIDTH_BLOCKED);
    assert_int_equal(w.places, 4);
}

static void gives_turns_up_when_calm(void **state) {
    struct width w;
    width_init(&w, 4);
    after(&w, 300, 2);
    assert_int_equal(w.places, 1);
    int calm = 0, places = 1;
    while (w.places) {
        assert_int_equal(after(&w, 1, 0), 1);
        assert_true(w.places == places || w.places == 2 * places || !w.places);
        places = w.places;
        calm++;
    }
    assert_in_range(calm, 500, 2000);
    while (w.now == 1)
        after(&w, 1, 0);
    assert_int_equal(w.now, 2);
}

static void calms_down_again(void **state) {
    struct width w;
    width_init(&w, 8);
    assert_int_equal(after(&w, 30, 2), 1);
    assert_true(after(&w, 300, 0) > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_narrow),
        cmocka_unit_test(widens_when_calm_up_to_the_connections),
        cmocka_unit_test(conflicts_narrow_it_to_one),
        cmocka_unit_test(a_block_narrows_it_at_once),
        cmocka_unit_test(takes_turns_where_one_at_a_time_is_too_many),
        cmocka_unit_test(blocks_lead_to_turns_sooner),
        cmocka_unit_test(gives_turns_up_when_calm),
        cmocka_unit_test(calms_down_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
