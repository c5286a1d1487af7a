/* SPDX-License-Identifier: MIT */
/* ask_client - backend.mutations.NAME{…} and backend.queries.NAME{…}, in scripts.
 *
 *     client.send: (type, subject without the app's prefix, headers as JSON or nil, request id,
 * body, timeout in ms, retries) → true, number client.wait: (number) → true, status, body | true,
 * status, nil, code, message */
#include "core/ask.h"
#include "core/client.h"
#include <stdlib.h>
#include <string.h>

/* The request-reply gateway answers queries without a stream. */
#define RPC "rpc."

static void send_call(struct run *r, const struct call_value *v) {
    bool query = !strcmp(v[0].text.p, "query");
    struct hdrs hdrs = {0};
    char *subject = xasprintf("%s%s%s", r->h->cfg->subject_prefix, query ? RPC : "", v[1].text.p);
    if (v[2].type == VALUE_TEXT) /* lua/rbf has checked them */
        hdrs_from_json(&hdrs, v[2].text.p, v[2].text.len, NULL);
    struct client_request q = {
        .way = query ? CLIENT_ASK : CLIENT_STORE,
        .subject = subject,
        .id = v[3].text.p,
        .hdrs = &hdrs,
        .body = v[4].text.p,
        .len = v[4].text.len,
        .timeout_ms = (int)v[5].number,
        .retries = (int)v[6].number,
    };
    struct call_value answer[] = {ask_flag(true),
                                  ask_number((double)client_send(r->h->client, &q))};
    hdrs_free(&hdrs);
    free(subject);
    run_answer(r, answer, 2);
}

static void start_send(struct run *r, const struct call_value *args, int n) {
    if (!r->h->client)
        ask_refuse(r, "it would wait for this host itself; enqueue it instead: "
                      "r.scheduler:enqueue(operation, { input = … })");
    else if (n == 7)
        send_call(r, args);
    else
        ask_refuse(r, "client.send takes seven values");
}

static void cancel_send(struct run *r) {}

static void on_answer(const struct client_answer *a, void *arg) {
    struct run *r = arg;
    struct call_value v[] = {
        ask_flag(true),
        ask_number(a->status),
        ask_text(a->body, a->len),
        ask_text(a->code, a->code ? strlen(a->code) : 0),
        ask_text(a->message, a->message ? strlen(a->message) : 0),
    };
    run_answer(r, v, 5);
}

static void start_wait(struct run *r, const struct call_value *args, int n) {
    uint64_t number = n > 0 && args[0].type == VALUE_NUMBER ? (uint64_t)args[0].number : 0;
    r->asked = (void *)(uintptr_t)number;
    client_wait(r->h->client, number, on_answer, r);
}

static void cancel_wait(struct run *r) {
    client_forget(r->h->client, (uintptr_t)r->asked);
}

const struct ask ask_client_send = {"client.send", start_send, cancel_send};
const struct ask ask_client_wait = {"client.wait", start_wait, cancel_wait};
