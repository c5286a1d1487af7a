/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"
#include "core/cache_row.h"
#include "core/outbox.h"
#include "core/results.h"
#include "core/tasklog.h"
#include "core/tx_private.h"
#include <string.h>

/* A handler may run as a lesser role (row-level security) or with another search_path (a schema for
 * each tenant); the host's own tables are neither's business. */
static void add_own_scope(struct pgconn *c) {
    if (!pgconn_scope_changed(c))
        return;
    pgconn_add(c, "SET LOCAL ROLE NONE", 0, NULL, 0);
    pgconn_add(c, "SET LOCAL search_path TO DEFAULT", 0, NULL, 0);
}

/* What each is told, and what it asked for. *row: of inserted, the first that is not published. */
static void tell(struct task *t, const struct pgres *inserted, int *row) {
    const struct list *effects = &t->run.call->effects;
    bool first = cache_row_among(t->h, effects);
    t->h->stats.done++;
    if (first)
        outbox_publish(t, inserted, row);
    task_reply(t, 200, t->run.call->result, t->run.call->result_len);
    if (!first && !list_empty(effects))
        outbox_publish(t, inserted, row);
}

/* commit: its place in f. */
static void committed(struct tx *tx, const struct pgflight *f, int commit) {
    const struct pgres *inserted = f->res[commit - 1]; /* if there are effects, their INSERT */
    struct list *node;
    int row = 0;
    tx->h->stats.groups++;
    list_each(&tx->ran, it) {
        struct task *t = container_of(it, struct task, member);
        lane_note_ran(tx->lane, t->run.statements - t->run.questions);
        tell(t, inserted, &row);
    }
    if (!tx->has_turn) {
        pgpool_release(tx->h->pool, tx->conn);
        tx->conn = NULL;
    }
    while ((node = tx->ran.next) != &tx->ran) {
        struct task *t = container_of(node, struct task, member);
        task_end(tx_take(tx, t), "+ACK");
    }
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
    tx_failed(tx, &f);
}

static const struct err *first_error(const struct pgflight *f, int last) {
    for (int i = 0; i <= last; i++)
        if (pgres_status(f->res[i]) == PGRES_FAILED)
            return pgres_err(f->res[i]);
    return NULL;
}

/* A twin on another host committed first: the lookup finds it. */
static void twin_was_first(struct tx *tx) {
    if (tx->n > 1) {
        tx_split(tx);
    } else {
        tx_run_again(tx_take_only(tx));
        tx_close(tx);
    }
}

static void on_committed(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct tx *tx = arg;
    int commit = f->n - 1 - tx->has_turn;
    const struct err *err = f->lost ? NULL : first_error(f, commit);
    if (tx->has_turn && !f->lost) /* in a transaction that failed it cannot be left yet */
        tx->has_turn = !turn_left(f->res[f->n - 1]);
    tasklog_flight(&tx->ran, f);
    if (f->lost || FAILPOINT("tx.committed")) {
        tx_trouble(tx, NULL); /* committed or not: the dedup lookup will tell */
    } else if (!err && pgres_committed(f->res[commit])) {
        committed(tx, f, commit);
    } else if (err && run_is_conflict(err, tx->impatient)) {
        tx_conflict(tx, err);
    } else if (err && !strcmp(err->sqlstate, "23505") && results_taken(f)) {
        twin_was_first(tx);
    } else if (tx->shared) { /* a deferred constraint, a result that jsonb refuses: whose? */
        tx_split(tx);
    } else {
        struct err unknown;
        err_set(&unknown, ERR_PG, "COMMIT did not commit");
        failed_sql(tx, err ? err : &unknown);
    }
}

void tx_commit(struct tx *tx) {
    add_own_scope(tx->conn);
    results_add_inserts(tx->conn, &tx->ran);
    outbox_add_inserts(tx->conn, &tx->ran);
    pgconn_add(tx->conn, "COMMIT", 0, NULL, 0);
    pgconn_sync(tx->conn);
    if (tx->has_turn)
        turn_add_leave(tx->conn, tx->turn);
    pgconn_send(tx->conn, on_committed, tx);
    (void)FAILPOINT("tx.commit_sent");
}
