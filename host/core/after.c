/* SPDX-License-Identifier: MIT */
#include "core/after.h"
#include "base/buf.h"
#include <stdlib.h>

struct after {
    uv_timer_t timer;
    after_cb cb;
    void *arg;
};

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_time(uv_timer_t *timer) {
    struct after *a = timer->data;
    after_cb cb = a->cb;
    void *arg = a->arg;
    uv_close((uv_handle_t *)timer, on_closed);
    cb(arg);
}

struct after *after_ms(uv_loop_t *loop, uint64_t ms, after_cb cb, void *arg) {
    struct after *a = xcalloc(1, sizeof *a);
    a->cb = cb;
    a->arg = arg;
    uv_timer_init(loop, &a->timer);
    a->timer.data = a;
    uv_update_time(loop);
    uv_timer_start(&a->timer, on_time, ms, 0);
    return a;
}

void after_cancel(struct after **a) {
    if (!*a)
        return;
    uv_close((uv_handle_t *)&(*a)->timer, on_closed);
    *a = NULL;
}
