/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/cache_row.h"
#include "core/outbox.h"
#include "core/settle.h"
#include "core/tx_private.h"
#include <string.h>

#define MAX_LOSSES 3
#define MAX_CONFLICTS 10 /* reruns in place; then it is parked like any other failure */
/* With others in its transaction: */
#define LARGE_GROUP 8        /* from so many on, to have run in vain is dear */
#define MAX_UNDONE 3         /* conflicts; then it goes on alone */
#define WAIT_MS 25           /* after so long no further member starts; the rest goes back */
#define MOST_BYTES (4 << 20) /* of results that wait for COMMIT */

static void drop(struct tx *tx, struct task *t);
static void lost(struct tx *tx);
static void go_on(struct tx *tx);

/* One statement of several that travelled together failed: the transaction did. */
static void first_statement_failed(struct tx *tx, struct task *t, const struct err *err) {
    if (run_conflicts(&t->run, err))
        tx_conflict(tx, err);
    else
        drop(tx, t);
}

/* Gives the first statements' answers to their members. */
void tx_feed(struct tx *tx, const struct pgflight *f) {
    int at = f->n - tx->riding;
    if (f->lost && tx->n > 1) {
        lost(tx);
        return;
    }
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        const struct err *err =
            t->run.early && tx->gathered && tx->n > 1 ? pgres_err(f->res[at]) : NULL;
        at += t->run.early;
        if (err) {
            first_statement_failed(tx, t, err);
            return;
        }
    }
    at = f->n - tx->riding;
    tx->collecting = true;
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        if (t->run.early)
            run_feed(&t->run, f, at++, tx->gathered && tx->n > 1);
    }
    tx->collecting = false;
    go_on(tx);
}

/* It runs again alone, where it has more time, and that run decides. */
static void set_apart(struct tx *tx, struct task *t) {
    if (t->run.statements)
        lane_note_failed(tx->lane);
    if (t->run.timed_out)
        lane_note_time(tx->lane, TX_MEMBER_TIMEOUT_MS, 1);
    t->single = true;
    lane_enter(tx->lane, tx_take(tx, t), true);
}

/* The member failed with others in the transaction, after it had changed something, perhaps. */
static void drop(struct tx *tx, struct task *t) {
    tx_unite(tx);
    set_apart(tx, t);
    tx_close_runs(tx);
    tx->gathered = tx->gathered && tx->n > 1;
    if (tx->n && pgconn_dead(tx->conn)) { /* COPY, say: the others on another one */
        tx_put_back(tx);
        tx_close(tx);
    } else if (tx->n)
        tx_begin(tx);
    else
        tx_close(tx);
}

static void on_undone(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    if (f->lost || pgconn_tx(c) != PGTX_OPEN)
        tx_trouble(tx, NULL);
    else
        go_on(tx);
}

/* The same with savepoints: only what it did is undone. */
static void undo(struct tx *tx, struct task *t) {
    set_apart(tx, t);
    if (!tx->n) {
        tx_close(tx);
        return;
    }
    pgconn_add(tx->conn, "ROLLBACK TO " TX_SAVEPOINT, 0, NULL, 0);
    pgconn_sync(tx->conn);
    pgconn_send(tx->conn, on_undone, tx);
}

/* Hands a member that failed on. conn: lent to settle; NULL: it takes one of its own. */
static void settle_member(struct tx *tx, struct task *t, struct pgconn *conn,
                          const struct failure *f) {
    struct failure copy = {0};
    struct call *failed = NULL;
    failure_copy(&copy, f);
    if (copy.retry_after_ms < 0)
        copy.retry_after_ms = t->run.call->retry_delay_ms;
    if (task_op(t)->on_error)
        failed = run_take_call(&t->run);
    settle_failure(tx_take(tx, t), conn, &copy, failed);
    failure_free(&copy);
}

