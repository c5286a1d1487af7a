/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

/* The database's clock less ours that no one sets; 0: not known yet. */
static _Atomic int64_t db_ahead;
static _Atomic int64_t frozen_at;

static uint64_t now_ns(clockid_t which) {
    struct timespec ts;
    clock_gettime(which, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void) {
    return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void) {
    return clock_mono_ns() / 1000000u;
}

int64_t clock_wall_ms(void) {
    return (int64_t)(now_ns(CLOCK_REALTIME) / 1000000u);
}

/* Goes on while the machine sleeps, and does not jump when its clock is set. */
static int64_t unset_ms(void) {
    return (int64_t)(now_ns(CLOCK_BOOTTIME) / 1000000u);
}

int64_t clock_db_ms(void) {
    int64_t frozen = atomic_load(&frozen_at), ahead = atomic_load(&db_ahead);
    if (frozen)
        return frozen;
    return ahead ? unset_ms() + ahead : clock_wall_ms();
}

void clock_freeze(int64_t db_ms) {
    atomic_store(&frozen_at, db_ms);
}

void clock_set_db(int64_t now_ms) {
    atomic_store(&db_ahead, now_ms ? now_ms - unset_ms() : 0);
}
