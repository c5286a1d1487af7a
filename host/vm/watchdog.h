/* SPDX-License-Identifier: MIT */
/* watchdog - stops Lua code that neither ends nor waits, with an error at the line where it is.
 * A timer counts the CPU time of the thread (nothing fires while it waits for I/O, or while the
 * whole process is stopped); when one stretch of Lua outlasts the limit, a hook raises at its next
 * instruction, and goes on raising until control is back in C, so that no pcall can swallow it.
 * Hooks never fire in JIT-compiled code: the app's code is interpreted (api_host.c) unless it opts
 * in. C code that does not return (a pathological string.find) cannot be stopped so; the supervisor
 * kills a worker that says nothing for long. Any thread; each watches itself. */
#ifndef RBF_WATCHDOG_H
#define RBF_WATCHDOG_H
#include "vm/vm.h"
#include <stdint.h>

/* For a handler between two waits; loading the whole app may take WATCHDOG_LOAD times as long. */
#define WATCHDOG_PRESET_MS 1000
#define WATCHDOG_LOAD 10

/* A stretch of Lua begins in this state of vm; it is stopped after limit_ms of CPU time (0: never).
 * Does not nest. */
void watchdog_enter(struct vm *vm, lua_State *L, int64_t limit_ms);
void watchdog_leave(void);
#endif
