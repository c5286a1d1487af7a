/* SPDX-License-Identifier: MIT */
/* clock - monotonic time for timers, wall time for targets, and the database's clock, which
 * decides what is due (whoever asks it for its time tells it here). Any thread reads. In rbf-fault
 * a test may set the wall clock (see the .c). */
#ifndef RBF_CLOCK_H
#define RBF_CLOCK_H
#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* ms epoch, this machine */
/* ms epoch as the database counts it, from what it last said; this machine's clock may be set
 * meanwhile. The wall clock until then. */
int64_t clock_db_ms(void);
void clock_set_db(int64_t now_ms); /* 0: forget it */
/* From now on clock_db_ms says this; 0: it runs again. For `rbf test`, whose specs move it. */
void clock_freeze(int64_t db_ms);
#endif
