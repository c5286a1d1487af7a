/* SPDX-License-Identifier: MIT */
/* zone - a time zone by its IANA name, as this machine's tzdata knows it. GLib reads the files: it
 * needs no process-wide TZ, follows the rules beyond the tables' end, and is kept by others. Any
 * thread; a zone may be shared. */
#ifndef RBF_ZONE_H
#define RBF_ZONE_H
#include "base/err.h"
#include <stdint.h>

struct zone;
/* NULL with err: "no time zone 'Europe/Belin', did you mean 'Europe/Berlin'?" */
struct zone *zone_open(const char *name, struct err *err) NODISCARD;
/* Seconds east of UTC at an instant (s epoch); z NULL is UTC. */
int zone_offset(const struct zone *z, int64_t utc_s);
void zone_close(struct zone *z); /* NULL is allowed */
#endif
