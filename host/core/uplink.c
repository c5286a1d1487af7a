/* SPDX-License-Identifier: MIT */
#include "core/uplink.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

struct uplink {
    uv_pipe_t pipe;
    struct buf in; /* not yet a whole frame */
    bool closed;
    const struct uplink_events *events;
    void *arg;
};

/* --- out --- */

struct out {
    uv_write_t req;
    struct buf bytes;
};

static void on_written(uv_write_t *req, int status) {
    struct out *o = req->data;
    buf_free(&o->bytes);
    free(o);
}

void uplink_tell(struct uplink *u, enum ctl_type type, uint32_t number, const void *p, size_t n) {
    struct out *o = xcalloc(1, sizeof *o);
    ctl_put(&o->bytes, type, number, p, n);
    o->req.data = o;
    uv_buf_t b = uv_buf_init(o->bytes.p, (unsigned)o->bytes.len);
    int sent = u->closed ? 0 : uv_try_write((uv_stream_t *)&u->pipe, &b, 1);
    if (sent > 0)
        b = uv_buf_init(b.base + sent, (unsigned)(b.len - (size_t)sent));
    if (u->closed || !b.len || uv_write(&o->req, (uv_stream_t *)&u->pipe, &b, 1, on_written))
        on_written(&o->req, 0);
}

/* --- in --- */

static void take_frames(struct uplink *u) {
    struct ctl_frame f;
    size_t used;
    int got = 0;
    while (!u->closed && (got = ctl_take(&u->in, &f, &used)) == 1) {
        u->events->frame(&f, u->arg);
        memmove(u->in.p, u->in.p + used, u->in.len - used);
        u->in.len -= used;
    }
    if (got < 0 && !u->closed) {
        uv_read_stop((uv_stream_t *)&u->pipe);
        u->events->broken(u->arg);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *b) {
    struct uplink *u = handle->data;
    buf_reserve(&u->in, 65536);
    *b = uv_buf_init(u->in.p + u->in.len, (unsigned)(u->in.cap - u->in.len - 1));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    struct uplink *u = s->data;
    if (n < 0) {
        uv_read_stop(s);
        u->events->gone(u->arg);
        return;
    }
    u->in.len += (size_t)n;
    take_frames(u);
}

/* --- life --- */

void uplink_close(struct uplink *u) {
    if (u->closed)
        return;
    u->closed = true;
    uv_close((uv_handle_t *)&u->pipe, NULL);
}

void uplink_delete(struct uplink *u) {
    if (!u)
        return;
    buf_free(&u->in);
    free(u);
}

struct uplink *uplink_open(uv_loop_t *loop, int fd, const struct uplink_events *events, void *arg) {
    struct uplink *u = xcalloc(1, sizeof *u);
    u->events = events;
    u->arg = arg;
    uv_pipe_init(loop, &u->pipe, 0);
    u->pipe.data = u;
    if (uv_pipe_open(&u->pipe, fd) == 0 &&
        uv_read_start((uv_stream_t *)&u->pipe, on_alloc, on_read) == 0)
        return u;
    log_error("a worker is started by `rbf run` or `rbf dev`, not by hand");
    uplink_close(u);
    return NULL;
}
