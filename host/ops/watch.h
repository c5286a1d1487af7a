/* SPDX-License-Identifier: MIT */
/* watch - says when something below a folder may have changed: one uv_fs_event a folder (Linux has
 * no recursive watches), folders added and removed as they come and go. Loop thread only.
 * Only a trigger: the callback reads what is there and compares. Left out: dot folders,
 * migrations, symbolic links to folders, and spec unless specs are asked for. */
#ifndef RBF_WATCH_H
#define RBF_WATCH_H
#include "base/err.h"
#include <uv.h>

struct watch;
typedef void (*watch_cb)(void *arg);

/* cb is called once after quiet_ms without a further change, at the latest 1 s after the first
 * one; never from inside watch_new(). NULL with err when dir cannot be watched. */
struct watch *watch_new(uv_loop_t *loop, const char *dir, bool specs, unsigned quiet_ms,
                        watch_cb cb, void *arg, struct err *err) NODISCARD;
/* No callback after it; the memory goes when the loop has run its close callbacks. */
void watch_delete(struct watch *w);
#endif
