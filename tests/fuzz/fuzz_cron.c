/* SPDX-License-Identifier: MIT */
/* cronspec: lines of specs, each asked for its slots in zones with and without daylight saving
 * time, after instants that the line's own bytes choose. */
#include "base/cronspec.h"
#include "fuzz.h"

static const char *const names[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"};
static struct zone *zones[4];

/* From 1971 to about 2100. */
static int64_t instant_of(const char *line) {
    uint32_t h = 2166136261u;
    for (const char *p = line; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return 31536000 + h;
}

static bool has(uint64_t set, int n) {
    return set >> n & 1;
}

/* What cannot depend on the zone: its seconds do, for offsets of the past were not whole minutes.
 */
static void check_slots(const struct cronspec *s, const struct zone *z, int64_t after) {
    int64_t first = cronspec_next(s, z, after), t = first;
    HOLDS(first == -1 || first > after);
    for (int i = 0; i < 3 && t >= 0; i++) {
        int64_t next = cronspec_next(s, z, t);
        HOLDS(next == -1 || next > t);
        HOLDS(cronspec_last(s, z, t, t) == t);
        if (next >= 0) {
            HOLDS(cronspec_last(s, z, t, next - 1) == t);
            HOLDS(cronspec_last(s, z, t, next) == next);
            HOLDS(cronspec_next(s, z, next - 1) == next);
        }
        t = next;
    }
    if (first >= 0 && !z) { /* UTC: the clock on the wall is the instant */
        HOLDS(has(s->seconds, (int)(first % 60)));
        HOLDS(has(s->minutes, (int)(first / 60 % 60)));
        HOLDS(has(s->hours, (int)(first / 3600 % 24)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err;
    for (size_t i = 0; i < 4 && !zones[i]; i++)
        HOLDS((zones[i] = zone_open(names[i], &err)));
    for (int n = 0; size && n < 4; n++) {
        char *line = fuzz_line(&data, &size);
        struct cronspec s;
        int64_t after = instant_of(line);
        if (cronspec_parse(&s, line, &err) == 0) {
            check_slots(&s, NULL, after);
            check_slots(&s, zones[(size_t)after % 4], after);
        } else {
            HOLDS(err.msg[0] && !strchr(err.msg, '\n'));
        }
        free(line);
    }
    return 0;
}
