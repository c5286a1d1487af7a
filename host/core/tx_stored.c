/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "core/hook.h"
#include "core/settle.h"
#include "core/tx_private.h"
#include <stdlib.h>
#include <string.h>

#define MAX_LOSSES 3

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

/* The error that stands, whatever the hooks made of it. */
static void on_refused(const struct failure *f, void *arg) {
    struct task *t = arg;
    task_reply_error(t, f->status, f->code, f->message, f->details);
    task_end(t, "+ACK");
}

static void refused(struct tx *tx, struct task *t) {
    struct failure f = {0};
    struct call *failed = task_op(t)->on_error ? run_take_call(&t->run) : NULL;
    failure_copy(&f, t->run.failure);
    tx_take_only(tx);
    if (failed)
        hook_run(t, failed, &f, on_refused, t);
    else
        on_refused(&f, t);
    failure_free(&f);
}

static void on_checked(struct run *r, enum run_end end) {
    struct tx *tx = r->arg;
    struct task *t = tx_first(tx);
    t->req.middleware_only = false;
    if (end == RUN_DONE) {
        reply_stored(t, tx->stored_status, &tx->stored);
        task_end(tx_take_only(tx), "+ACK");
    } else if (end == RUN_FAILED) {
        refused(tx, t);
    } else if (end == RUN_CONFLICT) {
        t->conflicts++;
        tx_run_again(tx_take_only(tx));
    } else if (++t->losses <= MAX_LOSSES || !pgpool_up(tx->h->pool)) {
        tx_run_later(tx_take_only(tx));
    } else { /* middleware that breaks its connection each time */
        task_reply_error(t, 500, "INTERNAL_SERVER_ERROR", "Internal server error", NULL);
        task_end(tx_take_only(tx), "+ACK");
    }
    tx_close(tx);
}

/* Acked long ago; NATS has brought it back. Nobody waits for it any more. */
static void forgotten(struct tx *tx, struct task *t) {
    log_info("a message came back that had its outcome so long ago that its result is purged: "
             "not run again",
             LOG_S("request_id", t->env.id), LOG_S("subject", t->path));
    t->h->stats.duplicates++;
    t->outcome = "duplicate";
    task_end(tx_take_only(tx), "+ACK");
    tx_close(tx);
}

/* The caller gets it, once the middleware let it pass again. */
void tx_stored(struct tx *tx, const struct pgres *r) {
    struct task *t = tx_first(tx);
    const char *path = pgres_value(r, 0, 3, NULL), *data = pgres_value(r, 0, 2, NULL);
    if (!path) {
        forgotten(tx, t);
        return;
    }
    size_t len;
    const char *input = pgres_value(r, 0, 4, &len);
    bool same = !strcmp(path, t->path) && jsonval_same_text(input, len, t->msg->data, t->msg->len);
    t->h->stats.duplicates += same;
    (void)FAILPOINT("tx.duplicate");
    t->outcome = same ? "duplicate" : NULL;
    if (!same) {
        settle_refuse(tx_take_only(tx), 409, "REQUEST_ID_CONFLICT",
                      "this request id was used for another request; send a new one", NULL, false);
        tx_close(tx);
    } else if (!task_has_caller(t)) {
        task_end(tx_take_only(tx), "+ACK");
        tx_close(tx);
    } else {
        tx->stored_status = atoi(pgres_value(r, 0, 1, NULL));
        buf_puts(&tx->stored, data ? data : "null");
        t->req.middleware_only = true;
        const struct run_share share = {.impatient = tx->impatient};
        run_start_shared(&t->run, tx->h, t->gen, &t->req, tx->conn, &share,
                         (uint64_t)task_op(t)->timeout_ms, on_checked, tx);
    }
}
