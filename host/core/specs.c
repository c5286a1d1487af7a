/* SPDX-License-Identifier: MIT */
#include "core/specs.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "core/after.h"
#include "core/ask.h"
#include "core/client.h"
#include "core/run.h"
#include "core/script.h"
#include "web/http.h"
#include <stdlib.h>
#include <string.h>

#define NO_TIMEOUT_MS (100 * 365 * UINT64_C(86400000))
#define CONNECT_MS 10000
#define CHECK_MS 20 /* handlers' deadlines */
#define MAX_SLOTS 10000

struct specs_run {
    struct host h;
    uv_loop_t loop;
    uv_timer_t timer;
    struct run run;
    struct buf *complaint;
    bool ended;
    int code;
};

static void on_end(struct run *r, enum run_end end) {
    struct specs_run *s = r->arg;
    s->ended = true;
    s->code = 1;
    if (end == RUN_DONE)
        s->code = atoi(r->call->result);
    else if (end == RUN_FAILED)
        script_complain(s->complaint, r->failure);
}

static void on_timer(uv_timer_t *t) {
    run_check_deadlines(t->data);
}

static void drive(struct specs_run *s, const struct call_script *script) {
    struct call_request req = {.op = -1, .script = script};
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = &s->h;
    uv_timer_start(&s->timer, on_timer, CHECK_MS, CHECK_MS);
    run_start(&s->run, &s->h, s->h.gen, &req, NULL, NULL, NO_TIMEOUT_MS, on_end, s);
    while (!s->ended)
        uv_run(&s->loop, UV_RUN_ONCE);
    run_close(&s->run);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

int specs_run(struct config *cfg, struct gen *g, const struct call_script *script,
              struct specs *specs, struct buf *complaint) {
    struct specs_run s = {
        .h = {.cfg = cfg, .gen = g, .specs = specs}, .complaint = complaint, .code = 1};
    list_init(&s.h.tasks);
    list_init(&s.h.runs);
    uv_loop_init(&s.loop);
    s.h.loop = &s.loop;
    drive(&s, script);
    if (specs->shared)
        pgpool_delete(specs->shared);
    if (specs->fresh)
        pgpool_delete(specs->fresh);
    client_delete(s.h.client);
    http_delete(s.h.http);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.loop);
    free(specs->nats_url);
    clock_freeze(0);
    return s.code;
}

/* --- test.connect: (fresh?) → true: its transactions are on that database now --- */

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct run *r = arg;
    struct call_value yes = ask_flag(true);
    r->conn = conn;
    if (conn)
        run_answer(r, &yes, 1);
    else
        ask_refuse(r, err->msg);
}

static void drop(struct pgpool **p) {
    if (*p)
        pgpool_delete(*p);
    *p = NULL;
}

static void connect_start(struct run *r, const struct call_value *args, int n) {
    struct specs *s = r->h->specs;
    bool fresh = n > 0 && args[0].type == VALUE_BOOL && args[0].flag;
    struct err err = {0};
    if (!s) {
        ask_refuse(r, "only `rbf test` has databases for specs");
        return;
    }
    if (r->conn)
        pgpool_release(s->lender, r->conn);
    r->conn = NULL;
    drop(&s->fresh); /* or its database could not be dropped */
    struct pgpool **pool = fresh ? &s->fresh : &s->shared;
    if (!*pool) {
        const char *url = s->database(s->arg, fresh, &err);
        if (!url) {
            ask_refuse(r, err.msg);
            return;
        }
        *pool = pgpool_new(r->h->loop, url, 1);
    }
    s->lender = *pool;
    pgpool_acquire(*pool, &s->waiter, clock_mono_ms() + CONNECT_MS, on_conn, r);
}

static void connect_cancel(struct run *r) {
    pgpool_forget(r->h->specs->lender, &r->h->specs->waiter);
}

const struct ask ask_test_connect = {"test.connect", connect_start, connect_cancel};

/* --- test.clock: (ms since the epoch, seed or nil) → true --- */

static void no_cancel(struct run *r) {}

static void clock_start(struct run *r, const struct call_value *args, int n) {
    struct call_value yes = ask_flag(true);
    if (n > 0 && args[0].type == VALUE_NUMBER)
        clock_freeze((int64_t)args[0].number);
    if (n > 1 && args[1].type == VALUE_NUMBER)
        id_seed((uint64_t)args[1].number);
    run_answer(r, &yes, 1);
}

const struct ask ask_test_clock = {"test.clock", clock_start, no_cancel};

/* --- test.client: (URL of NATS, or nil) → true: client.send and client.wait go there --- */

/* From the loop: the old client may be calling us right now. */
static void on_client_turn(void *arg) {
    struct run *r = arg;
    struct specs *s = r->h->specs;
    struct call_value yes = ask_flag(true);
    struct err err = {0};
    struct config its = {.nats_url = s->nats_url}; /* a private server: no certificates */
    r->asked = NULL;
    client_delete(r->h->client);
    r->h->client = its.nats_url ? client_new(r->h->loop, &its, "rbf test", &err) : NULL;
    if (err.kind)
        ask_refuse(r, err.msg);
    else
        run_answer(r, &yes, 1);
}

static void client_start(struct run *r, const struct call_value *args, int n) {
    struct specs *s = r->h->specs;
    free(s->nats_url);
    s->nats_url = n > 0 && args[0].type == VALUE_TEXT ? xstrdup(args[0].text.p) : NULL;
    r->asked = after_ms(r->h->loop, 0, on_client_turn, r);
}

static void client_cancel(struct run *r) {
    struct after *timer = r->asked;
    after_cancel(&timer);
}

const struct ask ask_test_client = {"test.client", client_start, client_cancel};

/* --- test.crons: (after, until: ms) → true, [{"name","subject","data","at"}] as JSON --- */

static int add_slots(json_t *list, const struct gen_cron *c, int64_t after, int64_t until) {
    int64_t at = after;
    while ((at = cronspec_next(&c->spec, c->zone, at)) >= 0 && at <= until) {
        if (json_array_size(list) >= MAX_SLOTS)
            return -1;
        json_array_append_new(list, json_pack("{s:s,s:s,s:s*,s:I}", "name", c->name, "subject",
                                              c->subject, "data", c->data, "at",
                                              (json_int_t)(at * 1000)));
    }
    return 0;
}

static void crons_start(struct run *r, const struct call_value *args, int n) {
    struct gen *g = r->h->gen;
    json_t *list = json_array();
    struct buf text = {0};
    int rc = n == 2 && args[0].type == VALUE_NUMBER && args[1].type == VALUE_NUMBER ? 0 : -1;
    for (int i = 0; i < g->n_crons && rc == 0; i++)
        rc = add_slots(list, &g->crons[i], (int64_t)args[0].number / 1000,
                       (int64_t)args[1].number / 1000);
    if (rc == 0) {
        jsonval_write(&text, list);
        struct call_value v[] = {ask_flag(true), ask_text(text.p, text.len)};
        run_answer(r, v, 2);
    } else {
        ask_refuse(r, "the crons would fire more than 10000 times: advance in smaller steps");
    }
    buf_free(&text);
    json_decref(list);
}

const struct ask ask_test_crons = {"test.crons", crons_start, no_cancel};
