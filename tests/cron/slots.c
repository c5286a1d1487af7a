/* SPDX-License-Identifier: MIT */
/* slots - what cronspec makes of the lines on stdin: "SPEC\tZONE\tAFTER\tCOUNT" (s epoch) gives the
 * next COUNT slots on one line, or "refused: …". For tests/cron/run. */
#include "base/cronspec.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_slots(const struct cronspec *s, const struct zone *z, int64_t t, int count) {
    for (int i = 0; i < count; i++) {
        t = cronspec_next(s, z, t);
        printf("%s%" PRId64, i ? " " : "", t);
    }
    putchar('\n');
}

int main(void) {
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *spec = strtok(line, "\t"), *name = strtok(NULL, "\t");
        char *after = strtok(NULL, "\t"), *count = strtok(NULL, "\t\n");
        struct cronspec s;
        struct err err;
        struct zone *z = count ? zone_open(name, &err) : NULL;
        if (!z || cronspec_parse(&s, spec, &err))
            printf("refused: %s\n", count ? err.msg : "the line has fewer than four parts");
        else
            print_slots(&s, z, strtoll(after, NULL, 10), atoi(count));
        zone_close(z);
    }
    return 0;
}
