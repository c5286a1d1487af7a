/* SPDX-License-Identifier: MIT */
#include "cache/redis_poll.h"
#include "base/buf.h"
#include <stdlib.h>

struct redis_poll {
    uv_poll_t handle;
    redisAsyncContext *ac; /* NULL once it is gone */
    int events;
};

static void on_poll(uv_poll_t *handle, int status, int events);

static void want(struct redis_poll *p, int events) {
    if (events == p->events)
        return;
    p->events = events;
    if (events)
        uv_poll_start(&p->handle, events, on_poll);
    else
        uv_poll_stop(&p->handle);
}

/* An error is told together with bytes that came before it, and libuv has stopped watching then;
 * hiredis reads one buffer each time: it is watched again until a read finds the error. */
static void watch_again(struct redis_poll *p) {
    int events = p->events;
    p->events = 0;
    want(p, events);
}

/* Each call into hiredis may free ac, which clears p->ac. */
static void on_poll(uv_poll_t *handle, int status, int events) {
    struct redis_poll *p = handle->data;
    if (status < 0) {
        watch_again(p);
        events = UV_READABLE;
    }
    if (p->ac && (events & UV_READABLE))
        redisAsyncHandleRead(p->ac);
    if (p->ac && (events & UV_WRITABLE))
        redisAsyncHandleWrite(p->ac);
}

static void add_read(void *arg) {
    struct redis_poll *p = arg;
    want(p, p->events | UV_READABLE);
}

static void del_read(void *arg) {
    struct redis_poll *p = arg;
    want(p, p->events & ~UV_READABLE);
}

static void add_write(void *arg) {
    struct redis_poll *p = arg;
    want(p, p->events | UV_WRITABLE);
}

static void del_write(void *arg) {
    struct redis_poll *p = arg;
    want(p, p->events & ~UV_WRITABLE);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void cleanup(void *arg) {
    struct redis_poll *p = arg;
    p->ac = NULL;
    uv_close((uv_handle_t *)&p->handle, on_closed);
}

int redis_poll_attach(redisAsyncContext *ac, uv_loop_t *loop) {
    struct redis_poll *p = xcalloc(1, sizeof *p);
    if (uv_poll_init(loop, &p->handle, ac->c.fd)) {
        free(p);
        return -1;
    }
    p->handle.data = p;
    p->ac = ac;
    ac->ev.data = p;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    return 0;
}
