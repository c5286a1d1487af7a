/* SPDX-License-Identifier: MIT */
/* redis_poll - ties a connection of hiredis to a libuv loop. The adapter that comes with hiredis
 * 0.14 ignores the errors libuv reports, and a refused connection is one: it would never be heard
 * of. */
#ifndef RBF_REDIS_POLL_H
#define RBF_REDIS_POLL_H
#include <hiredis/async.h>
#include <uv.h>

/* From now on ac reads and writes by itself; what is needed goes with ac. 0, or -1: cannot be
 * polled. */
int redis_poll_attach(redisAsyncContext *ac, uv_loop_t *loop);
#endif
