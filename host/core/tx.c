/* SPDX-License-Identifier: MIT */
#include "core/tx.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "core/after.h"
#include "core/cache_row.h"
#include "core/lane.h"
#include "core/outbox.h"
#include "core/results.h"
#include "core/retry.h"
#include "core/run.h"
#include "core/settle.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LOSSES 3
#define MAX_CONFLICTS 10 /* reruns in place; then it is parked like any other failure */

struct tx {
    struct host *h;
    struct list members; /* struct task.member, in the order they run */
    struct pgconn *conn; /* lent from the pool */
    struct pgpool_waiter waiter;
    struct lane *lane; /* NULL: unknown operation */
    struct lane_waiter turn;
    bool conflicted;
    struct run run;    /* of the member under way */
    int stored_status; /* of a stored result, while its caller's middleware is checked */
    struct buf stored;
};

static void on_conn(struct pgconn *conn, const struct err *err, void *arg);

static struct task *first(struct tx *tx) {
    return container_of(tx->members.next, struct task, member);
}

static void on_turn(void *arg) {
    struct tx *tx = arg;
    pgpool_acquire(tx->h->pool, &tx->waiter, 0, on_conn, tx);
}

void tx_run(struct task *t) {
    struct tx *tx = xcalloc(1, sizeof *tx);
    tx->h = t->h;
    list_init(&tx->members);
    list_push(&tx->members, &t->member);
    if (t->op < 0) {
        on_turn(tx);
        return;
    }
    tx->lane = lane_of(t->h, task_op(t));
    lane_enter(tx->lane, &tx->turn, t->conflicts > 0, on_turn, tx);
}

static void run_now(void *arg) {
    task_restart(arg);
}

void tx_run_again(struct task *t) {
    int64_t most = 4LL << (t->conflicts < 6 ? t->conflicts : 6); /* 8 ms … 256 ms */
    after_ms(t->h->loop, (uint64_t)retry_random(1, most), run_now, t);
}

void tx_run_later(struct task *t) {
    after_ms(t->h->loop, (uint64_t)retry_random(250, 1000), run_now, t);
}

static void tx_free(struct tx *tx) {
    if (tx->conn)
        pgpool_release(tx->h->pool, tx->conn);
    if (tx->lane)
        lane_leave(tx->lane, tx->conflicted);
    buf_free(&tx->stored);
    free(tx);
}

static void on_rolled_back(struct pgconn *c, const struct pgflight *f, void *arg) {
    tx_free(arg);
}

/* The members are gone (or run again by themselves): ends what is left of the transaction. */
static void tx_close(struct tx *tx) {
    if (!tx->conn || pgconn_dead(tx->conn) || pgconn_tx(tx->conn) == PGTX_IDLE) {
        tx_free(tx);
        return;
    }
    pgconn_add(tx->conn, "ROLLBACK", 0, NULL, 0);
    pgconn_sync(tx->conn);
    pgconn_send(tx->conn, on_rolled_back, tx);
}

/* Takes the only member out, so that it may be handed on. */
static struct task *take(struct tx *tx) {
    struct task *t = first(tx);
    list_remove(&t->member);
    return t;
}

/* --- flight 1: dedup, BEGIN --- */

static void on_ran(struct run *r, enum run_end end);
static void on_checked(struct run *r, enum run_end end);

static uint64_t timeout_of(const struct task *t) {
    return (uint64_t)task_op(t)->timeout_ms;
}

