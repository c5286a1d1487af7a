/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
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

static void on_checked(struct run *r, enum run_end end) {
    struct tx *tx = r->arg;
    struct task *t = tx_first(tx);
    t->req.middleware_only = false;
    bool again = end != RUN_DONE && end != RUN_FAILED &&
                 (++t->losses <= MAX_LOSSES || !pgpool_up(tx->h->pool));
    if (end == RUN_DONE)
        reply_stored(t, tx->stored_status, &tx->stored);
    else if (end == RUN_FAILED)
        task_reply_error(t, r->failure->status, r->failure->code, r->failure->message,
                         r->failure->details);
    else if (!again) /* middleware that breaks its connection each time */
        task_reply_error(t, 500, "INTERNAL_SERVER_ERROR", "Internal server error", NULL);
    tx_take_only(tx);
    if (again)
        tx_run_later(t);
    else
        task_end(t, "+ACK");
    tx_close(tx);
}

/* The caller gets it, once the middleware let it pass again. */
void tx_stored(struct tx *tx, const struct pgres *r) {
    struct task *t = tx_first(tx);
    const char *path = pgres_value(r, 0, 3, NULL), *data = pgres_value(r, 0, 2, NULL);
    size_t len;
    const char *input = pgres_value(r, 0, 4, &len);
    bool same = !strcmp(path, t->path) && jsonval_same_text(input, len, t->msg->data, t->msg->len);
    t->h->stats.duplicates += same;
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
        run_start(&t->run, tx->h, t->gen, &t->req, tx->conn, NULL, (uint64_t)task_op(t)->timeout_ms,
                  on_checked, tx);
    }
}
