/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t db_minus_mono /* 0: unknown */, frozen_at;

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
    int64_t frozen = atomic_load(&frozen_at), offset = atomic_load(&db_minus_mono);
    if (frozen)
        return frozen;
    return offset ? (int64_t)clock_mono_ms() + offset : clock_wall_ms();
}

void clock_freeze(int64_t db_ms) {
    atomic_store(&frozen_at, db_ms);
}

void clock_set_db(int64_t db_now_ms) {
    atomic_store(&db_minus_mono, db_now_ms ? db_now_ms - (int64_t)clock_mono_ms() : 0);
}
