/* SPDX-License-Identifier: MIT */
/* Crons in a generation: what the host gets of them, and what the user reads when one cannot be. */
#include "vmtest.h"

#define APP                                                                                        \
    "local rbf = require 'rbf'\n"                                                                  \
    "return rbf.defineBackend { queues = { jobs = {}, events = { subject = 'ev' } } }\n"
#define OP                                                                                         \
    "local app, z = require 'app', require('rbf').z\n"                                             \
    "local op = app:mutation('events', { path = 'mail.$to', input = z.object { n = z.int() },"     \
    " handler = function() end })\n"

static void good(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua", APP, "first.lua",
        "require('app'):cron('@hourly', 'events.mail.$to', { params = { to = 'x y' },"
        " input = { n = 1 }, tz = 'Europe/Berlin', missed = 'skip', name = 'a' })",
        "op.lua", OP "\napp:cron('0 3 * * *', op, { params = { to = 2 }, input = { n = 3 } })",
        NULL));
    assert_int_equal(g->n_crons, 2);
    const struct gen_cron *c = g->crons;
    assert_string_equal(c[0].name, "a");
    assert_string_equal(c[0].spec_text, "@hourly");
    assert_string_equal(c[0].tz, "Europe/Berlin");
    assert_string_equal(c[0].missed, "skip");
    assert_string_equal(c[0].subject, "ev.mail.x%20y");
    assert_string_equal(c[0].data, "{\"n\":1}");
    assert_string_equal(c[0].file, "/srv/app/first.lua:1");
    assert_int_equal(zone_offset(c[0].zone, 1767268800), 3600);
    assert_int_equal(c[0].spec.hours, 0xFFFFFF);
    assert_string_equal(c[1].name, "events.mail.$to");
    assert_string_equal(c[1].tz, "UTC");
    assert_string_equal(c[1].missed, "once");
    assert_string_equal(c[1].file, "/srv/app/op.lua:4");
    assert_int_equal(c[1].spec.hours, 1 << 3);
    gen_unref(g);
}

static void refused(const char *line, const char *expected) {
    char *text = xasprintf("%s\n%s", OP, line);
    assert_string_equal(vmtest_refused(vmtest_tree("app.lua", APP, "op.lua", text, NULL)),
                        expected);
    free(text);
}

static void bad(void **state) {
    refused("app:cron('0 25 * * *', op)", "/srv/app/op.lua:4: app:cron '0 25 * * *': hour is '25', "
                                          "which must be from 0 to 23");
    refused("app:cron('@daily', op, { tz = 'Europe/Berlim' })",
            "/srv/app/op.lua:4: app:cron: no time zone 'Europe/Berlim', did you mean "
            "'Europe/Berlin'?");
    refused(
        "app:cron('@daily', op, { params = { to = 'x' }, input = { n = 0.5 } })",
        "/srv/app/op.lua:4: cron 'events.mail.$to': what it gives events.mail.$to does not fit: "
        "Invalid input: n: Invalid input: expected int, received number");
    refused(
        "app:cron('@daily', op, { input = { n = 1 } })",
        "/srv/app/op.lua:4: cron 'events.mail.$to': parameter 'to' of path 'mail.$to' is missing");
    refused(
        "app:cron('@daily', 'events.mial.$to')",
        "/srv/app/op.lua:4: cron 'events.mial.$to': no operation 'events.mial.$to', did you mean "
        "'events.mail.$to'?");
    refused(
        "for _ = 1, 2 do app:cron('@daily', op, { params = { to = 'x' }, input = { n = 1 } }) end",
        "/srv/app/op.lua:4: cron 'events.mail.$to' is defined already, at /srv/app/op.lua:4; "
        "give one of them a name = \"…\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
