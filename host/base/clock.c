/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>
#ifdef RBF_FAILPOINTS
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

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

#ifdef RBF_FAILPOINTS
/* A test sets this machine's clock: the file RBF_CLOCK_FILE holds how many ms it is ahead. */
static const _Atomic int64_t *wall_ahead;

static void map_clock_file(void) {
    static const _Atomic int64_t none;
    const char *path = getenv("RBF_CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    wall_ahead = p == MAP_FAILED ? &none : p;
    if (fd >= 0)
        close(fd);
}

static int64_t ahead_ms(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, map_clock_file);
    return atomic_load(wall_ahead);
}
#else
static int64_t ahead_ms(void) {
    return 0;
}
#endif

int64_t clock_wall_ms(void) {
    return (int64_t)(now_ns(CLOCK_REALTIME) / 1000000u) + ahead_ms();
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
