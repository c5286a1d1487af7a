/* SPDX-License-Identifier: MIT */
/* webtest - one test of web/http: a loop, a server in this process, and what was answered. */
#ifndef RBF_WEBTEST_H
#define RBF_WEBTEST_H
#include "base/clock.h"
#include "httpd.h"
#include "web/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 30000 /* nothing should take that long */

static uv_loop_t loop;
static struct httpd *server;
static struct http *http;
static char *log_text; /* of the server */
static size_t log_len;
static FILE *log_file;

struct got { /* what came for one call */
    struct http_call *call;
    int n, status;
    char code[32], message[1400], url[600];
    struct buf body, headers;
};

static inline void webtest_http(const struct http_options *o) {
    http_delete(http);
    http = http_new(&loop, o);
}

static inline int webtest_begin(void **state) {
    struct http_options o = {0};
    uv_loop_init(&loop);
    log_file = open_memstream(&log_text, &log_len);
    server = httpd_new(NULL, NULL, log_file);
    http = NULL;
    webtest_http(&o);
    return 0;
}

static inline int webtest_end(void **state) {
    http_delete(http);
    http = NULL;
    uv_run(&loop, UV_RUN_DEFAULT); /* only what is closing is left */
    assert_int_equal(uv_loop_close(&loop), 0);
    httpd_delete(server);
    fclose(log_file);
    free(log_text);
    return 0;
}

static inline char *webtest_url(const char *path) { /* until the next one is asked for */
    static char url[4096];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", httpd_port(server), path);
    return url;
}

static inline void on_got(const struct http_answer *a, const struct http_error *e, void *arg) {
    struct got *g = arg;
    g->n++;
    g->call = NULL;
    if (e) {
        snprintf(g->code, sizeof g->code, "%s", e->code);
        snprintf(g->message, sizeof g->message, "%s", e->message);
        return;
    }
    g->status = a->status;
    snprintf(g->url, sizeof g->url, "%s", a->url);
    buf_put(&g->body, a->body, a->len);
    for (size_t i = 0; i < a->headers->n; i++)
        buf_printf(&g->headers, "%s=%s;", a->headers->v[i].name, a->headers->v[i].value);
}

static inline void got_free(struct got *g) {
    buf_free(&g->body);
    buf_free(&g->headers);
    memset(g, 0, sizeof *g);
}

/* A request with everything preset that req leaves 0. */
static inline void send_req(struct got *g, struct http_request req) {
    struct http_error e;
    memset(g, 0, sizeof *g);
    req.method = req.method ? req.method : "GET";
    req.timeout_ms = req.timeout_ms ? req.timeout_ms : LONG_MS;
    req.max_bytes = req.max_bytes ? req.max_bytes : 1 << 20;
    g->call = http_send(http, &req, on_got, g, &e);
    if (!g->call)
        on_got(NULL, &e, g);
}

static inline void send_path(struct got *g, const char *path) {
    send_req(g, (struct http_request){.url = webtest_url(path)});
}

static inline void await_got(struct got *g) {
    uint64_t end = clock_mono_ms() + LONG_MS;
    while (!g->n && clock_mono_ms() < end)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(g->n, 1);
}

/* Sends and waits. */
static inline void fetch(struct got *g, struct http_request req) {
    send_req(g, req);
    await_got(g);
}

static inline void fetch_path(struct got *g, const char *path) {
    fetch(g, (struct http_request){.url = webtest_url(path)});
}

static inline void assert_body(const struct got *g, const char *text) {
    assert_string_equal(g->code, "");
    assert_string_equal(g->body.p ? g->body.p : "", text);
}

static inline void assert_fails(struct got *g, const char *code) {
    assert_string_equal(g->code, code);
    got_free(g);
}
#endif
