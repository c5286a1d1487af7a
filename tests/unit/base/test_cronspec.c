/* SPDX-License-Identifier: MIT */
/* Crons without servers: which specs are read, what is said of the others, and the slots around
 * changes of the clock. */
#include "base/cronspec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t at(const char *iso) {
    struct tm tm = {0};
    assert_int_equal(sscanf(iso, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                            &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
                     6);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm);
}

/* The slots after an instant, "iso iso …", are those expected. */
static void check(const char *spec, const char *zone, const char *after, const char *expected) {
    struct cronspec s;
    struct err err = {0};
    struct zone *z = zone_open(zone, &err);
    char all[512], *rest, *word;
    int64_t t = at(after);
    assert_non_null(z);
    if (cronspec_parse(&s, spec, &err))
        fail_msg("%s", err.msg);
    snprintf(all, sizeof all, "%s", expected);
    for (word = strtok_r(all, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char found[32];
        t = cronspec_next(&s, z, t);
        time_t seconds = t;
        strftime(found, sizeof found, "%Y-%m-%dT%H:%M:%S", gmtime(&seconds));
        if (strcmp(found, word))
            fail_msg("%s in %s after %s: %s where %s was expected", spec, zone, after, found, word);
    }
    zone_close(z);
}

static void fields(void **state) {
    check("*/15 * * * *", "UTC", "2026-01-01T00:00:00",
          "2026-01-01T00:15:00 2026-01-01T00:30:00 2026-01-01T00:45:00 2026-01-01T01:00:00");
    check("5/20 0 * * *", "UTC", "2026-01-01T00:10:00", "2026-01-01T00:25:00 2026-01-01T00:45:00");
    check("0 8-10,20 * jan,MAR mon-Fri", "UTC", "2026-01-30T09:30:00",
          "2026-01-30T10:00:00 2026-01-30T20:00:00 2026-03-02T08:00:00");
    check("30 */10 * * * *", "UTC", "2026-01-01T00:00:30", "2026-01-01T00:10:30");
    check("  0\t0 29 2 * ", "UTC", "2096-03-01T00:00:00", "2104-02-29T00:00:00");
    check("@Weekly", "UTC", "2026-01-01T00:00:00", "2026-01-04T00:00:00");
    check("@yearly", "UTC", "2026-01-01T00:00:00", "2027-01-01T00:00:00");
    check("@monthly", "UTC", "2026-01-01T00:00:00", "2026-02-01T00:00:00");
    check("@midnight", "UTC", "2026-01-01T00:00:00", "2026-01-02T00:00:00");
    check("@hourly", "UTC", "2025-12-31T23:00:00", "2026-01-01T00:00:00");
}

static void days(void **state) {
    /* both restricted: either; 1 January 2026 is a Thursday */
    check("0 0 13 * 5", "UTC", "2026-01-01T00:00:00",
          "2026-01-02T00:00:00 2026-01-09T00:00:00 2026-01-13T00:00:00 2026-01-16T00:00:00");
    check("0 0 * * 7", "UTC", "2026-01-01T00:00:00", "2026-01-04T00:00:00 2026-01-11T00:00:00");
    check("0 0 * * 6-7", "UTC", "2026-01-01T00:00:00", "2026-01-03T00:00:00 2026-01-04T00:00:00");
    /* one begins with a star: both */
    check("0 0 */2 * 1", "UTC", "2026-01-01T00:00:00", "2026-01-05T00:00:00 2026-01-19T00:00:00");
    check("0 0 1-7 * */7", "UTC", "2026-01-01T00:00:00", "2026-01-04T00:00:00 2026-02-01T00:00:00");
}

/* Europe/Berlin goes from 02:00 to 03:00 at 2025-03-30T01:00:00Z. */
static void spring(void **state) {
    check("30 2 * * *", "Europe/Berlin", "2025-03-29T00:00:00",
          "2025-03-29T01:30:00 2025-03-30T01:30:00 2025-03-31T00:30:00");
    check("30 2 * * *", "Europe/Berlin", "2025-03-30T01:30:00", "2025-03-31T00:30:00");
    check("30 2,3 * * *", "Europe/Berlin", "2025-03-29T12:00:00",
          "2025-03-30T01:30:00 2025-03-31T00:30:00 2025-03-31T01:30:00");
    check("*/30 * * * *", "Europe/Berlin", "2025-03-30T00:15:00",
          "2025-03-30T00:30:00 2025-03-30T01:00:00 2025-03-30T01:30:00");
    check("0 0 * * 0", "Asia/Beirut", "2025-03-28T00:00:00",
          "2025-03-29T22:00:00 2025-04-05T21:00:00"); /* no midnight: at 01:00 */
    check("15 2 * * *", "Australia/Lord_Howe", "2025-10-04T12:00:00",
          "2025-10-04T15:45:00 2025-10-05T15:15:00"); /* half an hour */
}

/* Back from 03:00 to 02:00 at 2025-10-26T01:00:00Z. */
static void autumn(void **state) {
    check("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00",
          "2025-10-26T00:30:00 2025-10-27T01:30:00");
    check("30 2 * * *", "Europe/Berlin", "2025-10-26T01:10:00", "2025-10-27T01:30:00");
    check("0,30 2-3 * * *", "Europe/Berlin", "2025-10-26T00:00:00",
          "2025-10-26T00:30:00 2025-10-26T02:00:00 2025-10-26T02:30:00");
    check("*/30 * * * *", "Europe/Berlin", "2025-10-26T00:00:00",
          "2025-10-26T00:30:00 2025-10-26T01:00:00 2025-10-26T01:30:00 2025-10-26T02:00:00");
    check("*/15 * * * *", "Australia/Lord_Howe", "2025-04-05T14:40:00",
          "2025-04-05T14:45:00 2025-04-05T15:00:00 2025-04-05T15:15:00");
    check("30 23 * * *", "Asia/Beirut", "2025-10-25T12:00:00",
          "2025-10-25T20:30:00 2025-10-26T21:30:00");
}

static void the_last(void **state) {
    struct cronspec s;
    struct err err;
    struct zone *z = zone_open("Europe/Berlin", &err);
    assert_int_equal(cronspec_parse(&s, "*/5 2 * * *", &err), 0);
    int64_t first = at("2025-01-01T01:00:00");
    int64_t last = cronspec_last(&s, z, first, at("2025-10-26T00:58:00"));
    assert_int_equal(last, at("2025-10-26T00:55:00"));
    assert_int_equal(cronspec_last(&s, z, first, at("2025-10-26T20:00:00")), last);
    assert_int_equal(cronspec_last(&s, z, last, last), last);
    assert_int_equal(cronspec_last(&s, z, first, first + 299), first);
    zone_close(z);
}

static void refused(void **state) {
    static const char *const all[][2] = {
        {"0 25 * * *", "cron '0 25 * * *': hour is '25', which must be from 0 to 23"},
        {"* * 0 * *", "cron '* * 0 * *': day of month is '0', which must be from 1 to 31"},
        {"* * * JNA *", "cron '* * * JNA *': month 'JNA' is unknown, did you mean 'JAN'?"},
        {"* * * * monday", "cron '* * * * monday': day of week 'monday' is unknown, did you mean "
                           "'MON'?"},
        {"* * * * 8", "cron '* * * * 8': day of week is '8', which must be from 0 to 7"},
        {"* * * * FRI-MON", "cron '* * * * FRI-MON': day of week range 'FRI-MON' runs backwards; "
                            "write it as two: 5-6,0-1"},
        {"*/0 * * * *", "cron '*/0 * * * *': minute has the step '0', which must be a number from "
                        "1 on"},
        {"1,,2 * * * *", "cron '1,,2 * * * *': minute has an empty place where a number from 0 to "
                         "59 belongs"},
        {"x * * * *", "cron 'x * * * *': minute 'x' is no number from 0 to 59"},
        {"* * L * *", "cron '* * L * *': day of month 'L': L, W, H, # and ? are not known here; "
                      "there are *, lists, ranges and steps"},
        {"* * * *", "cron '* * * *' has 4 fields, expected 5: minute hour day-of-month month "
                    "day-of-week (or 6, with seconds first)"},
        {"* * * * * * *", "cron '* * * * * * *' has more than 6 fields, expected 5: minute hour "
                          "day-of-month month day-of-week (or 6, with seconds first)"},
        {"@dayly", "cron '@dayly' is unknown, did you mean '@daily'?"},
        {"@", "cron '@' is unknown: there are @yearly @annually @monthly @weekly @daily @midnight "
              "@hourly"},
        {"0 0 31 2,4,6 *", "cron '0 0 31 2,4,6 *' never fires: no month of it has such a day"},
        {"99999999999 * * * *", "cron '99999999999 * * * *': minute '99999999999' is no number "
                                "from 0 to 59"},
        {"*5 * * * *", "cron '*5 * * * *': minute '*5' is no number from 0 to 59"},
        {"*-5 * * * *", "cron '*-5 * * * *': minute '*' is no number from 0 to 59"},
        {"1-2-3 * * * *", "cron '1-2-3 * * * *': minute '2-3' is no number from 0 to 59"},
        {"", "cron '' has 0 fields, expected 5: minute hour day-of-month month day-of-week (or 6, "
             "with seconds first)"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct cronspec s;
        struct err err = {0};
        assert_int_equal(cronspec_parse(&s, all[i][0], &err), -1);
        assert_string_equal(err.msg, all[i][1]);
    }
}

static void zones(void **state) {
    static const char *const bad[][2] = {
        {"Europe/Berlim", "no time zone 'Europe/Berlim', did you mean 'Europe/Berlin'?"},
        {"Mars", "no time zone 'Mars'; use an IANA name such as 'Europe/Berlin'"},
        {"", "no time zone ''; use an IANA name such as 'Europe/Berlin'"},
        {"../zoneinfo/UTC", "no time zone '../zoneinfo/UTC'; use an IANA name such as "
                            "'Europe/Berlin'"},
        {"Europe", "no time zone 'Europe'; use an IANA name such as 'Europe/Berlin'"},
        {"right/UTC", NULL},
        {"/etc/localtime", NULL},
        {"tzdata.zi", NULL},
        {"zone.tab", NULL},
    };
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(zone_open(bad[i][0], &err));
        if (bad[i][1])
            assert_string_equal(err.msg, bad[i][1]);
    }
    struct zone *z = zone_open("Europe/Berlin", &err);
    assert_int_equal(zone_offset(z, at("2025-07-01T00:00:00")), 7200);
    assert_int_equal(zone_offset(z, at("2105-01-01T00:00:00")), 3600); /* beyond the table */
    assert_int_equal(zone_offset(z, at("2105-07-01T00:00:00")), 7200);
    assert_int_equal(zone_offset(NULL, 0), 0);
    zone_close(z);
    zone_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields), cmocka_unit_test(days),     cmocka_unit_test(spring),
        cmocka_unit_test(autumn), cmocka_unit_test(the_last), cmocka_unit_test(refused),
        cmocka_unit_test(zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
