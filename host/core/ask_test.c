/* SPDX-License-Identifier: MIT */
/* ask_test - test.run: one operation in the transaction that a spec has begun, up to its result:
 * what tx.c and query.c do between BEGIN and COMMIT. (subject, input as JSON, headers as JSON,
 * request id, attempt, time of the message in ms) → true and
 *   "done",   200,    result as JSON, effects as JSON, has it perhaps changed the session?
 *   "failed", status, body as JSON,   how (struct failure's kind), message for developers,
 *             traceback or nil, sqlstate, ms until the next attempt or nil: never
 *   "conflict": to be rolled back and run again
 *   "unknown": no operation has that subject
 * or false and a message when the connection broke. */
#include "base/jsonval.h"
#include "core/ask.h"
#include "core/retry.h"
#include "core/specs.h"
#include <stdlib.h>
#include <string.h>

enum { SUBJECT, INPUT, HEADERS, ID, ATTEMPT, TIME, N_ARGS };

struct trial {
    struct run run;   /* of the operation, then of its onError hooks */
    struct run *spec; /* who asked */
    struct call_request req;
    struct hdrs hdrs;
    struct subject_params params;
    json_t *input;
    char *subject, *id;
    struct call *failed; /* for the hooks */
    struct failure failure;
    int64_t retry_delay_ms;
};

static const struct gen_op *op_of(const struct trial *t) {
    return &t->spec->h->gen->ops[t->req.op];
}

static void trial_free(struct trial *t) {
    call_delete(t->failed);
    failure_free(&t->failure);
    hdrs_free(&t->hdrs);
    subject_params_free(&t->params);
    json_decref(t->input);
    free(t->subject);
    free(t->id);
    free(t);
}

/* --- effects --- */

static void set_text(json_t *o, const char *key, const char *text) {
    if (text)
        json_object_set_new(o, key, json_string(text));
}

static void set_hex(json_t *o, const struct effect *e) {
    struct buf hex = {0};
    for (size_t i = 0; i < e->raw_len; i++)
        buf_printf(&hex, "%02x", (unsigned char)e->raw[i]);
    set_text(o, "raw", hex.p ? hex.p : "");
    buf_free(&hex);
}

static void set_route(json_t *o, const struct gen *g, const struct effect *e) {
    struct subject_params params = {0};
    int op = router_match(g->router, e->subject, &params);
    if (op < 0)
        return;
    json_t *values = json_object();
    for (size_t i = 0; i < params.n; i++)
        set_text(values, params.v[i].name, params.v[i].value);
    json_object_set_new(o, "op", json_integer(op + 1));
    json_object_set_new(o, "params", values);
    subject_params_free(&params);
}

static json_t *describe(const struct gen *g, const struct effect *e) {
    static const char *const words[] = {
        [EFFECT_REQUEST] = "request", [EFFECT_MESSAGE] = "message", [EFFECT_CACHE] = "cache"};
    json_t *o = json_object();
    set_text(o, "type", words[e->type]);
    set_text(o, "id", e->id);
    set_text(o, "requestId", e->request_id);
    set_text(o, "subject", e->subject);
    set_text(o, "data", e->data);
    set_text(o, "headers", e->headers);
    json_object_set_new(o, "at", json_integer(e->target_at));
    json_object_set_new(o, "stream", json_boolean(e->stream));
    if (e->raw)
        set_hex(o, e);
    if (e->type == EFFECT_REQUEST)
        set_route(o, g, e);
    return o;
}

static void put_effects(struct buf *out, const struct call *c) {
    json_t *list = json_array();
    list_each(&c->effects, it)
        json_array_append_new(list, describe(c->gen, container_of(it, struct effect, node)));
    jsonval_write(out, list);
    json_decref(list);
}

/* --- the answers --- */

static struct call_value text_of(const char *s) {
    return ask_text(s, s ? strlen(s) : 0);
}

static void answer_done(struct trial *t) {
    struct run *spec = t->spec;
    struct call *c = run_take_call(&t->run);
    struct buf effects = {0};
    put_effects(&effects, c);
    struct call_value v[] = {
        ask_flag(true),
        text_of("done"),
        ask_number(200),
        ask_text(c->result, c->result_len),
        text_of(effects.p),
        ask_flag(pgconn_touched(spec->conn) || pgconn_scope_changed(spec->conn))};
    run_close(&t->run);
    trial_free(t);
    run_answer(spec, v, 6);
    buf_free(&effects);
    call_delete(c);
}

static bool is_permanent(const struct failure *f) {
    const char *s = f->sqlstate;
    return f->kind == FAIL_PERMANENT || f->kind == FAIL_INPUT ||
           (f->kind == FAIL_SQL &&
            (!strcmp(s, "23505") || !strcmp(s, "23503") || !strcmp(s, "22P02")));
}

