/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vm/watchdog.h"
#include "base/log.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 20
/* No library uses it; SIGVTALRM and SIGPROF belong to profilers. */
#define TICK_SIGNAL (SIGRTMIN + 3)

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* What the signal handler, which runs on the thread itself, reads and writes. */
static _Thread_local struct watch {
    bool made; /* the timer is there, for the thread's life */
    struct vm *vm;
    lua_State *volatile L; /* NULL: no Lua is running */
    volatile unsigned stretch, seen;
    volatile int64_t ticks, limit_ms;
    volatile bool fired;
    char text[PATH_MAX + 300]; /* of the error, once it was raised */
} watch;

/* Where it was stopped first: a pcall may have caught that, further down. */
static void stop(lua_State *L, lua_Debug *ar) {
    struct watch *w = &watch;
    int line;
    const struct vm_file *f = *w->text ? NULL : trace_here(w->vm, L, &line);
    int n = f ? snprintf(w->text, sizeof w->text, "%s:%d: ", f->shown, line) : 0;
    if (!*w->text || f)
        snprintf(w->text + n, sizeof w->text - (size_t)n,
                 "stopped: it ran for %d ms without waiting for anything, and everybody else "
                 "waited for it; an endless loop? (--watchdog allows more)",
                 (int)w->limit_ms);
    lua_pushstring(L, w->text);
    lua_error(L);
}

/* lua_sethook is made to be called from signal handlers. */
static void on_tick(int sig) {
    struct watch *w = &watch;
    lua_State *L = w->L;
    if (!L || !w->limit_ms)
        return;
    if (w->seen != w->stretch) {
        w->seen = w->stretch;
        w->ticks = 0;
    } else if (++w->ticks * TICK_MS >= w->limit_ms) {
        w->fired = true;
        lua_sethook(L, stop, LUA_MASKCOUNT, 1);
    }
}

static void make_timer(struct watch *w) {
    struct sigaction act = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL};
    struct itimerspec each = {{0, TICK_MS * 1000000L}, {0, TICK_MS * 1000000L}};
    timer_t timer;
    sigset_t ours;
    w->made = true;
    event.sigev_notify_thread_id = gettid();
    sigemptyset(&ours);
    sigaddset(&ours, TICK_SIGNAL);
    if (sigaction(TICK_SIGNAL, &act, NULL) || pthread_sigmask(SIG_UNBLOCK, &ours, NULL) ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) ||
        timer_settime(timer, 0, &each, NULL))
        log_error("no watchdog: endless loops in handlers will not be stopped",
                  LOG_S("error", strerror(errno)));
}

void watchdog_enter(struct vm *vm, lua_State *L, int64_t limit_ms) {
    struct watch *w = &watch;
    if (!w->made)
        make_timer(w);
    w->vm = vm;
    w->limit_ms = limit_ms;
    w->stretch++;
    atomic_signal_fence(memory_order_seq_cst);
    w->L = L;
}

void watchdog_leave(void) {
    struct watch *w = &watch;
    lua_State *L = w->L;
    w->L = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    if (w->fired)
        lua_sethook(L, NULL, 0, 0);
    w->fired = false;
    w->text[0] = 0;
}