/* A stored result exists: the caller gets it, once the middleware let it pass again. */
static void duplicate(struct tx *tx, struct task *t, const struct pgres *r) {
    const char *path = pgres_value(r, 0, 3, NULL), *data = pgres_value(r, 0, 2, NULL);
    size_t len;
    const char *input = pgres_value(r, 0, 4, &len);
    bool same = !strcmp(path, t->path) && jsonval_same_text(input, len, t->msg->data, t->msg->len);
    t->h->stats.duplicates += same;
    (void)FAILPOINT("tx.duplicate");
    if (!same) {
        settle_refuse(take(tx), 409, "REQUEST_ID_CONFLICT",
                      "this request id was used for another request; send a new one", NULL, false);
        tx_close(tx);
    } else if (!task_has_caller(t)) {
        task_end(take(tx), "+ACK");
        tx_close(tx);
    } else {
        tx->stored_status = atoi(pgres_value(r, 0, 1, NULL));
        buf_puts(&tx->stored, data ? data : "null");
        t->req.middleware_only = true;
        run_start(&tx->run, tx->h, t->gen, &t->req, tx->conn, NULL, timeout_of(t), on_checked, tx);
    }
}

/* What jsonb gives back has spaces; the first reply had none. */
static void reply_stored(struct task *t, int status, const struct buf *stored) {
    struct buf out = {0};
    json_t *v = jsonval_read(stored->p, stored->len, NULL);
    if (v)
        jsonval_write(&out, v);
    else
        buf_put(&out, stored->p, stored->len);
    json_decref(v);
    task_reply(t, status, out.p, out.len);
    buf_free(&out);
}

static void on_checked(struct run *r, enum run_end end) {
    struct tx *tx = r->arg;
    struct task *t = take(tx);
    t->req.middleware_only = false;
    if (end == RUN_DONE) {
        reply_stored(t, tx->stored_status, &tx->stored);
        task_end(t, "+ACK");
    } else if (end == RUN_FAILED) {
        const struct failure *f = r->failure;
        task_reply_error(t, f->status, f->code, f->message, f->details);
        task_end(t, "+ACK");
    } else if (++t->losses <= MAX_LOSSES || !pgpool_up(tx->h->pool)) {
        tx_run_later(t);
    } else { /* middleware that breaks its connection each time */
        task_reply_error(t, 500, "INTERNAL_SERVER_ERROR", "Internal server error", NULL);
        task_end(t, "+ACK");
    }
    run_close(r);
    tx_close(tx);
}

static void run_first(struct tx *tx) {
    struct task *t = first(tx);
    run_start(&tx->run, tx->h, t->gen, &t->req, tx->conn, NULL, timeout_of(t), on_ran, tx);
}

/* Dedup comes before everything that ends a message: one that had its effect is answered with it,
 * even if it has expired since. Where the path is gone too, there is no middleware to say whether
 * this caller may have the stored reply: it is told as anybody would be. */
static void decide(struct tx *tx, const struct pgres *stored) {
    struct task *t = first(tx);
    int64_t now = clock_db_ms();
    if (pgres_rows(stored) > 0 && (t->op >= 0 || !task_has_caller(t))) {
        duplicate(tx, t, stored);
        return;
    }
    if (t->op >= 0 && !t->env.expires_at && !t->env.target_at) {
        run_first(tx);
        return;
    }
    bool expired = t->env.expires_at && t->env.expires_at <= now;
    if (!expired && t->env.target_at <= now && t->op >= 0) {
        run_first(tx);
        return;
    }
    take(tx);
    tx_close(tx);
    if (expired) {
        settle_refuse(t, 410, "EXPIRED", "Expires-At has passed", NULL, true);
    } else if (t->env.target_at > now) {
        settle_delay(t);
    } else {
        settle_unknown(t);
    }
}

/* Our own statements failed: not the message's fault, so it waits until that is mended. */
static void trouble(struct tx *tx, const struct err *err) {
    struct task *t = take(tx);
    if (err)
        log_error("PostgreSQL refused a statement of the host; the message waits",
                  LOG_S("error", err->msg), LOG_S("sqlstate", err->sqlstate),
                  LOG_S("request_id", t->env.id));
    tx_close(tx);
    tx_run_later(t);
}

static const struct err *first_error(const struct pgflight *f) {
    for (int i = 0; i < f->n; i++)
        if (pgres_status(f->res[i]) == PGRES_FAILED)
            return pgres_err(f->res[i]);
    return NULL;
}

