/* SPDX-License-Identifier: MIT */
#include "web/multi.h"
#include "base/buf.h"
#include <stdlib.h>

struct multi {
    CURLM *curl;
    uv_loop_t *loop;
    uv_timer_t timer;
    multi_cb cb;
};

struct sock {
    uv_poll_t poll;
    struct multi *m;
    curl_socket_t fd;
    int events; /* watched for */
};

static void on_sock_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Callbacks run here, where libcurl may be called again; each may end other transfers, whose
 * messages libcurl then forgets. */
static void reap(struct multi *m) {
    int left;
    for (CURLMsg *msg; (msg = curl_multi_info_read(m->curl, &left));)
        if (msg->msg == CURLMSG_DONE)
            m->cb(msg->easy_handle, msg->data.result);
}

static void act(struct multi *m, curl_socket_t fd, int ready) {
    int running;
    curl_multi_socket_action(m->curl, fd, ready, &running);
    reap(m);
}

/* An error is told together with bytes that came before it, and libuv has stopped watching then: it
 * is watched again, and libcurl looks itself (0) until a read finds the error. */
static void on_ready(uv_poll_t *poll, int status, int events) {
    struct sock *s = poll->data;
    int ready = 0;
    if (status < 0)
        uv_poll_start(poll, s->events, on_ready);
    else
        ready = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    act(s->m, s->fd, ready); /* s may be closed now */
}

static void on_time(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static struct sock *sock_new(struct multi *m, curl_socket_t fd) {
    struct sock *s = xcalloc(1, sizeof *s);
    s->m = m;
    s->fd = fd;
    if (uv_poll_init_socket(m->loop, &s->poll, fd)) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    curl_multi_assign(m->curl, fd, s);
    return s;
}

/* libcurl says REMOVE before it closes a descriptor, and uv_close forgets the descriptor at once: a
 * new socket may have the same number a moment later. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_sock) {
    struct multi *m = arg;
    struct sock *s = of_sock;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            uv_close((uv_handle_t *)&s->poll, on_sock_closed);
        curl_multi_assign(m->curl, fd, NULL);
        return 0;
    }
    if (!s)
        s = sock_new(m, fd);
    if (!s)
        return -1;
    s->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, s->events, on_ready) ? -1 : 0;
}

static int on_timer(CURLM *curl, long ms, void *arg) {
    struct multi *m = arg;
    if (ms < 0) {
        uv_timer_stop(&m->timer);
        return 0;
    }
    uv_update_time(m->loop); /* a handler may have computed for a while */
    uv_timer_start(&m->timer, on_time, (uint64_t)ms, 0);
    return 0;
}

struct multi *multi_new(uv_loop_t *loop, long max_idle, multi_cb cb) {
    struct multi *m = xcalloc(1, sizeof *m);
    m->loop = loop;
    m->cb = cb;
    uv_timer_init(loop, &m->timer);
    m->timer.data = m;
    m->curl = curl_multi_init();
    if (!m->curl)
        abort(); /* out of memory */
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, max_idle);
    return m;
}

void multi_add(struct multi *m, CURL *easy) {
    if (curl_multi_add_handle(m->curl, easy))
        abort(); /* out of memory */
}

void multi_remove(struct multi *m, CURL *easy) {
    curl_multi_remove_handle(m->curl, easy);
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

void multi_delete(struct multi *m) {
    curl_multi_cleanup(m->curl); /* idle connections: their sockets are removed now */
    uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}
