/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/after.h"
#include "core/cache_row.h"
#include "core/outbox.h"
#include "core/results.h"
#include "core/retry.h"
#include "core/settle.h"
#include "core/tx_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LOSSES 3
#define MAX_CONFLICTS 10 /* reruns in place; then it is parked like any other failure */
/* With others in its transaction: */
#define MAX_UNDONE 3           /* conflicts; then it goes on alone */
#define MEMBER_TIMEOUT_MS 250  /* one that takes longer goes on alone */
#define WAIT_MS 25             /* after so long no further member starts; the rest goes back */
#define MOST_BYTES (4 << 20)   /* of results that wait for COMMIT */
/* A lock that another transaction holds for longer is a conflict: two groups would wait out
 * deadlock_timeout for each other (a second), again and again. */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout = '50ms'"
#define SAVEPOINT "SAVEPOINT rbf_member"

/* --- into a transaction, and again --- */

static struct tx *tx_new(struct host *h, struct lane *l) {
    struct tx *tx = xcalloc(1, sizeof *tx);
    tx->h = h;
    tx->lane = l;
    list_init(&tx->members);
    list_init(&tx->ran);
    list_push(&h->txs, &tx->node);
    return tx;
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct tx *tx = arg;
    tx->conn = conn;
    if (conn) {
        tx_begin(tx);
    } else { /* the host is going away; the message comes again */
        task_end(tx_take_only(tx), NULL);
        tx_close(tx);
    }
}

void tx_run(struct task *t) {
    if (t->op >= 0) {
        lane_enter(lane_of(t->h, task_op(t)), t, t->conflicts > 0);
        return;
    }
    struct tx *tx = tx_new(t->h, NULL);
    list_push(&tx->members, &t->member);
    tx->n = 1;
    pgpool_acquire(tx->h->pool, &tx->waiter, 0, on_conn, tx);
}

void tx_start(struct host *h, struct lane *l, struct pgconn *conn, struct list *members, int n) {
    struct tx *tx = tx_new(h, l);
    struct list *node;
    while ((node = list_pop(members)))
        list_push(&tx->members, node);
    tx->n = n;
    tx->conn = conn;
    tx->early = lane_early(l);
    tx->gathered = n <= lane_gathers(l);
    tx->savepoints = n > 1 && !tx->gathered && lane_wants_savepoints(l, n);
    tx_begin(tx);
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

/* --- its end --- */

static void tx_free(struct tx *tx) {
    list_remove(&tx->node);
    if (tx->conn)
        pgpool_release(tx->h->pool, tx->conn);
    if (tx->lane)
        lane_leave(tx->lane, tx->end);
    buf_free(&tx->stored);
    free(tx);
}

static void on_rolled_back(struct pgconn *c, const struct pgflight *f, void *arg) {
    tx_free(arg);
}

static bool is_open(const struct tx *tx) {
    return tx->conn && !pgconn_dead(tx->conn) && pgconn_tx(tx->conn) != PGTX_IDLE;
}

void tx_close(struct tx *tx) {
    if (!is_open(tx)) {
        tx_free(tx);
        return;
    }
    pgconn_add(tx->conn, "ROLLBACK", 0, NULL, 0);
    pgconn_sync(tx->conn);
    pgconn_send(tx->conn, on_rolled_back, tx);
}

static void close_run(struct task *t) {
    if (t->run.h)
        run_close(&t->run);
    t->run = (struct run){0};
    t->over = false;
}

struct task *tx_take(struct tx *tx, struct task *t) {
    close_run(t);
    list_remove(&t->member);
    tx->n--;
    return t;
}

/* Those that ran are members again, in front. */
static void unite(struct tx *tx) {
    while (!list_empty(&tx->ran)) {
        struct list *last = tx->ran.prev;
        list_remove(last);
        list_push_front(&tx->members, last);
    }
}

struct task *tx_take_only(struct tx *tx) {
    unite(tx);
    return tx_take(tx, tx_first(tx));
}

/* Back to the head of the lane, in their order. */
static void put_back(struct tx *tx) {
    struct list back;
    list_init(&back);
    while (!list_empty(&tx->members))
        list_push(&back, &tx_take(tx, tx_first(tx))->member);
    lane_put_back(tx->lane, &back);
}

void tx_split(struct tx *tx) {
    unite(tx);
    list_each(&tx->members, it) container_of(it, struct task, member)->single = true;
    put_back(tx);
    tx_close(tx);
}

void tx_trouble(struct tx *tx, const struct err *err) {
    unite(tx);
    if (err)
        log_error("PostgreSQL refused a statement of the host; the message waits",
                  LOG_S("error", err->msg), LOG_S("sqlstate", err->sqlstate),
                  LOG_S("request_id", tx_first(tx)->env.id));
    bool single = tx->n > 1;
    while (!list_empty(&tx->members)) {
        struct task *t = tx_take(tx, tx_first(tx));
        t->single |= single;
        tx_run_later(t);
    }
    tx_close(tx);
}

/* --- flight 1: dedup, BEGIN, first statements --- */

static void on_begun(struct pgconn *c, const struct pgflight *f, void *arg);
static void on_ran(struct run *r, enum run_end end);

static void start(struct tx *tx, struct task *t, bool early) {
    struct run_share share = {
        .shared = tx->n > 1, .early = early, .before = tx->savepoints ? SAVEPOINT : NULL};
    uint64_t timeout = (uint64_t)task_op(t)->timeout_ms;
    if (share.shared && timeout > MEMBER_TIMEOUT_MS)
        timeout = MEMBER_TIMEOUT_MS;
    run_start_shared(&t->run, tx->h, t->gen, &t->req, tx->conn, &share, timeout, on_ran, tx);
}

/* Its way does not hang on the time, and most likely not on what the lookup finds. (If it does, what
 * was begun is given up and rolled back.) */
static bool may_start_early(const struct task *t) {
    return t->op >= 0 && !t->env.expires_at && !t->env.target_at && t->ack.delivered <= 1;
}

static void close_runs(struct tx *tx) {
    list_each(&tx->members, it) close_run(container_of(it, struct task, member));
}

/* The first of all members, or of one; false when one of them wants to wait for something before
 * its first statement: then none of them has begun. */
static bool start_early(struct tx *tx) {
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        if (!may_start_early(t))
            return !tx->gathered;
        start(tx, t, true);
        if (t->over && t->over_end == RUN_APART) {
            tx->lane->early_misses++;
            return false;
        }
        tx->lane->early_misses = 0;
        if (!tx->gathered)
            return true;
    }
    return true;
}