static void on_begun(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    const struct err *err = f->lost ? NULL : first_error(f);
    if (f->lost || err || FAILPOINT("tx.begun"))
        trouble(tx, err);
    else
        decide(tx, f->res[0]);
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct tx *tx = arg;
    struct task *t = first(tx);
    tx->conn = conn;
    if (!conn) { /* the host is going away; the message comes again */
        task_end(take(tx), NULL);
        tx_close(tx);
        return;
    }
    results_add_lookup(conn, tx->h, &tx->members);
    pgconn_sync(conn); /* BEGIN may not follow a statement in the same implicit transaction */
    pgconn_add(conn, "BEGIN ISOLATION LEVEL SERIALIZABLE", 0, NULL, 0);
    if (t->op >= 0)
        run_add_limits(conn, task_op(t)->timeout_ms);
    pgconn_sync(conn);
    pgconn_send(conn, on_begun, tx);
}

/* --- the last flight: results, outbox rows, COMMIT --- */

/* A handler may run as a lesser role (row-level security) or with another search_path (a schema for
 * each tenant); the host's own tables are neither's business. */
static void add_own_scope(struct pgconn *c) {
    if (!pgconn_scope_changed(c))
        return;
    pgconn_add(c, "SET LOCAL ROLE NONE", 0, NULL, 0);
    pgconn_add(c, "SET LOCAL search_path TO DEFAULT", 0, NULL, 0);
}

/* Rolled back and run again at once or after a pause; the stored outcome of a twin is found then.
 */
static void again(struct tx *tx) {
    struct task *t = take(tx);
    run_close(&tx->run);
    tx_close(tx);
    tx_run_again(t);
}

static void failed(struct tx *tx, const struct failure *f);

static void conflict(struct tx *tx) {
    struct task *t = first(tx);
    t->h->stats.conflicts++;
    tx->conflicted = true;
    log_debug("conflict", LOG_S("operation", task_op(t)->path), LOG_S("request_id", t->env.id),
              LOG_I("time", t->conflicts + 1));
    if (++t->conflicts <= MAX_CONFLICTS) {
        again(tx);
        return;
    }
    struct failure f = {.kind = FAIL_ERROR,
                        .status = 500,
                        .code = "CONCURRENCY_CONFLICT",
                        .message = "too many concurrent changes of the same rows",
                        .internal = "serialization failure, 10 times in a row",
                        .retry_after_ms = -1};
    t->conflicts = 0;
    failed(tx, &f);
}

static void failed(struct tx *tx, const struct failure *f) {
    struct task *t = take(tx);
    struct pgconn *conn = tx->conn;
    struct failure copy = *f;
    if (copy.retry_after_ms < 0)
        copy.retry_after_ms = tx->run.call->retry_delay_ms;
    tx->conn = NULL; /* settle's now */
    settle_failure(t, conn, &copy, task_op(t)->on_error ? run_take_call(&tx->run) : NULL);
    run_close(&tx->run);
    tx_close(tx);
}

static void failed_sql(struct tx *tx, const struct err *err) {
    struct failure f = {.kind = FAIL_SQL,
                        .status = 500,
                        .code = "INTERNAL_SERVER_ERROR",
                        .message = "Internal server error",
                        .internal = (char *)err->msg,
                        .retry_after_ms = -1};
    memcpy(f.sqlstate, err->sqlstate, sizeof f.sqlstate);
    failed(tx, &f);
}

