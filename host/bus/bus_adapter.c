/* SPDX-License-Identifier: MIT */
#include "bus/bus_adapter.h"
#include "base/buf.h"
#include "base/clock.h"
#include <poll.h>
#include <sys/socket.h>

struct bus_adapter {
    uv_loop_t *loop;
    uv_thread_t loop_thread;
    struct bus_adapter_owner owner;
    natsConnection *nc;

    /* Guarded by mu: written by whichever thread libnats calls from. */
    uv_mutex_t mu;
    int fd;
    int want;          /* UV_READABLE | UV_WRITABLE; readable is taken away on a disconnect */
    bool need_attach;  /* fd is a new socket, maybe under the old number */
    unsigned links;    /* counts attaches: a break and a mend between two looks is seen by it */
    bool closed;       /* detach was called */
    uv_async_t *async; /* NULL before start and after delete */
    int refs;          /* owner until its handle is closed, libnats from attach to detach */

    /* Loop thread only. */
    uv_prepare_t *turn; /* started when there is something to write */
    uv_poll_t *poll;
    int polled;
    bool told_up, told_closed, deleted;
    unsigned told_links;
};

static void on_handle_closed(uv_handle_t *h) {
    free(h);
}

static void unref(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    bool last = --a->refs == 0;
    uv_mutex_unlock(&a->mu);
    if (!last)
        return;
    uv_mutex_destroy(&a->mu);
    free(a);
}

/* At once when reading ends, not when the next socket comes: libnats closes the descriptor right
 * after, its number may soon be a PostgreSQL connection's, and closing a stale poll handle would
 * take that out of epoll. */
static void poll_close(struct bus_adapter *a) {
    if (a->poll)
        uv_close((uv_handle_t *)a->poll, on_handle_closed);
    a->poll = NULL;
    a->polled = 0;
}

static void on_poll(uv_poll_t *h, int status, int events);
static bool wants_write(struct bus_adapter *a);

static void poll_open(struct bus_adapter *a, int fd) {
    a->poll = xcalloc(1, sizeof *a->poll);
    a->poll->data = a;
    if (uv_poll_init_socket(a->loop, a->poll, fd) == 0)
        return;
    free(a->poll); /* nobody would ever read it: as good as closed */
    a->poll = NULL;
    uv_mutex_lock(&a->mu);
    a->closed = true;
    uv_mutex_unlock(&a->mu);
}

/* Makes the poll handle what libnats wants it to be. */
static void apply(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    int fd = a->fd, want = a->want;
    bool attach = a->need_attach;
    a->need_attach = false;
    uv_mutex_unlock(&a->mu);
    if (attach || !(want & UV_READABLE))
        poll_close(a);
    if (attach && (want & UV_READABLE))
        poll_open(a, fd);
    if (a->poll && want != a->polled) {
        a->polled = want;
        uv_poll_start(a->poll, want, on_poll);
    }
}

/* Tells the owner what changed since it was last told. */
static void tell(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    unsigned links = a->links;
    bool closed = a->closed;
    uv_mutex_unlock(&a->mu);
    bool up = bus_adapter_up(a);
    if (!a->deleted && a->told_up && (!up || links != a->told_links)) {
        a->told_up = false;
        a->owner.on_change(false, a->owner.arg);
    }
    if (!a->deleted && up && !a->told_up) {
        a->told_up = true;
        a->told_links = links;
        a->owner.on_change(true, a->owner.arg);
    }
    if (!a->deleted && closed && !a->told_closed) {
        a->told_closed = true;
        a->owner.on_closed(a->owner.arg);
    }
}

/* An error is told together with bytes that came before it, and libuv has stopped watching then;
 * libnats reads one buffer each time: it is watched again until a read finds the error. */
static void on_poll(uv_poll_t *h, int status, int events) {
    struct bus_adapter *a = h->data;
    if (status < 0) {
        a->polled = 0;
        apply(a);
        events = UV_READABLE;
    }
    if (events & UV_READABLE)
        natsConnection_ProcessReadEvent(a->nc);
    if ((events & UV_WRITABLE) && bus_adapter_up(a))
        natsConnection_ProcessWriteEvent(a->nc);
    a->owner.on_read(a->owner.arg);
    if (!a->deleted)
        tell(a);
}

/* Before the loop waits: what this turn published goes out in one write, without asking the kernel
 * first whether the socket takes it (two epoll_ctl and a wait less). Only what it did not take is
 * polled for. */
static void on_turn(uv_prepare_t *h) {
    struct bus_adapter *a = h->data;
    uv_prepare_stop(h);
    if (wants_write(a))
        natsConnection_ProcessWriteEvent(a->nc);
    apply(a);
    tell(a);
}

static void on_async(uv_async_t *h) {
    struct bus_adapter *a = h->data;
    apply(a);
    tell(a);
}

static bool on_loop_thread(const struct bus_adapter *a) {
    uv_thread_t self = uv_thread_self();
    return uv_thread_equal(&self, &a->loop_thread);
}

