/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/workerproc.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ops/child.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define HEALTHY_MS 1000 /* of serving */

/* Outlives its process until the loop has closed it. */
struct channel {
    uv_pipe_t pipe;
    struct workerproc *w; /* NULL once the process is gone */
    struct buf in;
    char chunk[65536];
};

struct outgoing {
    uv_write_t req;
    struct buf bytes;
};

static void on_channel_closed(uv_handle_t *h) {
    struct channel *c = h->data;
    buf_free(&c->in);
    free(c);
}

static void drop_channel(struct workerproc *w) {
    struct channel *c = w->channel;
    if (!c)
        return;
    w->channel = NULL;
    c->w = NULL;
    uv_close((uv_handle_t *)&c->pipe, on_channel_closed);
}

/* Hands out the whole frames in c->in. */
static void take_frames(struct channel *c) {
    struct ctl_frame f;
    size_t used, done = 0;
    int rc = 0;
    while (c->w && (rc = ctl_take(&(struct buf){.p = c->in.p + done, .len = c->in.len - done}, &f,
                                  &used)) == 1) {
        done += used;
        c->w->heard_ms = clock_mono_ms();
        c->w->spoke = true;
        if (f.type != CTL_BEAT)
            c->w->events->frame(c->w, &f, c->w->arg);
    }
    if (rc < 0 && c->w) {
        log_error("a worker's frames are broken, killing it", LOG_I("worker", c->w->slot));
        workerproc_kill(c->w);
        done = c->in.len;
    }
    if (done > 0) {
        memmove(c->in.p, c->in.p + done, c->in.len - done);
        c->in.len -= done;
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct channel *c = h->data;
    *out = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *chunk) {
    struct channel *c = s->data;
    if (n < 0)
        uv_read_stop(s); /* its end is told by SIGCHLD */
    if (n <= 0)
        return;
    buf_put(&c->in, chunk->base, (size_t)n);
    take_frames(c);
}

static void on_written(uv_write_t *req, int status) {
    struct outgoing *o = container_of(req, struct outgoing, req);
    buf_free(&o->bytes);
    free(o);
}

void workerproc_send(struct workerproc *w, enum ctl_type type, uint32_t number, const void *payload,
                     size_t n) {
    if (!w->channel)
        return;
    struct outgoing *o = xcalloc(1, sizeof *o);
    ctl_put(&o->bytes, type, number, payload, n);
    uv_buf_t b = uv_buf_init(o->bytes.p, (unsigned)o->bytes.len);
    if (uv_write(&o->req, (uv_stream_t *)&w->channel->pipe, &b, 1, on_written) != 0)
        on_written(&o->req, 0);
}

static void on_restart(uv_timer_t *t) {
    workerproc_start(t->data);
}

static void plan_restart(struct workerproc *w) {
    if (w->resting)
        return;
    if (!w->pause_ms || (w->served && clock_mono_ms() - w->live_ms >= HEALTHY_MS))
        w->pause_ms = PAUSE_FIRST_MS;
    uv_timer_start(&w->restart, on_restart, w->pause_ms, 0);
    w->pause_ms = w->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : w->pause_ms * 2;
}

void workerproc_init(struct workerproc *w, int slot, uv_loop_t *loop, const char *exe,
                     char *const *argv, const struct workerproc_events *events, void *arg) {
    *w = (struct workerproc){
        .slot = slot, .loop = loop, .exe = exe, .argv = argv, .events = events, .arg = arg};
    uv_timer_init(loop, &w->restart);
    w->restart.data = w;
}

static void open_channel(struct workerproc *w, int fd) {
    struct channel *c = xcalloc(1, sizeof *c);
    c->w = w;
    uv_pipe_init(w->loop, &c->pipe, 0);
    c->pipe.data = c;
    uv_pipe_open(&c->pipe, fd);
    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
    w->channel = c;
}

static int spawn(struct workerproc *w, struct err *err) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return err_set(err, ERR_SYS, "socketpair: %s", strerror(errno));
    struct child_spec spec = {.argv = (const char *const *)w->argv,
                              .exe = w->exe,
                              .uid = geteuid(),
                              .gid = getegid(),
                              .death_signal = SIGTERM,
                              .out_fd = -1,
                              .ctl_fd = fds[1]};
    int rc = child_start(&spec, &w->pid, err);
    close(fds[1]);
    if (rc == 0)
        open_channel(w, fds[0]);
    else
        close(fds[0]);
    return rc;
}

void workerproc_start(struct workerproc *w) {
    struct err err;
    w->heard_ms = clock_mono_ms();
    w->spoke = w->served = false;
    w->asked = w->built = w->committed = w->live = 0;
    w->votes = false;
    if (spawn(w, &err) == 0) {
        w->events->started(w, w->arg);
        return;
    }
    w->pid = 0;
    log_error("cannot start a worker", LOG_I("worker", w->slot), LOG_S("error", err.msg));
    plan_restart(w);
}

/* What it wrote just before its end may still be in the socket (a CTL_FATAL above all). */
static void read_rest(struct channel *c) {
    uv_os_fd_t fd;
    ssize_t n;
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) != 0)
        return;
    while ((n = read(fd, c->chunk, sizeof c->chunk)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buf_put(&c->in, c->chunk, (size_t)n);
    take_frames(c);
}

void workerproc_reap(struct workerproc *w) {
    int status;
    char how[64];
    if (!w->pid || !child_ended(w->pid, &status))
        return;
    w->pid = 0;
    if (w->channel)
        read_rest(w->channel);
    drop_channel(w);
    child_describe(status, how, sizeof how);
    w->served = w->live != 0;
    w->asked = w->built = w->committed = w->live = 0;
    plan_restart(w);
    w->events->gone(w, how, w->arg);
}

void workerproc_kill(struct workerproc *w) {
    if (w->pid)
        kill(w->pid, SIGKILL);
}

void workerproc_rest(struct workerproc *w) {
    w->resting = true;
    uv_timer_stop(&w->restart);
}

void workerproc_close(struct workerproc *w) {
    workerproc_rest(w);
    if (w->pid)
        child_stop(w->pid, SIGKILL, 5000);
    w->pid = 0;
    drop_channel(w);
    uv_close((uv_handle_t *)&w->restart, NULL);
}
