/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/after.h"
#include "core/results.h"
#include "core/retry.h"
#include "core/settle.h"
#include "core/tasklog.h"
#include "core/tx_private.h"
#include <stdlib.h>
#include <string.h>

/* A lock that another transaction holds for longer is a conflict: two groups would wait out
 * deadlock_timeout for each other (a second), again and again. */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout = '50ms'"

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
    tx->wants_turn = lane_turn(l, &tx->turn);
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
    struct tx *tx = arg;
    if (tx->has_turn && !f->lost && !turn_left(f->res[f->n - 1]))
        pgconn_taint(c);
    tx_free(tx);
}

static bool is_open(const struct tx *tx) {
    return tx->conn && !pgconn_dead(tx->conn) && pgconn_tx(tx->conn) != PGTX_IDLE;
}

static void add_rollback(struct pgconn *c) {
    pgconn_add(c, "ROLLBACK", 0, NULL, 0);
    pgconn_sync(c);
}

void tx_close(struct tx *tx) {
    bool open = is_open(tx), has_turn = tx->has_turn && tx->conn && !pgconn_dead(tx->conn);
    if (!open && !has_turn) {
        tx_free(tx);
        return;
    }
    if (open)
        add_rollback(tx->conn);
    if (has_turn)
        turn_add_leave(tx->conn, tx->turn);
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

void tx_unite(struct tx *tx) {
    while (!list_empty(&tx->ran)) {
        struct list *last = tx->ran.prev;
        list_remove(last);
        list_push_front(&tx->members, last);
    }
}

struct task *tx_take_only(struct tx *tx) {
    tx_unite(tx);
    return tx_take(tx, tx_first(tx));
}

void tx_put_back(struct tx *tx) {
    struct list back;
    list_init(&back);
    while (!list_empty(&tx->members))
        list_push(&back, &tx_take(tx, tx_first(tx))->member);
    lane_put_back(tx->lane, &back);
}

void tx_split(struct tx *tx) {
    tx_unite(tx);
    list_each(&tx->members, it) container_of(it, struct task, member)->single = true;
    tx_put_back(tx);
    tx_close(tx);
}

void tx_trouble(struct tx *tx, const struct err *err) {
    tx_unite(tx);
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

void tx_start_member(struct tx *tx, struct task *t, bool early) {
    struct run_share share = {.shared = tx->shared,
                              .impatient = tx->impatient,
                              .early = early,
                              .before = tx->savepoints ? TX_SAVEPOINT : NULL};
    uint64_t timeout = (uint64_t)task_op(t)->timeout_ms;
    if (share.shared && timeout > TX_MEMBER_TIMEOUT_MS)
        timeout = TX_MEMBER_TIMEOUT_MS;
    if (early && tx->wants_turn && !tx->has_turn)
        timeout += TURN_PATIENCE_MS;
    run_start_shared(&t->run, tx->h, t->gen, &t->req, tx->conn, &share, timeout, tx_on_ran, tx);
}

/* Its way does not hang on the time, and most likely not on what the lookup finds. (If it does,
 * what was begun is given up and rolled back.) */
static bool may_start_early(const struct task *t) {
    return t->op >= 0 && !t->env.expires_at && !t->env.target_at && t->ack.delivered <= 1;
}

void tx_close_runs(struct tx *tx) {
    list_each(&tx->members, it) close_run(container_of(it, struct task, member));
}

/* The first of all members, or of one; false when one of them wants to wait for something before
 * its first statement: then none of them has begun. */
static bool start_early(struct tx *tx) {
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        if (!may_start_early(t))
            return !tx->gathered;
        tx_start_member(tx, t, true);
        if (t->over && t->over_end == RUN_APART) {
            if (!t->run.describing) /* that is asked once a connection */
                lane_note_early(tx->lane, false);
            return false;
        }
        lane_note_early(tx->lane, true);
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
        tx_close_runs(tx);
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
    bool open = is_open(tx), takes_turn = tx->wants_turn && !tx->has_turn;
    tx->lookup = open + takes_turn;
    tx->begun_ns = uv_hrtime();
    tx->bytes = 0;
    tx->begun = false;
    if (open)
        add_rollback(c);
    if (takes_turn) {
        turn_add_take(c, tx->turn);
        pgconn_sync(c);
    }
    results_add_lookup(c, tx->h, &tx->members);
    pgconn_sync(c); /* BEGIN may not follow a statement in the same implicit transaction */
    pgconn_add(c, "BEGIN ISOLATION LEVEL SERIALIZABLE", 0, NULL, 0);
    if (t->op >= 0)
        run_add_limits(c, task_op(t)->timeout_ms);
    tx->shared = tx->n > 1;
    tx->impatient = tx->shared || (tx->lane && lane_impatient(tx->lane, t));
    if (tx->impatient)
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
    else if (rode) {
        tx_close_runs(tx);
        tx_begin(tx);
    } else {
        tx_feed(tx, f);
    }
}

static const struct err *error_between(const struct pgflight *f, int from, int end) {
    for (int i = from; i < end; i++)
        if (pgres_status(f->res[i]) == PGRES_FAILED)
            return pgres_err(f->res[i]);
    return NULL;
}

/* The time that it waited is not its members'. */
static void take_turn(struct tx *tx, const struct pgflight *f) {
    int waited = turn_waited_ms(f->res[tx->lookup - 1]);
    tx->has_turn = true;
    tx->begun_ns += (uint64_t)waited * 1000000;
    if (tx->begun_ns > uv_hrtime())
        tx->begun_ns = uv_hrtime();
    lane_note_turn(tx->lane, waited < TURN_PATIENCE_MS);
    list_each(&tx->members, it) {
        struct task *t = container_of(it, struct task, member);
        if (t->run.early && waited < TURN_PATIENCE_MS)
            t->run.deadline_ms -= (uint64_t)(TURN_PATIENCE_MS - waited);
    }
}

static void on_begun(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    const struct err *err = f->lost ? NULL : error_between(f, tx->lookup, f->n - tx->riding);
    tasklog_flight(&tx->members, f);
    tx->begun = true;
    if (tx->wants_turn && !tx->has_turn && !f->lost)
        take_turn(tx, f);
    if (f->lost && tx->riding) {
        tx_feed(tx, f);
        return;
    }
    if (err && tx->riding && tx->shared && !strcmp(err->sqlstate, "57014")) {
        tx_split(tx); /* cancelled by us, as a member's time beside others was over */
        return;
    }
    if (f->lost || err || FAILPOINT("tx.begun")) {
        tx_trouble(tx, err);
        return;
    }
    const struct pgres *lookup = f->res[tx->lookup];
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