/* Nil: never; as settle.c decides it. */
static struct call_value next_attempt(const struct trial *t, const struct failure *f) {
    const struct config *cfg = t->spec->h->cfg;
    const struct gen_retry *policy = &op_of(t)->retry;
    int64_t own = f->retry_after_ms >= 0 ? f->retry_after_ms : t->retry_delay_ms;
    if (is_permanent(f) || t->req.attempt >= retry_max_attempts(cfg, policy))
        return ask_text(NULL, 0);
    return ask_number((double)(own >= 0 ? own : retry_delay_ms(cfg, policy, t->req.attempt)));
}

/* f may belong to t. */
static void answer_failed(struct trial *t, const struct failure *f) {
    struct run *spec = t->spec;
    struct buf body = {0};
    struct failure copy;
    failure_copy(&copy, f);
    envelope_error_body(&body, copy.code, copy.message ? copy.message : "", copy.details);
    struct call_value v[] = {ask_flag(true),
                             text_of("failed"),
                             ask_number(copy.status),
                             ask_text(body.p, body.len),
                             text_of(failure_kind_name(copy.kind)),
                             text_of(copy.internal),
                             text_of(copy.traceback),
                             text_of(copy.sqlstate),
                             next_attempt(t, f)};
    run_close(&t->run);
    trial_free(t);
    run_answer(spec, v, 9);
    failure_free(&copy);
    buf_free(&body);
}

static void answer_word(struct trial *t, const char *word) {
    struct run *spec = t->spec;
    struct call_value v[] = {ask_flag(true), text_of(word)};
    run_close(&t->run);
    trial_free(t);
    run_answer(spec, v, 2);
}

static void answer_lost(struct trial *t) {
    struct run *spec = t->spec;
    run_close(&t->run);
    trial_free(t);
    ask_refuse(spec, "the connection to PostgreSQL broke while the handler ran");
}

/* --- the run, and its onError hooks: as in hook.c --- */

static void on_hooked(struct run *r, enum run_end end) {
    struct trial *t = r->arg;
    const struct failure *made = end == RUN_FAILED ? r->failure : NULL;
    if (!made || (made->kind != FAIL_PERMANENT && made->kind != FAIL_RETRY)) {
        answer_failed(t, &t->failure);
        return;
    }
    struct failure f = *made;
    f.traceback = t->failure.traceback;
    if (f.retry_after_ms < 0)
        f.retry_after_ms = t->failure.retry_after_ms;
    answer_failed(t, &f);
}

static void ask_hooks(struct trial *t, const struct failure *f) {
    struct host *h = t->spec->h;
    failure_copy(&t->failure, f);
    t->failed = run_take_call(&t->run);
    run_close(&t->run);
    t->req.failure = &t->failure;
    t->req.failed = t->failed;
    run_start(&t->run, h, h->gen, &t->req, NULL, NULL, (uint64_t)op_of(t)->timeout_ms, on_hooked,
              t);
}

static void on_ran(struct run *r, enum run_end end) {
    struct trial *t = r->arg;
    t->retry_delay_ms = r->call->retry_delay_ms;
    if (end == RUN_DONE)
        answer_done(t);
    else if (end == RUN_CONFLICT)
        answer_word(t, "conflict");
    else if (end == RUN_LOST)
        answer_lost(t);
    else if (op_of(t)->on_error)
        ask_hooks(t, r->failure);
    else
        answer_failed(t, r->failure);
}

/* --- the question --- */

static int read_request(struct trial *t, const struct call_value *args, struct err *err) {
    t->subject = xstrdup(args[SUBJECT].text.p);
    t->id = xstrdup(args[ID].text.p);
    t->input = jsonval_read(args[INPUT].text.p, args[INPUT].text.len, err);
    if (!t->input || hdrs_from_json(&t->hdrs, args[HEADERS].text.p, args[HEADERS].text.len, err))
        return -1;
    t->req =
        (struct call_request){.op = router_match(t->spec->h->gen->router, t->subject, &t->params),
                              .subject = t->subject,
                              .request_id = t->id,
                              .hdrs = &t->hdrs,
                              .params = &t->params,
                              .input = t->input,
                              .attempt = (int)args[ATTEMPT].number,
                              .timestamp = (int64_t)args[TIME].number};
    return 0;
}

static void start(struct run *r, const struct call_value *args, int n) {
    struct err err;
    if (n != N_ARGS || !r->conn) {
        ask_refuse(r, "not what lua/rbf/testing asks");
        return;
    }
    struct trial *t = xcalloc(1, sizeof *t);
    t->spec = r;
    r->asked = t;
    if (read_request(t, args, &err)) {
        trial_free(t);
        ask_refuse(r, err.msg);
    } else if (t->req.op < 0) {
        trial_free(t);
        struct call_value v[] = {ask_flag(true), text_of("unknown")};
        run_answer(r, v, 2);
    } else {
        run_start(&t->run, r->h, r->h->gen, &t->req, r->conn, NULL, (uint64_t)op_of(t)->timeout_ms,
                  on_ran, t);
    }
}

static void cancel(struct run *r) {
    struct trial *t = r->asked;
    run_close(&t->run);
    trial_free(t);
}

const struct ask ask_test_run = {"test.run", start, cancel};
