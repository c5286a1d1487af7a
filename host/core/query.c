/* SPDX-License-Identifier: MIT */
#include "core/query.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/after.h"
#include "core/hook.h"
#include "core/run.h"
#include "core/settle.h"
#include "core/tasklog.h"
#include <stdlib.h>

#define MAX_CONFLICTS 10
#define MAX_LOSSES 3
#define ONES_WANTED 16 /* as a mutation's lane has it */
#define ONES_WANTED_MAX (1 << 20)

struct query {
    struct task *t;
    struct run run;
};

/* --- does it end after one statement? ---
 * Then COMMIT travels with that: one flight instead of two. Forgotten with the generation, as a
 * handler may change. */

static struct gen_op *op_of(const struct task *t) {
    return &t->gen->ops[t->op];
}

static bool is_one(const struct task *t) {
    const struct gen_op *op = op_of(t);
    return op->ones >= (op->ones_wanted ? op->ones_wanted : ONES_WANTED);
}

static void note_statements(const struct task *t, int n) {
    struct gen_op *op = op_of(t);
    if (n > 1)
        op->ones = 0;
    else if (n == 1 && op->ones < ONES_WANTED_MAX)
        op->ones++;
}

/* It wanted a second: four times as many have to show that there is none. */
static void not_one(const struct task *t) {
    struct gen_op *op = op_of(t);
    op->ones = 0;
    op->ones_wanted = 4 * (op->ones_wanted ? op->ones_wanted : ONES_WANTED);
    if (op->ones_wanted > ONES_WANTED_MAX)
        op->ones_wanted = ONES_WANTED_MAX;
}

/* --- its ends --- */

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

static void answer_failure(const struct failure *f, void *arg) {
    struct task *t = arg;
    bool ours = f->kind == FAIL_ERROR || f->kind == FAIL_OUTPUT || f->kind == FAIL_SQL;
    bool known = f->status == 503 && !pgpool_up(t->h->pool); /* said once for all of them */
    tasklog_end(t, &(struct tasklog_end){.level = known  ? LOG_DEBUG
                                                  : ours ? LOG_ERROR
                                                         : LOG_INFO,
                                         .msg = ours ? "query failed" : "refused",
                                         .outcome = ours ? "failed" : "refused",
                                         .status = f->status,
                                         .code = f->code,
                                         .error = f->internal ? f->internal : f->message,
                                         .traceback = ours ? f->traceback : NULL});
    task_reply_error(t, f->status, f->code, f->message, f->details);
    t->h->stats.refused++;
    task_end(t, "+ACK");
}

/* For good: what its onError hooks make of it is the answer. */
static void fail(struct query *q, const struct failure *f) {
    struct task *t = q->t;
    if (task_op(t)->on_error)
        hook_run(t, run_take_call(&q->run), f, answer_failure, t);
    else
        answer_failure(f, t);
}

static void give_up(struct query *q, int status, const char *code, const char *message,
                    const char *internal) {
    struct failure f = {.kind = FAIL_ERROR,
                        .status = status,
                        .code = (char *)code,
                        .message = (char *)message,
                        .internal = (char *)internal,
                        .retry_after_ms = -1};
    fail(q, &f);
}

/* Only 40001 and a lost connection may have a better answer the next time, and what had no second
 * statement. */
static void again(struct query *q, enum run_end end) {
    struct task *t = q->t;
    if (end == RUN_APART) {
        not_one(t);
        after_ms(t->h->loop, 0, run_again, t);
        return;
    }
    t->h->stats.conflicts += end == RUN_CONFLICT;
    t->conflicts += end == RUN_CONFLICT;
    t->losses += end == RUN_LOST && pgpool_up(t->h->pool); /* its own doing, perhaps */
    if (end == RUN_LOST && t->answer_by_ms && clock_mono_ms() >= t->answer_by_ms)
        give_up(q, 503, "UNAVAILABLE", "the database cannot be reached; ask again",
                "no connection to PostgreSQL in time");
    else if (t->conflicts > MAX_CONFLICTS)
        give_up(q, 500, "CONCURRENCY_CONFLICT", "too many concurrent changes",
                "serialization failure, 10 times in a row");
    else if (t->losses > MAX_LOSSES)
        give_up(q, 500, "INTERNAL_SERVER_ERROR", "Internal server error",
                "the connection to PostgreSQL broke each time this handler ran");
    else
        after_ms(t->h->loop, end == RUN_LOST ? 250 : 5, run_again, t);
}

static void answer(struct query *q) {
    struct task *t = q->t;
    const struct call *c = q->run.call;
    if (c->result_len + 1024 > bus_max_payload(t->h->bus)) {
        const char *why = "the result is larger than NATS takes: return less";
        struct failure f = {.kind = FAIL_PERMANENT,
                            .status = 500,
                            .code = "PAYLOAD_TOO_LARGE",
                            .message = (char *)why,
                            .internal = (char *)why,
                            .retry_after_ms = -1};
        fail(q, &f);
        return;
    }
    task_reply(t, 200, c->result, c->result_len);
    note_statements(t, q->run.statements - q->run.questions);
    t->h->stats.queries++;
    task_end(t, "+ACK");
}

/* Answered before a COMMIT of its own, which costs a flight; a failure's hooks run after it. */
static void on_ran(struct run *r, enum run_end end) {
    struct query *q = r->arg;
    struct host *h = r->h;
    if (end == RUN_DONE)
        answer(q);
    give_back(h, r->conn);
    if (end == RUN_FAILED)
        fail(q, r->failure);
    else if (end != RUN_DONE)
        again(q, end);
    run_close(r);
    free(q);
}

static bool expired(const struct task *t) {
    return t->env.expires_at && t->env.expires_at <= clock_db_ms();
}

void query_run(struct task *t) {
    if (expired(t)) {
        t->h->stats.expired++;
        t->outcome = "expired";
        t->status = 410;
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
    const struct run_lazy lazy = {.begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                  .end = is_one(t) ? "COMMIT" : NULL,
                                  .conn_by_ms = t->answer_by_ms};
    run_start(&q->run, t->h, t->gen, &t->req, NULL, &lazy, (uint64_t)task_op(t)->timeout_ms, on_ran,
              q);
}
