/* SPDX-License-Identifier: MIT */
/* cronspec - when a cron fires: its five or six fields, and the slots they stand for in a time
 * zone. Pure but for the zone; any thread. Times are whole seconds since 1970, UTC,
 * from 1971 on.
 *
 *     [second] minute hour day-of-month month day-of-week
 *
 * A field is a list of *, n, a-b, each with /step (n/step runs to the field's end); months and
 * weekdays have English names of three letters, 0 and 7 are Sunday. Or @yearly @annually @monthly
 * @weekly @daily @midnight @hourly.
 *
 * Days, as Vixie cron has it: when both day fields are restricted, a day that fits either one
 * fires; when one of them begins with '*' (also an asterisk with a step), a day must fit both.
 *
 * Daylight saving time. A spec that names hours means the clock on the wall: each of its times
 * fires once a day. One that the clock skips in spring fires later by what was skipped (02:30 at
 * 03:30; two times that so fall together fire once); of one that comes twice in autumn the first
 * fires. A spec whose hour field takes in all 24 hours means intervals: it fires whenever the clock
 * shows a time that fits, so also in both of autumn's hours. */
#ifndef RBF_CRONSPEC_H
#define RBF_CRONSPEC_H
#include "base/zone.h"

struct cronspec {
    uint64_t seconds, minutes; /* bit n: n is one of them */
    uint32_t hours, days;      /* days: 1 to 31 */
    uint16_t months;           /* 1 to 12 */
    uint8_t weekdays;          /* 0, Sunday, to 6 */
    bool any_day, any_weekday; /* the field begins with '*' */
};

/* -1 with err: what was found, in which field, what it may be. A spec that never fires (31 June)
 * is an error, too. */
int cronspec_parse(struct cronspec *s, const char *text, struct err *err) NODISCARD;
/* The first slot after an instant; -1 when there is none in the next 50 years. */
int64_t cronspec_next(const struct cronspec *s, const struct zone *z, int64_t after);
/* The latest slot up to an instant, that being `first`, a slot, or a later one. */
int64_t cronspec_last(const struct cronspec *s, const struct zone *z, int64_t first, int64_t until);
#endif
