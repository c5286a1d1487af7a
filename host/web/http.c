/* SPDX-License-Identifier: MIT */
#include "web/http.h"
#include "base/list.h"
#include "web/hop.h"
#include "web/multi.h"
#include "web/transfer.h"
#include <stdlib.h>
#include <string.h>

#define MAX_TOTAL 128
#define MAX_HOST 32
#define MAX_IDLE 32L /* connections kept open for the next request */

struct http {
    uv_loop_t *loop;
    struct multi *multi;
    char *ca_file;
    int max_total, max_host, n_active;
    struct list active, waiting; /* struct http_call.node */
};

struct http_call {
    struct http *http;
    struct list node;
    bool active;
    uv_timer_t timer;
    uint64_t timeout_ms;
    size_t max_bytes;
    int redirects, max_redirects;
    struct hop hop;
    struct transfer transfer;
    http_cb cb;
    void *arg;
};

/* ---- turns ---- */

/* libcurl has limits of its own, but when one host's requests stand before another's in its queue,
 * a free place can be missed. */
static bool has_room(const struct http *h, const char *origin) {
    int same = 0;
    if (h->n_active >= h->max_total)
        return false;
    list_each(&h->active, it) same +=
        !strcmp(container_of(it, struct http_call, node)->hop.origin, origin);
    return same < h->max_host;
}

static void begin_hop(struct http_call *c) {
    transfer_begin(&c->transfer, &c->hop, c->http->ca_file, c->max_bytes, c);
    multi_add(c->http->multi, c->transfer.easy);
}

static void end_hop(struct http_call *c) {
    if (c->transfer.easy)
        multi_remove(c->http->multi, c->transfer.easy);
    transfer_end(&c->transfer);
}

static void launch(struct http_call *c) {
    list_remove(&c->node);
    list_push(&c->http->active, &c->node);
    c->http->n_active++;
    c->active = true;
    begin_hop(c);
}

static void launch_waiting(struct http *h) {
    list_each_safe(&h->waiting, it) {
        struct http_call *c = container_of(it, struct http_call, node);
        if (has_room(h, c->hop.origin))
            launch(c);
    }
}

/* ---- the end of a call ---- */

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Off the lists and the wire; what came stays until discard. */
static void detach(struct http_call *c) {
    list_remove(&c->node);
    uv_timer_stop(&c->timer);
    if (c->transfer.easy)
        multi_remove(c->http->multi, c->transfer.easy);
    if (c->active)
        c->http->n_active--;
}

static void discard(struct http_call *c) {
    transfer_end(&c->transfer);
    hop_free(&c->hop);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void finish(struct http_call *c, const struct http_answer *a, const struct http_error *e) {
    detach(c);
    launch_waiting(c->http);
    c->cb(a, e, c->arg);
    discard(c);
}

static void say(struct http_error *e, const char *code, const char *method, const char *origin,
                const char *why) {
    e->code = code;
    snprintf(e->message, sizeof e->message, "%s %.300s: %s", method, origin, why);
}

static void fail(struct http_call *c, const char *code, const char *why) {
    struct http_error e;
    say(&e, code, c->hop.method, c->hop.origin, why);
    finish(c, NULL, &e);
}

static void fail_too_large(struct http_call *c) {
    char why[120];
    snprintf(why, sizeof why, "the answer is larger than %zu bytes (maxBytes allows more)",
             c->max_bytes);
    fail(c, "HTTP_TOO_LARGE", c->transfer.in_body ? why : "the answer's headers are too large");
}

static void fail_transfer(struct http_call *c, CURLcode rc) {
    const char *why, *code = transfer_fault(&c->transfer, rc, &why);
    char text[CURL_ERROR_SIZE + 80];
    snprintf(text, sizeof text, "%s%s", why,
             rc == CURLE_PEER_FAILED_VERIFICATION ? " (a CA of your own? RBF_HTTP_CA_FILE names it)"
                                                  : "");
    fail(c, code, text);
}

static void on_late(uv_timer_t *timer) {
    struct http_call *c = timer->data;
    char why[80];
    snprintf(why, sizeof why, "no answer within %llu ms", (unsigned long long)c->timeout_ms);
    fail(c, "HTTP_TIMEOUT", why);
}

/* ---- a hop is over ---- */

static void redirect(struct http_call *c, const char *location) {
    struct err err;
    char why[80];
    snprintf(why, sizeof why, "more than %d redirects", c->max_redirects);
    if (++c->redirects > c->max_redirects) {
        fail(c, "HTTP_REDIRECTS", why);
    } else if (hop_redirect(&c->hop, transfer_status(&c->transfer), location, &err)) {
        fail(c, "HTTP_REDIRECTS", err.msg);
    } else {
        end_hop(c);
        begin_hop(c);
    }
}

static void on_done(CURL *easy, CURLcode rc) {
    struct http_call *c = transfer_arg(easy);
    struct transfer *t = &c->transfer;
    if (t->too_large) {
        fail_too_large(c);
        return;
    }
    if (rc) {
        fail_transfer(c, rc);
        return;
    }
    int status = transfer_status(t);
    const char *location = hop_is_redirect(status) ? transfer_location(t) : NULL;
    if (location && c->max_redirects) {
        redirect(c, location);
        return;
    }
    struct http_answer a = {.status = status,
                            .url = c->hop.url,
                            .headers = &t->headers,
                            .body = t->body.p ? t->body.p : "",
                            .len = t->body.len};
    finish(c, &a, NULL);
}

/* ---- public ---- */

struct http *http_new(uv_loop_t *loop, const struct http_options *o) {
    struct http *h = xcalloc(1, sizeof *h);
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted; never undone: a resolver may still run */
    h->loop = loop;
    h->ca_file = xstrdup(o->ca_file);
    h->max_total = o->max_total ? o->max_total : MAX_TOTAL;
    h->max_host = o->max_host ? o->max_host : MAX_HOST;
    h->multi = multi_new(loop, MAX_IDLE, on_done);
    list_init(&h->active);
    list_init(&h->waiting);
    return h;
}

static void start_timer(struct http_call *c) {
    uv_timer_init(c->http->loop, &c->timer);
    c->timer.data = c;
    uv_update_time(c->http->loop);
    uv_timer_start(&c->timer, on_late, c->timeout_ms, 0);
}

struct http_call *http_send(struct http *h, const struct http_request *req, http_cb cb, void *arg,
                            struct http_error *error) {
    struct http_call *c = xcalloc(1, sizeof *c);
    struct err err;
    c->http = h;
    c->timeout_ms = req->timeout_ms;
    c->max_bytes = req->max_bytes;
    c->max_redirects = req->redirects;
    c->cb = cb;
    c->arg = arg;
    if (hop_init(&c->hop, req, &err)) {
        say(error, "HTTP_URL", req->method, "request", err.msg);
        free(c);
        return NULL;
    }
    start_timer(c);
    list_push(&h->waiting, &c->node);
    if (has_room(h, c->hop.origin))
        launch(c);
    return c;
}

void http_cancel(struct http_call *c) {
    detach(c);
    launch_waiting(c->http);
    discard(c);
}

static void cancel_all(struct list *calls) {
    list_each_safe(calls, it) {
        struct http_call *c = container_of(it, struct http_call, node);
        detach(c);
        discard(c);
    }
}

void http_delete(struct http *h) {
    if (!h)
        return;
    cancel_all(&h->waiting);
    cancel_all(&h->active);
    multi_delete(h->multi);
    free(h->ca_file);
    free(h);
}