static void add_early(struct tx *tx) {
    tx->riding = 0;
    if (!tx->early)
        return;
    tx->collecting = true;
    bool started = start_early(tx);
    tx->collecting = false;
    if (!started) {
        close_runs(tx);
        tx->early = tx->gathered = false;
        return;
    }
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        if (!t->run.early)
            continue;
        run_ride(&t->run);
        tx->riding++;
    }
}

void tx_begin(struct tx *tx) {
    struct pgconn *c = tx->conn;
    const struct task *t = tx_first(tx);
    tx->begun_ns = uv_hrtime();
    tx->rolled_back = is_open(tx);
    tx->bytes = 0;
    tx->begun = false;
    if (tx->rolled_back) {
        pgconn_add(c, "ROLLBACK", 0, NULL, 0);
        pgconn_sync(c);
    }
    results_add_lookup(c, tx->h, &tx->members);
    pgconn_sync(c); /* BEGIN may not follow a statement in the same implicit transaction */
    pgconn_add(c, "BEGIN ISOLATION LEVEL SERIALIZABLE", 0, NULL, 0);
    if (t->op >= 0)
        run_add_limits(c, task_op(t)->timeout_ms);
    if (tx->n > 1)
        pgconn_add(c, LOCK_TIMEOUT, 0, NULL, 0);
    add_early(tx);
    pgconn_sync(c);
    pgconn_send(c, on_begun, tx);
}

/* Dedup comes before everything that ends a message: one that had its effect is answered with it,
 * even if it has expired since. Where the path is gone too, there is no middleware to say whether
 * this caller may have the stored reply: it is told as anybody would be. */
static bool stays(struct tx *tx, struct task *t, bool stored) {
    int64_t now = t->env.expires_at || t->env.target_at ? clock_db_ms() : 0;
    if (stored && (t->op >= 0 || !task_has_caller(t))) {
        t->single = true; /* for tx_stored */
        lane_enter(tx->lane, tx_take(tx, t), true);
    } else if (t->env.expires_at && t->env.expires_at <= now) {
        settle_refuse(tx_take(tx, t), 410, "EXPIRED", "Expires-At has passed", NULL, true);
    } else if (t->env.target_at > now) {
        settle_delay(tx_take(tx, t));
    } else if (t->op < 0) {
        settle_unknown(tx_take(tx, t));
    } else {
        return true;
    }
    return false;
}

static void go_on(struct tx *tx);
static void lost(struct tx *tx);
static void feed(struct tx *tx, const struct pgflight *f);

/* lookup: a row for each member that has its outcome, in their order. */
static void decide(struct tx *tx, const struct pgflight *f, const struct pgres *lookup) {
    int number = 0, row = 0;
    bool rode = false; /* statements of members that are not to run */
    list_each_safe(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        bool rides = t->run.early;
        number++;
        bool stored = row < pgres_rows(lookup) && atoi(pgres_value(lookup, row, 0, NULL)) == number;
        row += stored;
        rode |= !stays(tx, t, stored) && rides;
    }
    if (list_empty(&tx->members))
        tx_close(tx);
    else if (rode)
        tx_begin(tx);
    else
        feed(tx, f);
}

