/* SPDX-License-Identifier: MIT */
/* clock - monotonic time for timers, wall time for targets, and the database's clock, which
 * decides what is due (its offset is set by whoever measures it). Any thread reads. */
#ifndef RBF_CLOCK_H
#define RBF_CLOCK_H
#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* ms epoch, this machine */
/* ms epoch as the database counts it: wall time plus the offset last set (0 until then). */
int64_t clock_db_ms(void);
void clock_set_db_offset(int64_t db_minus_wall_ms);
/* From now on clock_db_ms says this; 0: it runs again. For `rbf test`, whose specs move it. */
void clock_freeze(int64_t db_ms);
#endif
