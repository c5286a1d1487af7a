/* SPDX-License-Identifier: MIT */
/* clock - monotonic time for timers, wall time for logs, and the database's clock, which decides
 * what is due (set by whoever asks the database). Any thread reads. */
#ifndef RBF_CLOCK_H
#define RBF_CLOCK_H
#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* ms epoch, this machine */
/* ms epoch as the database counts it: what was set last, and the monotonic time since, so that
 * nobody who sets this machine's clock moves it. Wall time until then. */
int64_t clock_db_ms(void);
void clock_set_db(int64_t db_now_ms); /* 0: forget it */
/* From now on clock_db_ms says this; 0: it runs again. For `rbf test`, whose specs move it. */
void clock_freeze(int64_t db_ms);
#endif
