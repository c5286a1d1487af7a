/* SPDX-License-Identifier: MIT */
/* Lanes: who may run beside whom, and what conflicts do to the width. */
#include "core/lane.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MANY 400

struct entrant {
    struct lane_waiter w;
    int order; /* 0: still waiting */
};

static struct config cfg;
static struct host h;
static struct entrant all[MANY];
static int started, left;

static void on_turn(void *arg) {
    ((struct entrant *)arg)->order = ++started;
}

static struct lane *fresh(int connections) {
    static const struct gen_op op = {.queue_name = "jobs", .path = "users.create"};
    lanes_delete(&h);
    cfg.connections = connections;
    h = (struct host){.cfg = &cfg};
    started = left = 0;
    for (int i = 0; i < MANY; i++)
        all[i].order = 0;
    return lane_of(&h, &op);
}

static void enter(struct lane *l, int from, int to) {
    for (int i = from; i < to; i++)
        lane_enter(l, &all[i].w, false, on_turn, &all[i]);
}

/* One after the other leaves; every nth conflicted (0: none). How many are side by side then. */
static int leave(struct lane *l, int times, int nth) {
    for (int i = 1; i <= times; i++, left++)
        lane_leave(l, nth && i % nth == 0);
    return started - left;
}

static void starts_narrow_and_in_order(void **state) {
    struct lane *l = fresh(16);
    enter(l, 0, 10);
    assert_int_equal(started, 4);
    lane_leave(l, false);
    assert_int_equal(started, 5);
    assert_int_equal(all[4].order, 5);
}

static void one_that_comes_back_goes_first(void **state) {
    struct lane *l = fresh(16);
    enter(l, 0, 10);
    lane_enter(l, &all[20].w, true, on_turn, &all[20]);
    lane_leave(l, true);
    assert_int_equal(all[20].order, 5);
}

static void widens_when_calm_up_to_the_connections(void **state) {
    struct lane *l = fresh(16);
    enter(l, 0, MANY);
    assert_int_equal(leave(l, 4, 0), 8);
    assert_int_equal(leave(l, 8, 0), 16);
    assert_int_equal(leave(l, 100, 0), 16);
}

static void conflicts_narrow_it_to_one(void **state) {
    struct lane *l = fresh(16);
    enter(l, 0, MANY);
    assert_int_equal(leave(l, 60, 2), 1);
}

static void calms_down_again(void **state) {
    struct lane *l = fresh(8);
    enter(l, 0, MANY);
    assert_int_equal(leave(l, 30, 2), 1);
    assert_true(leave(l, 300, 0) > 1);
}

static void lanes_are_apart(void **state) {
    static const struct gen_op other = {.queue_name = "events", .path = "users.create"};
    struct lane *l = fresh(16);
    struct lane *o = lane_of(&h, &other);
    assert_ptr_not_equal(l, o);
    assert_ptr_equal(o, lane_of(&h, &other));
    enter(l, 0, 10);
    lane_enter(o, &all[50].w, false, on_turn, &all[50]);
    assert_int_not_equal(all[50].order, 0);
}

static int teardown(void **state) {
    lanes_delete(&h);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_narrow_and_in_order),
        cmocka_unit_test(one_that_comes_back_goes_first),
        cmocka_unit_test(widens_when_calm_up_to_the_connections),
        cmocka_unit_test(conflicts_narrow_it_to_one),
        cmocka_unit_test(calms_down_again),
        cmocka_unit_test(lanes_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
