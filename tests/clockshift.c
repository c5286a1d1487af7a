/* SPDX-License-Identifier: MIT */
/* clockshift - for LD_PRELOAD: the machine's clock is ahead by as many ms as the file
 * CLOCKSHIFT_FILE (eight bytes, native order) says at that moment. Monotonic clocks are left alone,
 * as they are by who sets a clock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *ahead;

__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("CLOCKSHIFT_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        abort(); /* a test whose clock is right would show nothing */
    close(fd);
    ahead = p;
}

static void shift(struct timespec *t) {
    int64_t ns = t->tv_nsec + (ahead ? atomic_load(ahead) : 0) * 1000000;
    t->tv_sec += ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
    if (t->tv_nsec < 0) {
        t->tv_sec--;
        t->tv_nsec += 1000000000;
    }
}

int clock_gettime(clockid_t which, struct timespec *t) {
    int rc = (int)syscall(SYS_clock_gettime, which, t);
    if (rc == 0 && which == CLOCK_REALTIME)
        shift(t);
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
