/* SPDX-License-Identifier: MIT */
/* What is done about crons, given their rows and the time. */
#include "core/cron.h"
#include "core/cronplan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HOUR 3600000LL
#define NOON (1767268800LL * 1000) /* 2026-01-01T12:00:00Z */

static struct gen_cron cron; /* hourly */
static struct gen gen = {.version = "new", .crons = &cron, .n_crons = 1};
static struct cronplan plan;

static int set_up(void **state) {
    cron = (struct gen_cron){.name = "tidy",
                             .spec_text = "0 * * * *",
                             .tz = "UTC",
                             .missed = "once",
                             .subject = "jobs.tidy"};
    return cronspec_parse(&cron.spec, cron.spec_text, NULL);
}

static int tear_down(void **state) {
    cronplan_free(&plan);
    return 0;
}

static struct cronrow row_at(int64_t next_at, int64_t last_slot) {
    return (struct cronrow){.name = "tidy",
                            .spec = "0 * * * *",
                            .tz = "UTC",
                            .path = "p.jobs.tidy",
                            .missed = cron.missed,
                            .version = "new",
                            .next_at = next_at,
                            .last_slot = last_slot};
}

static int64_t make(int64_t now, const struct cronrow *rows, int n) {
    return cronplan_make(&plan, &gen, "p.", now, rows, n);
}

static void expect(enum cronact_type type, int64_t slot, int64_t next) {
    assert_int_equal(plan.n, 1);
    assert_int_equal(plan.acts[0].type, type);
    assert_int_equal(plan.acts[0].slot, slot);
    assert_int_equal(plan.acts[0].next, next);
}

static void unknown(void **state) {
    make(NOON, NULL, 0);
    expect(CRONACT_DEFINE, 0, NOON + HOUR); /* a slot of this very moment is not ours */
    assert_string_equal(plan.acts[0].path, "p.jobs.tidy");
}

static void waiting(void **state) {
    struct cronrow row = row_at(NOON + HOUR, NOON);
    assert_int_equal(make(NOON + 1, &row, 1), HOUR - 1);
    assert_int_equal(plan.n, 0);
}

static void due(void **state) {
    struct cronrow row = row_at(NOON, NOON - HOUR);
    make(NOON, &row, 1);
    expect(CRONACT_FIRE, NOON, NOON + HOUR);
    assert_int_equal(plan.acts[0].was, NOON);
}

static void late(void **state) {
    cron.missed = "skip";
    struct cronrow row = row_at(NOON, NOON - HOUR);
    make(NOON + CRON_GRACE_MS, &row, 1);
    expect(CRONACT_FIRE, NOON, NOON + HOUR);
}

static void missed_once(void **state) {
    struct cronrow row = row_at(NOON - 5 * HOUR, NOON - 6 * HOUR);
    make(NOON + 30 * 60000, &row, 1);
    expect(CRONACT_FIRE, NOON, NOON + HOUR);
    assert_int_equal(plan.acts[0].was, NOON - 5 * HOUR);
}

static void missed_skip(void **state) {
    cron.missed = "skip";
    struct cronrow row = row_at(NOON - 5 * HOUR, NOON - 6 * HOUR);
    make(NOON + 30 * 60000, &row, 1);
    expect(CRONACT_SKIP, NOON + HOUR, NOON + HOUR);
}

static void missed_skip_but_one_in_time(void **state) {
    cron.missed = "skip";
    struct cronrow row = row_at(NOON - 5 * HOUR, NOON - 6 * HOUR);
    make(NOON + 1000, &row, 1);
    expect(CRONACT_FIRE, NOON, NOON + HOUR);
}

static void changed(void **state) {
    struct cronrow row = row_at(NOON - HOUR, NOON - 2 * HOUR);
    row.spec = "30 * * * *";
    make(NOON, &row, 1);
    expect(CRONACT_DEFINE, 0, NOON + HOUR);
}

static void changed_while_the_clock_was_back(void **state) {
    struct cronrow row = row_at(NOON + 2 * HOUR, NOON + HOUR);
    row.tz = "Asia/Tokyo";
    make(NOON, &row, 1);
    expect(CRONACT_DEFINE, 0, NOON + 2 * HOUR); /* not the slot that has fired */
}

static void of_another_version(void **state) {
    struct cronrow row = row_at(NOON + HOUR, NOON);
    row.version = "old";
    make(NOON, &row, 1);
    assert_int_equal(plan.n, 1);
    assert_int_equal(plan.acts[0].type, CRONACT_DEFINE);
}

static void clock_went_back(void **state) {
    struct cronrow row = row_at(NOON + 25 * HOUR, NOON + 24 * HOUR);
    make(NOON, &row, 1);
    expect(CRONACT_BACK, 0, NOON + HOUR);
    cronplan_free(&plan);
    row = row_at(NOON + 2 * HOUR, NOON + HOUR); /* by little: waited for */
    assert_int_equal(make(NOON, &row, 1), 2 * HOUR);
    assert_int_equal(plan.n, 0);
}

static void removed(void **state) {
    struct cronrow rows[] = {row_at(NOON + HOUR, NOON), row_at(NOON, 0)};
    rows[1].name = "gone";
    make(NOON, rows, 2);
    expect(CRONACT_REMOVE, 0, 0);
    assert_string_equal(plan.acts[0].name, "gone");
}

/* A row that a host with another tzdata made may be no slot here. */
static void no_slot_of_ours(void **state) {
    struct cronrow row = row_at(NOON - 70 * 60000, NOON - 2 * HOUR);
    cron.spec_text = "@yearly";
    assert_int_equal(cronspec_parse(&cron.spec, "0 0 1 6 *", NULL), 0);
    row.spec = "@yearly";
    make(NOON, &row, 1);
    expect(CRONACT_FIRE, NOON - 70 * 60000, 1780272000000);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unknown),
        TEST(waiting),
        TEST(due),
        TEST(late),
        TEST(missed_once),
        TEST(missed_skip),
        TEST(missed_skip_but_one_in_time),
        TEST(changed),
        TEST(changed_while_the_clock_was_back),
        TEST(of_another_version),
        TEST(clock_went_back),
        TEST(removed),
        TEST(no_slot_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
