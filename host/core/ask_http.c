/* SPDX-License-Identifier: MIT */
/* ask_http - rbf.http.request: (method, url, headers as JSON or nil, body or nil, timeout in ms,
 * most redirects, most bytes) → true, status, headers as lines "name: value", body, url; or false,
 * message, code (none: it was not asked rightly).
 *
 * Whatever is not a GET or HEAD carries "Idempotency-Key: <request id>/<n>", n counting the
 * requests of this run: the same when the handler runs again. An onError hook counts for itself,
 * as "<request id>/onError/<n>"; scripts send none. */
#include "base/jsonval.h"
#include "core/ask.h"
#include "web/http.h"
#include <string.h>

enum { METHOD, URL, HEADERS, BODY, TIMEOUT, REDIRECTS, MAX_BYTES, N_ARGS };

static void put_lines(struct buf *out, const struct hdrs *h) {
    for (size_t i = 0; i < h->n; i++)
        buf_printf(out, "%s: %s\n", h->v[i].name, h->v[i].value);
}

static void answer_error(struct run *r, const struct http_error *e) {
    struct call_value v[] = {ask_flag(false), ask_text(e->message, strlen(e->message)),
                             ask_text(e->code, strlen(e->code))};
    run_answer(r, v, 3);
}

static void on_answer(const struct http_answer *a, const struct http_error *e, void *arg) {
    struct run *r = arg;
    r->asked = NULL;
    if (e) {
        answer_error(r, e);
        return;
    }
    struct buf lines = {0};
    put_lines(&lines, a->headers);
    struct call_value v[] = {ask_flag(true), ask_number(a->status),
                             ask_text(lines.p ? lines.p : "", lines.len), ask_text(a->body, a->len),
                             ask_text(a->url, strlen(a->url))};
    run_answer(r, v, 5);
    buf_free(&lines);
}

static int read_headers(struct hdrs *h, const struct call_value *v, struct err *err) {
    if (v->type == VALUE_TEXT && hdrs_from_json(h, v->text.p, v->text.len, err))
        return -1;
    for (size_t i = 0; i < h->n; i++)
        if (!hdrs_valid(h->v[i].name, h->v[i].value))
            return err_set(err, ERR_INVALID,
                           "header '%.60s' cannot be sent: a name is made of letters, digits and "
                           "dashes, a value of printable text in one line",
                           h->v[i].name);
    return 0;
}

static void add_key(struct run *r, struct hdrs *h, const char *method) {
    if (!strcmp(method, "GET") || !strcmp(method, "HEAD") || hdrs_get(h, "Idempotency-Key") ||
        !r->req->request_id)
        return;
    char *key =
        xasprintf("%s/%s%d", r->req->request_id, r->req->failure ? "onError/" : "", r->http_calls);
    hdrs_add(h, "Idempotency-Key", key);
    free(key);
}

static void send_it(struct run *r, const struct call_value *args, const struct hdrs *headers) {
    struct http_error error;
    struct http_options options = {.ca_file = r->h->cfg->http_ca_file};
    bool body = args[BODY].type == VALUE_TEXT;
    struct http_request req = {.method = args[METHOD].text.p,
                               .url = args[URL].text.p,
                               .headers = headers,
                               .body = body ? args[BODY].text.p : NULL,
                               .body_len = body ? args[BODY].text.len : 0,
                               .timeout_ms = (uint64_t)args[TIMEOUT].number,
                               .redirects = (int)args[REDIRECTS].number,
                               .max_bytes = (size_t)args[MAX_BYTES].number};
    if (!r->h->http) /* most apps send nothing */
        r->h->http = http_new(r->h->loop, &options);
    r->asked = http_send(r->h->http, &req, on_answer, r, &error);
    if (!r->asked)
        answer_error(r, &error);
}

static void start(struct run *r, const struct call_value *args, int n) {
    struct hdrs headers = {0};
    struct err err;
    r->http_calls++;
    if (n != N_ARGS || args[METHOD].type != VALUE_TEXT || args[URL].type != VALUE_TEXT) {
        ask_refuse(r, "not what lua/rbf/http.lua asks");
    } else if (read_headers(&headers, &args[HEADERS], &err)) {
        ask_refuse(r, err.msg);
    } else {
        add_key(r, &headers, args[METHOD].text.p);
        send_it(r, args, &headers);
    }
    hdrs_free(&headers);
}

static void cancel(struct run *r) {
    http_cancel(r->asked);
    r->asked = NULL;
}

const struct ask ask_http = {"http", start, cancel};
