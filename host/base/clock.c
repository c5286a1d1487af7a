/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t db_offset, frozen_at;

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

int64_t clock_db_ms(void) {
    int64_t frozen = atomic_load(&frozen_at);
    return frozen ? frozen : clock_wall_ms() + atomic_load(&db_offset);
}

void clock_freeze(int64_t db_ms) {
    atomic_store(&frozen_at, db_ms);
}

void clock_set_db_offset(int64_t db_minus_wall_ms) {
    atomic_store(&db_offset, db_minus_wall_ms);
}