static void wake(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    if (a->async)
        uv_async_send(a->async);
    uv_mutex_unlock(&a->mu);
}

/* Before start there is nothing to poll with: start applies what came until then. */
static void kick(struct bus_adapter *a) {
    if (!on_loop_thread(a))
        wake(a);
    else if (a->async)
        apply(a);
}

static natsStatus on_attach(void **user, void *loop, natsConnection *nc, natsSock fd) {
    struct bus_adapter *a = loop; /* what bus_adapter_options passed */
    uv_mutex_lock(&a->mu);
    if (*user == NULL)
        a->refs++;
    *user = a;
    a->nc = nc;
    a->fd = fd;
    a->want = UV_READABLE;
    a->need_attach = true;
    a->links++;
    uv_mutex_unlock(&a->mu);
    kick(a);
    return NATS_OK;
}

static void set_want(struct bus_adapter *a, int flag, bool add) {
    uv_mutex_lock(&a->mu);
    a->want = add ? a->want | flag : a->want & ~flag;
    uv_mutex_unlock(&a->mu);
    kick(a);
}

static natsStatus on_want_read(void *user, bool add) {
    struct bus_adapter *a = user;
    set_want(a, UV_READABLE, add);
    wake(a); /* so that the owner is told, whoever called libnats */
    return NATS_OK;
}

static natsStatus on_want_write(void *user, bool add) {
    struct bus_adapter *a = user;
    if (!add || !on_loop_thread(a) || !a->turn) {
        set_want(a, UV_WRITABLE, add);
        return NATS_OK;
    }
    uv_mutex_lock(&a->mu);
    a->want |= UV_WRITABLE;
    uv_mutex_unlock(&a->mu);
    uv_prepare_start(a->turn, on_turn);
    return NATS_OK;
}

static natsStatus on_detach(void *user) {
    struct bus_adapter *a = user;
    uv_mutex_lock(&a->mu);
    a->closed = true;
    a->want = 0;
    uv_mutex_unlock(&a->mu);
    wake(a);
    unref(a);
    return NATS_OK;
}

struct bus_adapter *bus_adapter_new(uv_loop_t *loop, const struct bus_adapter_owner *owner) {
    struct bus_adapter *a = xcalloc(1, sizeof *a);
    a->loop = loop;
    a->loop_thread = uv_thread_self();
    a->owner = *owner;
    a->refs = 1;
    uv_mutex_init(&a->mu);
    return a;
}

natsStatus bus_adapter_options(struct bus_adapter *a, natsOptions *opts) {
    return natsOptions_SetEventLoop(opts, a, on_attach, on_want_read, on_want_write, on_detach);
}

int bus_adapter_start(struct bus_adapter *a, struct err *err) {
    uv_async_t *async = xcalloc(1, sizeof *async);
    int rc = uv_async_init(a->loop, async, on_async);
    if (rc < 0) {
        free(async);
        return err_set(err, ERR_SYS, "event loop: %s", uv_strerror(rc));
    }
    async->data = a;
    a->async = async;
    a->turn = xcalloc(1, sizeof *a->turn);
    uv_prepare_init(a->loop, a->turn);
    a->turn->data = a;
    a->told_up = true;
    a->told_links = a->links;
    apply(a);
    return 0;
}

bool bus_adapter_up(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    bool up = a->poll && !a->need_attach && !a->closed && (a->want & UV_READABLE);
    uv_mutex_unlock(&a->mu);
    return up;
}

void bus_adapter_break(struct bus_adapter *a) {
    if (bus_adapter_up(a))
        shutdown(a->fd, SHUT_RDWR);
}

static bool wants_write(struct bus_adapter *a) {
    uv_mutex_lock(&a->mu);
    int want = a->want;
    uv_mutex_unlock(&a->mu);
    return bus_adapter_up(a) && (want & UV_WRITABLE);
}

void bus_adapter_flush(struct bus_adapter *a, int ms) {
    uint64_t end = clock_mono_ms() + (uint64_t)ms;
    while (wants_write(a)) {
        natsConnection_ProcessWriteEvent(a->nc);
        uint64_t now = clock_mono_ms();
        if (!wants_write(a) || now >= end)
            return;
        struct pollfd p = {.fd = a->fd, .events = POLLOUT};
        poll(&p, 1, (int)(end - now));
    }
}

static void on_async_closed(uv_handle_t *h) {
    unref(h->data);
    free(h);
}

void bus_adapter_delete(struct bus_adapter *a) {
    a->deleted = true;
    poll_close(a);
    if (a->turn)
        uv_close((uv_handle_t *)a->turn, on_handle_closed);
    a->turn = NULL;
    uv_mutex_lock(&a->mu);
    uv_async_t *async = a->async;
    a->async = NULL;
    uv_mutex_unlock(&a->mu);
    if (async) /* a may be on the stack of on_poll: it lives until the loop comes round */
        uv_close((uv_handle_t *)async, on_async_closed);
    else
        unref(a);
}