void tx_failed(struct tx *tx, const struct failure *f) {
    struct pgconn *conn = tx->has_turn ? NULL : tx->conn;
    tx_unite(tx);
    if (conn)
        tx->conn = NULL; /* settle's now */
    settle_member(tx, tx_first(tx), conn, f);
    tx_close(tx);
}

/* What one alone waits for may be anybody's lock; a large group that ran in vain is as dear as a
 * lock timeout. */
static enum width_end width_end_of(const struct tx *tx, const struct err *err) {
    if (!strcmp(err->sqlstate, "40001"))
        return tx->n >= LARGE_GROUP ? WIDTH_BLOCKED : WIDTH_CONFLICT;
    return tx->shared || !strcmp(err->sqlstate, "40P01") ? WIDTH_BLOCKED : WIDTH_CONFLICT;
}

void tx_conflict(struct tx *tx, const struct err *err) {
    tx_unite(tx);
    struct task *t = tx_first(tx);
    tx->h->stats.conflicts++;
    tx->end = width_end_of(tx, err);
    log_debug("conflict", LOG_S("operation", task_op(t)->path), LOG_S("request_id", t->env.id),
              LOG_I("time", t->conflicts + 1), LOG_I("members", tx->n));
    if (tx->shared) {
        list_each(&tx->members, it) {
            struct task *m = container_of(it, struct task, member);
            m->single |= ++m->undone >= MAX_UNDONE;
        }
        tx_put_back(tx);
        tx_close(tx);
    } else if (++t->conflicts <= MAX_CONFLICTS) {
        tx_run_again(tx_take(tx, t));
        tx_close(tx);
    } else {
        struct failure f = {.kind = FAIL_ERROR,
                            .status = 500,
                            .code = "CONCURRENCY_CONFLICT",
                            .message = "too many concurrent changes of the same rows",
                            .internal = "serialization failures or locks, 10 times in a row",
                            .retry_after_ms = -1};
        t->conflicts = 0;
        tx_failed(tx, &f);
    }
}

/* Mostly the server's trouble. A handler that breaks its connection each time, while others work,
 * is one that fails. */
static void lost(struct tx *tx) {
    tx_unite(tx);
    struct task *t = tx_first(tx);
    if (tx->n > 1 || ++t->losses <= MAX_LOSSES || !pgpool_up(tx->h->pool)) {
        tx_trouble(tx, NULL);
        return;
    }
    struct failure f = {.kind = FAIL_ERROR,
                        .status = 500,
                        .code = "INTERNAL_SERVER_ERROR",
                        .message = "Internal server error",
                        .internal = "the connection to PostgreSQL broke each time this handler ran",
                        .retry_after_ms = -1};
    t->losses = 0;
    tx_failed(tx, &f);
}

/* It wants what it cannot have beside others. */
static void apart(struct tx *tx) {
    bool again_in_order = tx->gathered && tx->n > 1; /* a second statement; nothing else is known */
    tx_unite(tx);
    if (tx->gathered)
        lane_not_one(tx->lane);
    else
        lane_note_apart(tx->lane);
    tx->early = tx->gathered = false;
    if (again_in_order) {
        tx_close_runs(tx);
        tx_begin(tx);
    } else {
        tx_put_back(tx);
        tx_close(tx);
    }
}

/* What NATS would refuse must fail now: after COMMIT it would be lost. */
static const char *too_large(const struct host *h, const struct call *call, struct buf *why) {
    size_t most = bus_max_payload(h->bus);
    const struct effect *e = outbox_too_large(h, &call->effects);
    if (call->result_len + 1024 > most)
        buf_printf(why,
                   "the result has %zu bytes, NATS takes %zu: return less, or raise the "
                   "server's max_payload",
                   call->result_len, most);
    else if (e)
        buf_printf(why,
                   "the message to %s is larger than the %zu bytes that NATS takes: send "
                   "less, or raise the server's max_payload",
                   e->subject, most);
    return why->p;
}

