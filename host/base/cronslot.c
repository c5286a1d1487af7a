/* SPDX-License-Identifier: MIT */
/* cronspec_next, cronspec_last: from what the clock on the wall shows to instants. */
#include "base/cronspec.h"

#define DAY 86400
#define SEARCH (50LL * 366 * DAY) /* 29 February on one weekday can be 40 years away */
#define EVERY_HOUR 0xFFFFFFu

static bool has(uint64_t bits, int n) {
    return bits >> n & 1;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* --- the wall's clock alone: seconds since 1970 as if there were no zones --- */

/* Month and day of a day since 1970 (Howard Hinnant's civil_from_days). */
static void civil(int64_t days, int *month, int *day) {
    int64_t z = days + 719468;
    int64_t in_era = z - floor_div(z, 146097) * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100); /* from 1 March on */
    int64_t m = (5 * in_year + 2) / 153;
    *day = (int)(in_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
}

static bool fits_day(const struct cronspec *s, int64_t days) {
    int month, day;
    civil(days, &month, &day);
    if (!has(s->months, month))
        return false;
    int weekday = (int)(days + 4 - 7 * floor_div(days + 4, 7)); /* day 0 was a Thursday */
    bool by_day = has(s->days, day), by_weekday = has(s->weekdays, weekday);
    return s->any_day || s->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first second of a day that fits, from `from` on; -1. */
static int next_in_day(const struct cronspec *s, int from) {
    int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
    for (; hour < 24; hour++, minute = second = 0)
        for (; has(s->hours, hour) && minute < 60; minute++, second = 0)
            for (; has(s->minutes, minute) && second < 60; second++)
                if (has(s->seconds, second))
                    return hour * 3600 + minute * 60 + second;
    return -1;
}

/* The first reading of the clock that fits, from one on; -1. */
static int64_t next_reading(const struct cronspec *s, int64_t from) {
    int64_t day = floor_div(from, DAY);
    int in_day = (int)(from - day * DAY);
    for (int64_t end = day + SEARCH / DAY; day < end; day++, in_day = 0) {
        int found = fits_day(s, day) ? next_in_day(s, in_day) : -1;
        if (found >= 0)
            return day * DAY + found;
    }
    return -1;
}

/* --- instants --- */

/* The first instant in [from, to) whose reading fits, the zone being `offset` ahead; -1. */
static int64_t scan(const struct cronspec *s, int64_t from, int64_t to, int offset) {
    if (from >= to)
        return -1;
    int64_t reading = next_reading(s, from + offset);
    return reading >= 0 && reading - offset < to ? reading - offset : -1;
}

/* The first instant in (from, to] with another offset than from's; to when there is none. Zones do
 * not change twice within a day. */
static int64_t next_change(const struct zone *z, int64_t from, int64_t to) {
    int offset = zone_offset(z, from);
    if (zone_offset(z, to) == offset)
        return to;
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;
        if (zone_offset(z, middle) == offset)
            from = middle;
        else
            to = middle;
    }
    return to;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* After a change at `at`, for as long as the clock was moved: forward, its hands as they would
 * stand without the change count as well; backward, all has been seen already. The end is put in
 * *end. */
static int64_t scan_moved(const struct cronspec *s, int64_t start, int64_t at, int before, int now,
                          int64_t *end) {
    *end = at + (now > before ? now - before : before - now);
    if (now < before)
        return -1;
    int64_t a = scan(s, later(at, start), *end, before);
    int64_t b = scan(s, later(at, start), *end, now);
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Where to look on, when the day up to t held nothing: not before t, and a day before the next
 * reading that fits, as offsets differ by less. -1 when nothing fits any more. */
static int64_t skip(const struct cronspec *s, int64_t t, int offset) {
    int64_t reading = next_reading(s, t + offset - DAY);
    return reading < 0 ? -1 : later(t, reading - offset - DAY);
}

int64_t cronspec_next(const struct cronspec *s, const struct zone *z, int64_t after) {
    int64_t start = after + 1, found = -1;
    int64_t t = start - DAY; /* a change may lie just behind */
    while (found < 0 && t < after + SEARCH) {
        int offset = zone_offset(z, t);
        int64_t change = next_change(z, t, t + DAY);
        int moved = zone_offset(z, change);
        found = scan(s, later(t, start), change, offset);
        if (found >= 0)
            break;
        if (moved == offset) {
            t = skip(s, change, offset);
            if (t < 0)
                return -1;
        } else if (s->hours == EVERY_HOUR) {
            t = change;
        } else {
            found = scan_moved(s, start, change, offset, moved, &t);
        }
    }
    return found;
}

int64_t cronspec_last(const struct cronspec *s, const struct zone *z, int64_t first,
                      int64_t until) {
    int64_t low = first - 1, high = until; /* next(low) <= until < next(high) */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2, next = cronspec_next(s, z, middle);
        if (next >= 0 && next <= until)
            low = middle;
        else
            high = middle;
    }
    return cronspec_next(s, z, low);
}