static const struct err *error_before(const struct pgflight *f, int end) {
    for (int i = 0; i < end; i++)
        if (pgres_status(f->res[i]) == PGRES_FAILED)
            return pgres_err(f->res[i]);
    return NULL;
}

static void on_begun(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    const struct err *err = f->lost ? NULL : error_before(f, f->n - tx->riding);
    tx->begun = true;
    if (f->lost && tx->riding) {
        feed(tx, f);
        return;
    }
    if (f->lost || err || FAILPOINT("tx.begun")) {
        tx_trouble(tx, err);
        return;
    }
    const struct pgres *lookup = f->res[tx->rolled_back];
    struct task *t = tx_first(tx);
    bool found = tx->n == 1 && pgres_rows(lookup) > 0 && (t->op >= 0 || !task_has_caller(t));
    if (found && t->run.call) { /* its handler has begun in vain */
        close_run(t);
        tx->early = tx->gathered = false;
        if (tx->riding)
            tx_begin(tx);
        else
            tx_stored(tx, lookup);
    } else if (found) {
        tx_stored(tx, lookup);
    } else {
        decide(tx, f, lookup);
    }
}

/* --- the members --- */

static void drop(struct tx *tx, struct task *t);

/* One statement of several that travelled together failed: the transaction did. */
static void first_statement_failed(struct tx *tx, struct task *t, const struct err *err) {
    if (!strncmp(err->sqlstate, "40", 2) || !strcmp(err->sqlstate, "55P03"))
        tx_conflict(tx, strcmp(err->sqlstate, "40001") != 0);
    else
        drop(tx, t);
}

/* Gives the first statements' answers to their members. */
static void feed(struct tx *tx, const struct pgflight *f) {
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

/* The member failed with others in the transaction, after it had changed something, perhaps. */
static void drop(struct tx *tx, struct task *t) {
    struct lane *l = tx->lane;
    lane_note_failed(l);
    if (t->run.timed_out)
        lane_note_time(l, MEMBER_TIMEOUT_MS, 1);
    unite(tx);
    t->single = true;
    tx_take(tx, t);
    close_runs(tx);
    tx->gathered = tx->gathered && tx->n > 1;
    lane_enter(l, t, true);
    if (tx->n)
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
    lane_note_failed(tx->lane);
    t->single = true;
    lane_enter(tx->lane, tx_take(tx, t), true);
    if (!tx->n) {
        tx_close(tx);
        return;
    }
    pgconn_add(tx->conn, "ROLLBACK TO " SAVEPOINT, 0, NULL, 0);
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
    struct pgconn *conn = tx->conn;
    unite(tx);
    tx->conn = NULL; /* settle's now */
    settle_member(tx, tx_first(tx), conn, f);
    tx_close(tx);
}

void tx_conflict(struct tx *tx, bool blocked) {
    unite(tx);
    struct task *t = tx_first(tx);
    tx->h->stats.conflicts++;
    tx->end = blocked ? WIDTH_BLOCKED : WIDTH_CONFLICT;
    log_debug("conflict", LOG_S("operation", task_op(t)->path), LOG_S("request_id", t->env.id),
              LOG_I("time", t->conflicts + 1), LOG_I("members", tx->n));
    if (tx->n > 1) {
        list_each(&tx->members, it) {
            struct task *m = container_of(it, struct task, member);
            m->single |= ++m->undone >= MAX_UNDONE;
        }
        put_back(tx);
        tx_close(tx);
    } else if (++t->conflicts <= MAX_CONFLICTS) {
        tx_run_again(tx_take(tx, t));
        tx_close(tx);
    } else {
        struct failure f = {.kind = FAIL_ERROR,
                            .status = 500,
                            .code = "CONCURRENCY_CONFLICT",
                            .message = "too many concurrent changes of the same rows",
                            .internal = "serialization failure, 10 times in a row",
                            .retry_after_ms = -1};
        t->conflicts = 0;
        tx_failed(tx, &f);
    }
}

/* Mostly the server's trouble. A handler that breaks its connection each time, while others work,
 * is one that fails. */
static void lost(struct tx *tx) {
    unite(tx);
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
    unite(tx);
    if (tx->gathered)
        lane_not_one(tx->lane);
    else
        tx->lane->apart = true;
    tx->early = tx->gathered = false;
    if (again_in_order) {
        close_runs(tx);
        tx_begin(tx);
    } else {
        put_back(tx);
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
        tx_conflict(tx, strcmp(t->run.doomed.sqlstate, "40001") != 0);
        return;
    case RUN_LOST:
        lost(tx);
        return;
    case RUN_APART:
        apart(tx);
        return;
    }
}

static void on_ran(struct run *r, enum run_end end) {
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
        put_back(tx);
        t = NULL;
    }
    if (!t) {
        finish(tx);
    } else if (t->over) {
        t->over = false;
        ended(tx, t, t->over_end);
    } else if (!t->run.h) {
        start(tx, t, false);
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
