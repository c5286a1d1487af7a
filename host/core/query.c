/* SPDX-License-Identifier: MIT */
#include "core/query.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/after.h"
#include "core/run.h"
#include "core/settle.h"
#include <stdlib.h>

#define MAX_CONFLICTS 10
#define MAX_LOSSES 3

struct query {
    struct task *t;
    struct run run;
};

static void on_closed(struct pgconn *c, const struct pgflight *f, void *arg) {
    pgpool_release(arg, c);
}

/* Answered already: the transaction only has to end. COMMIT of a reader costs nothing. */
static void give_back(struct host *h, struct pgconn *conn) {
    if (!conn)
        return;
    if (pgconn_dead(conn) || pgconn_tx(conn) == PGTX_IDLE) {
        pgpool_release(h->pool, conn);
        return;
    }
    pgconn_add(conn, "COMMIT", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_send(conn, on_closed, h->pool);
}

static void run_again(void *arg) {
    query_run(arg);
}

static void give_up(struct task *t, int status, const char *code, const char *message) {
    t->h->stats.refused++;
    task_reply_error(t, status, code, message, NULL);
    task_end(t, "+ACK");
}

/* Only 40001 and a lost connection may have a better answer the next time. */
static void again(struct task *t, enum run_end end) {
    t->h->stats.conflicts += end == RUN_CONFLICT;
    t->conflicts += end == RUN_CONFLICT;
    t->losses += end == RUN_LOST && pgpool_up(t->h->pool); /* its own doing, perhaps */
    if (end == RUN_LOST && t->answer_by_ms && clock_mono_ms() >= t->answer_by_ms)
        give_up(t, 503, "UNAVAILABLE", "the database cannot be reached; ask again");
    else if (t->conflicts > MAX_CONFLICTS)
        give_up(t, 500, "CONCURRENCY_CONFLICT", "too many concurrent changes");
    else if (t->losses > MAX_LOSSES)
        give_up(t, 500, "INTERNAL_SERVER_ERROR", "Internal server error");
    else
        after_ms(t->h->loop, end == RUN_LOST ? 250 : 5, run_again, t);
}

static void answer_failure(struct task *t, const struct failure *f) {
    bool ours = f->kind == FAIL_ERROR || f->kind == FAIL_OUTPUT || f->kind == FAIL_SQL;
    if (ours)
        log_error("query failed", LOG_S("operation", task_op(t)->path),
                  LOG_S("request_id", t->env.id), LOG_S("error", f->internal),
                  LOG_S("traceback", f->traceback));
    task_reply_error(t, f->status, f->code, f->message, f->details);
    t->h->stats.refused++;
    task_end(t, "+ACK");
}

static void answer(struct task *t, const struct call *c) {
    if (c->result_len + 1024 > bus_max_payload(t->h->bus))
        task_reply_error(t, 500, "PAYLOAD_TOO_LARGE",
                         "the result is larger than NATS takes: return less", NULL);
    else
        task_reply(t, 200, c->result, c->result_len);
    t->h->stats.queries++;
    task_end(t, "+ACK");
}

static void on_ran(struct run *r, enum run_end end) {
    struct query *q = r->arg;
    struct host *h = r->h;
    struct pgconn *conn = r->conn;
    if (end == RUN_DONE)
        answer(q->t, r->call);
    else if (end == RUN_FAILED)
        answer_failure(q->t, r->failure);
    else
        again(q->t, end);
    run_close(r);
    free(q);
    give_back(h, conn);
}

static bool expired(const struct task *t) {
    return t->env.expires_at && t->env.expires_at <= clock_db_ms();
}

void query_run(struct task *t) {
    if (expired(t)) {
        t->h->stats.expired++;
        task_reply_error(t, 410, "EXPIRED", "Expires-At has passed", NULL);
        task_end(t, "+ACK");
        return;
    }
    if (t->env.target_at > clock_db_ms()) {
        settle_delay(t);
        return;
    }
    struct query *q = xcalloc(1, sizeof *q);
    q->t = t;
    const struct run_lazy lazy = {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                  t->answer_by_ms};
    run_start(&q->run, t->h, t->gen, &t->req, NULL, &lazy, (uint64_t)task_op(t)->timeout_ms, on_ran,
              q);
}