static void committed(struct tx *tx, const struct pgflight *f) {
    struct task *t = take(tx);
    t->h->stats.done++;
    const struct list *effects = &tx->run.call->effects;
    bool first = cache_row_among(tx->h, effects);
    if (first)
        outbox_publish(tx->h, t, effects, f->res[f->n - 2]);
    task_reply(t, 200, tx->run.call->result, tx->run.call->result_len);
    if (!first && !list_empty(effects)) /* their INSERT stands before COMMIT */
        outbox_publish(tx->h, t, effects, f->res[f->n - 2]);
    pgpool_release(tx->h->pool, tx->conn);
    tx->conn = NULL;
    task_end(t, "+ACK");
    run_close(&tx->run);
    tx_close(tx);
}

static void on_committed(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    const struct err *err = f->lost ? NULL : first_error(f);
    if (f->lost || FAILPOINT("tx.committed")) {
        run_close(&tx->run);
        trouble(tx, NULL); /* committed or not: the dedup lookup will tell */
    } else if (!err && pgres_committed(f->res[f->n - 1])) {
        committed(tx, f);
    } else if (err && (!strcmp(err->sqlstate, "40001") || !strcmp(err->sqlstate, "40P01"))) {
        conflict(tx);
    } else if (err && !strcmp(err->sqlstate, "23505") && results_taken(f)) {
        again(tx); /* a twin on another host committed first */
    } else {
        struct err unknown;
        err_set(&unknown, ERR_PG, "COMMIT did not commit");
        failed_sql(tx, err ? err : &unknown);
    }
}

/* Mostly the server's trouble. A handler that breaks its connection each time, while others work,
 * is one that fails. */
static void lost(struct tx *tx) {
    struct task *t = first(tx);
    if (++t->losses <= MAX_LOSSES || !pgpool_up(tx->h->pool)) {
        run_close(&tx->run);
        trouble(tx, NULL);
        return;
    }
    struct failure f = {.kind = FAIL_ERROR,
                        .status = 500,
                        .code = "INTERNAL_SERVER_ERROR",
                        .message = "Internal server error",
                        .internal = "the connection to PostgreSQL broke each time this handler ran",
                        .retry_after_ms = -1};
    t->losses = 0;
    failed(tx, &f);
}

/* What NATS would refuse must fail now: after COMMIT it would be lost. */
static const char *too_large(struct tx *tx, struct buf *why) {
    size_t most = bus_max_payload(tx->h->bus);
    const struct effect *e = outbox_too_large(tx->h, &tx->run.call->effects);
    if (tx->run.call->result_len + 1024 > most)
        buf_printf(why,
                   "the result has %zu bytes, NATS takes %zu: return less, or raise the "
                   "server's max_payload",
                   tx->run.call->result_len, most);
    else if (e)
        buf_printf(why,
                   "the message to %s is larger than the %zu bytes that NATS takes: send "
                   "less, or raise the server's max_payload",
                   e->subject, most);
    return why->p;
}

static void on_ran(struct run *r, enum run_end end) {
    struct tx *tx = r->arg;
    struct task *t = first(tx);
    struct buf why = {0};
    if (end == RUN_DONE)
        cache_row_fold(tx->h, &r->call->effects);
    if (end == RUN_CONFLICT) {
        conflict(tx);
    } else if (end == RUN_LOST) {
        lost(tx);
    } else if (end == RUN_FAILED) {
        failed(tx, r->failure);
    } else if (too_large(tx, &why)) {
        struct failure f = {.kind = FAIL_PERMANENT,
                            .status = 500,
                            .code = "PAYLOAD_TOO_LARGE",
                            .message = why.p,
                            .internal = why.p,
                            .retry_after_ms = -1};
        failed(tx, &f);
    } else if (FAILPOINT("tx.before_commit")) {
        lost(tx);
    } else {
        add_own_scope(tx->conn);
        results_add_insert(tx->conn, t, 200, r->call->result);
        outbox_add_insert(tx->conn, t, &r->call->effects);
        pgconn_add(tx->conn, "COMMIT", 0, NULL, 0);
        pgconn_sync(tx->conn);
        pgconn_send(tx->conn, on_committed, tx);
        (void)FAILPOINT("tx.commit_sent");
    }
    buf_free(&why);
}