static void member_failed(struct tx *tx, struct task *t, const struct failure *f) {
    if (!t->run.share.shared) {
        tx_failed(tx, f);
    } else if (!t->run.statements && t->run.timed_out) {
        set_apart(tx, t);
        go_on(tx);
    } else if (!t->run.statements) { /* it said nothing to the database: the others go on */
        settle_member(tx, t, NULL, f);
        go_on(tx);
    } else if (tx->savepoints) {
        undo(tx, t);
    } else {
        drop(tx, t);
    }
}

static void member_ran(struct tx *tx, struct task *t) {
    struct buf why = {0};
    struct call *call = t->run.call;
    cache_row_fold(tx->h, &call->effects);
    if (too_large(tx->h, call, &why)) {
        struct failure f = {.kind = FAIL_PERMANENT,
                            .status = 500,
                            .code = "PAYLOAD_TOO_LARGE",
                            .message = why.p,
                            .internal = why.p,
                            .retry_after_ms = -1};
        member_failed(tx, t, &f);
    } else {
        tx->bytes += call->result_len;
        list_each(&call->effects, it) {
            const struct effect *e = container_of(it, struct effect, node);
            tx->bytes += e->raw ? e->raw_len : e->data ? strlen(e->data) : 0;
        }
        list_remove(&t->member);
        list_push(&tx->ran, &t->member);
        go_on(tx);
    }
    buf_free(&why);
}

static void ended(struct tx *tx, struct task *t, enum run_end end) {
    switch (end) {
    case RUN_DONE:
        member_ran(tx, t);
        return;
    case RUN_FAILED:
        member_failed(tx, t, t->run.failure);
        return;
    case RUN_CONFLICT:
        tx_conflict(tx, &t->run.doomed);
        return;
    case RUN_LOST:
        lost(tx);
        return;
    case RUN_APART:
        apart(tx);
        return;
    }
}

void tx_on_ran(struct run *r, enum run_end end) {
    struct task *t = container_of(r, struct task, run);
    struct tx *tx = r->arg;
    if (tx->collecting) {
        t->over = true;
        t->over_end = end;
    } else {
        ended(tx, t, end);
    }
}

static void finish(struct tx *tx) {
    if (!tx->n) {
        tx_close(tx);
    } else if (FAILPOINT("tx.before_commit")) {
        lost(tx);
    } else {
        lane_note_time(tx->lane, (double)(uv_hrtime() - tx->begun_ns) / 1e6, tx->n);
        tx_commit(tx);
    }
}

static bool long_enough(const struct tx *tx) {
    return !list_empty(&tx->ran) &&
           (tx->bytes > MOST_BYTES || uv_hrtime() - tx->begun_ns > WAIT_MS * 1000000ULL);
}

/* To the next member, as soon as the one before it is over. */
static void go_on(struct tx *tx) {
    struct task *t = list_empty(&tx->members) ? NULL : tx_first(tx);
    if (t && !t->run.h && long_enough(tx)) {
        tx_put_back(tx);
        t = NULL;
    }
    if (!t) {
        finish(tx);
    } else if (t->over) {
        t->over = false;
        ended(tx, t, t->over_end);
    } else if (!t->run.h) {
        tx_start_member(tx, t, false);
    } /* else: it has sent its second statement */
}

static void check(struct tx *tx) {
    struct task *t = list_empty(&tx->members) ? NULL : tx_first(tx);
    if (!tx->begun || !t || !t->run.h || uv_hrtime() - tx->begun_ns <= WAIT_MS * 1000000ULL)
        return;
    struct list back;
    list_init(&back);
    while (tx->members.next != tx->members.prev) {
        struct task *last = container_of(tx->members.prev, struct task, member);
        if (last->run.h)
            break;
        list_push_front(&back, &tx_take(tx, last)->member);
    }
    lane_put_back(tx->lane, &back);
}

void tx_check_all(struct host *h) {
    list_each(&h->txs, it) {
        struct tx *tx = container_of(it, struct tx, node);
        if (tx->lane)
            check(tx);
    }
}
