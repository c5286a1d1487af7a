/* SPDX-License-Identifier: MIT */
/* after - one call, once, some milliseconds from now. Loop thread only; monotonic. */
#ifndef RBF_AFTER_H
#define RBF_AFTER_H
#include "base/err.h"
#include <stdint.h>
#include <uv.h>

struct after;
typedef void (*after_cb)(void *arg);
/* Never calls from inside. The handle is gone once cb is called. */
struct after *after_ms(uv_loop_t *loop, uint64_t ms, after_cb cb, void *arg);
/* Forgets it; *a becomes NULL. Harmless on NULL. */
void after_cancel(struct after **a);
#endif
