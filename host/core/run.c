/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strcasestr */
#include "core/run.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "core/ask.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_AGAIN_MS 1000

static void step(struct run *r, enum call_event event);

static void stop_asking(struct run *r) {
    if (r->asking)
        r->asking->cancel(r);
    r->asking = NULL;
}

static void end(struct run *r, enum run_end how) {
    list_remove(&r->node);
    stop_asking(r);
    r->cb(r, how);
}

static void fail_own(struct run *r, enum failure_kind kind, const char *internal) {
    struct failure *f = &r->own;
    f->kind = kind;
    f->status = 500;
    f->retry_after_ms = -1;
    f->code = xstrdup("INTERNAL_SERVER_ERROR");
    f->message = xstrdup("Internal server error");
    f->internal = xstrdup(internal);
    f->traceback = call_traceback(r->call);
    r->failure = f;
    end(r, RUN_FAILED);
}

static void fail_timeout(struct run *r) {
    char text[120];
    r->timed_out = true;
    snprintf(text, sizeof text,
             "the handler ran longer than its timeout allows; raise `timeout` if "
             "it needs longer");
    fail_own(r, FAIL_ERROR, text);
}

/* The handler swallowed an SQL error outside a savepoint: its transaction cannot commit. */
static void fail_doomed(struct run *r) {
    memcpy(r->own.sqlstate, r->doomed.sqlstate, sizeof r->own.sqlstate);
    fail_own(r, FAIL_SQL, r->doomed.msg);
}

bool run_is_conflict(const struct err *err, bool impatient) {
    return !strcmp(err->sqlstate, "40001") || !strcmp(err->sqlstate, "40P01") ||
           (impatient && !strcmp(err->sqlstate, "55P03"));
}

/* A handler that says NOWAIT is to be told so. */
bool run_conflicts(const struct run *r, const struct err *err) {
    bool waits = r->share.impatient && !strcasestr(r->call->sql, "nowait");
    return run_is_conflict(err, waits);
}

static bool is_cancel(const struct err *err) {
    return !strcmp(err->sqlstate, "57014") || !strcmp(err->sqlstate, "25P03");
}

static enum call_event resume_types(struct run *r, const struct pgres *res) {
    int n = pgres_params(res);
    unsigned *oids = xcalloc((size_t)n + 1, sizeof *oids);
    for (int i = 0; i < n; i++)
        oids[i] = pgres_param_oid(res, i);
    enum call_event event = call_resume_types(r->call, oids, n);
    free(oids);
    return event;
}

/* before: the result of the statement in front (BEGIN, a savepoint), if there was one. */
static void answered(struct run *r, const struct err *lost, const struct pgres *before,
                     const struct pgres *res) {
    r->waiting_sql = false;
    if (lost && lost->kind == ERR_INVALID) { /* the statement's own fault */
        fail_own(r, FAIL_ERROR, lost->msg);
        return;
    }
    if (lost && r->req->op < 0) {
        step(r, call_resume_error(r->call, lost));
        return;
    }
    if (lost) {
        end(r, RUN_LOST);
        return;
    }
    const struct err *err = pgres_err(res);
    if (r->req->op < 0) { /* specs begin and end transactions themselves */
        step(r, err             ? call_resume_error(r->call, err)
                : r->describing ? resume_types(r, res)
                                : call_resume_result(r->call, res));
        return;
    }
    if (!err && before && pgres_status(res) == PGRES_SKIPPED) /* BEGIN itself failed */
        err = pgres_err(before);
    if (err && run_conflicts(r, err)) {
        r->doomed = *err;
        end(r, RUN_CONFLICT);
    } else if (r->timed_out || (err && is_cancel(err)))
        fail_timeout(r);
    else if (pgconn_tx(r->conn) == PGTX_IDLE && !r->closed)
        fail_own(r, FAIL_ERROR,
                 "the handler ended its own transaction; COMMIT and ROLLBACK are the "
                 "host's: use db:savepoint to undo a part");
    else if (err) {
        if (!r->doomed.kind)
            r->doomed = *err;
        step(r, call_resume_error(r->call, err));
    } else {
        if (pgconn_tx(r->conn) == PGTX_OPEN) /* a savepoint undid what had failed */
            err_clear(&r->doomed);
        step(r, r->describing ? resume_types(r, res) : call_resume_result(r->call, res));
    }
}

static void on_statement(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct run *r = arg;
    if (r->req->db_ns)
        *r->req->db_ns += f->took_ns;
    int own = f->n - 1 - r->closed;
    answered(r, f->lost, own > 0 ? f->res[0] : NULL, f->res[own]);
}

void run_feed(struct run *r, const struct pgflight *f, int i, bool only) {
    r->early = false;
    r->share.early = only;
    answered(r, f->lost, NULL, f->lost ? NULL : f->res[i]);
}

/* The session's limits fit the default timeout (pgconn.c); an operation with another one gets its
 * own, so that a stopped host cannot hold locks for much longer than the handler may run. */
void run_add_limits(struct pgconn *c, int64_t timeout_ms) {
    static const char *const names[] = {"statement_timeout", "lock_timeout",
                                        "idle_in_transaction_session_timeout"};
    const int64_t values[] = {timeout_ms, timeout_ms * 4 / 5 + 1, timeout_ms + 2000};
    for (int i = 0; i < 3 && timeout_ms != 25000; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SET LOCAL %s = %" PRId64, names[i], values[i]);
        pgconn_add(c, sql, 0, NULL, 0);
    }
}

/* Asked once for each statement and connection. */
static bool types_known(struct run *r) {
    int n;
    const unsigned *oids = pgconn_param_types(r->conn, r->call->sql, &n);
    if (oids)
        step(r, call_resume_types(r->call, oids, n));
    return oids;
}

static void add_statement(struct run *r) {
    pgconn_add(r->conn, r->call->sql, r->call->n_params, r->call->params,
               r->describing ? PGADD_DESCRIBE : 0);
    (void)FAILPOINT("run.statement");
    (void)FAILPOINT(r->req->subject); /* one operation's: "jobs.users.create" */
    r->statements++;
    r->questions += r->describing;
    r->waiting_sql = true;
}

void run_ride(struct run *r) {
    if (r->begin) { /* a savepoint */
        pgconn_add(r->conn, r->begin, 0, NULL, 0);
        r->begin = NULL;
    }
    add_statement(r);
}

/* True when the statement is not to be sent now: the run has ended, or waits for its owner. */
static bool held_back(struct run *r) {
    if (r->share.shared && !r->describing && pgconn_keeps_apart(r->conn, r->call->sql)) {
        end(r, RUN_APART);
        return true;
    }
    if (!r->share.early)
        return false;
    if (r->describing || r->statements || pgconn_keeps_apart(r->conn, r->call->sql))
        end(r, RUN_APART);
    else
        r->early = true;
    return true;
}

static void send_statement(struct run *r) {
    if ((r->describing && types_known(r)) || held_back(r))
        return;
    if (r->closed) {
        end(r, RUN_APART);
        return;
    }
    if (r->begin) {
        pgconn_add(r->conn, r->begin, 0, NULL, 0);
        if (!r->share.before)
            run_add_limits(r->conn, r->timeout_ms);
        r->begin = NULL;
    }
    add_statement(r);
    if (r->last && !r->describing) {
        pgconn_add(r->conn, r->last, 0, NULL, 0);
        r->closed = true;
    }
    pgconn_sync(r->conn);
    pgconn_send(r->conn, on_statement, r);
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct run *r = arg;
    r->waiting_conn = false;
    r->conn = conn;
    if (!conn)
        end(r, RUN_LOST);
    else
        send_statement(r);
}

void run_answer(struct run *r, const struct call_value *v, int n) {
    r->asking = NULL;
    r->next = call_resume_values(r->call, v, n);
    if (r->starting)
        r->answered = true;
    else
        step(r, r->next);
}

/* True when the answer is there already: r->next. */
static bool ask(struct run *r) {
    r->asking = ask_find(r->call->question);
    if (!r->asking || clock_mono_ms() >= r->deadline_ms) {
        bool known = r->asking;
        r->asking = NULL;
        if (known)
            fail_timeout(r);
        else
            fail_own(r, FAIL_ERROR, "lua/rbf asks for what this host does not know");
        return false;
    }
    r->starting = true;
    r->answered = false;
    r->asking->start(r, r->call->args, r->call->n_args);
    r->starting = false;
    return r->answered;
}

/* A loop, not a recursion: a handler may ask a thousand times for what is there at once. */
static void step(struct run *r, enum call_event event) {
    while (event == CALL_ASK) {
        if (r->share.shared || r->share.early) {
            end(r, RUN_APART);
            return;
        }
        if (!ask(r))
            return;
        event = r->next;
    }
    bool late = clock_mono_ms() >= r->deadline_ms;
    switch (event) {
    case CALL_SQL:
    case CALL_TYPES:
        r->describing = event == CALL_TYPES;
        if (late) {
            fail_timeout(r);
        } else if (r->conn) {
            send_statement(r);
        } else if (!r->begin) { /* lua/rbf refuses it before; nothing runs outside a transaction */
            fail_own(r, FAIL_ERROR, "there is no database here");
        } else {
            r->waiting_conn = true;
            pgpool_acquire(r->h->pool, &r->waiter, r->conn_by_ms, on_conn, r);
        }
        return;
    case CALL_DONE:
        if (r->statements && r->req->op >= 0 && pgconn_tx(r->conn) == PGTX_FAILED)
            fail_doomed(r);
        else
            end(r, RUN_DONE);
        return;
    case CALL_ASK:
        return;
    case CALL_FAILED:
        r->failure = &r->call->failure;
        end(r, RUN_FAILED);
        return;
    }
}

/* Who starts it may still add to it before its first step. */
static void prepare(struct run *r, struct host *h, struct gen *g, const struct call_request *req,
                    struct pgconn *conn, uint64_t timeout_ms,
                    void (*cb)(struct run *r, enum run_end end), void *arg) {
    memset(r, 0, sizeof *r);
    r->h = h;
    r->req = req;
    r->conn = conn;
    r->cb = cb;
    r->arg = arg;
    r->timeout_ms = (int64_t)timeout_ms;
    r->deadline_ms = clock_mono_ms() + timeout_ms;
    r->call = call_new(g, req);
    list_push(&h->runs, &r->node);
}

void run_start(struct run *r, struct host *h, struct gen *g, const struct call_request *req,
               struct pgconn *conn, const struct run_lazy *lazy, uint64_t timeout_ms,
               void (*cb)(struct run *r, enum run_end end), void *arg) {
    prepare(r, h, g, req, conn, timeout_ms, cb, arg);
    if (lazy) {
        r->begin = lazy->begin;
        r->last = lazy->end;
        r->conn_by_ms = lazy->conn_by_ms;
        cache_begin(h->cache, &r->reader, g->version);
    }
    step(r, call_start(r->call));
}

void run_start_shared(struct run *r, struct host *h, struct gen *g, const struct call_request *req,
                      struct pgconn *conn, const struct run_share *share, uint64_t timeout_ms,
                      void (*cb)(struct run *r, enum run_end end), void *arg) {
    prepare(r, h, g, req, conn, timeout_ms, cb, arg);
    r->share = *share;
    r->begin = share->before;
    step(r, call_start(r->call));
}

void run_close(struct run *r) {
    if (r->waiting_conn)
        pgpool_forget(r->h->pool, &r->waiter);
    list_remove(&r->node);
    stop_asking(r);
    cache_end(r->h->cache, &r->reader);
    call_delete(r->call);
    r->call = NULL;
    failure_free(&r->own);
}

struct call *run_take_call(struct run *r) {
    struct call *c = r->call;
    r->call = NULL;
    return c;
}

/* PostgreSQL ignores a cancel that comes before the statement has begun: another one follows. */
static void cancel_statement(struct run *r) {
    uint64_t now = clock_mono_ms();
    if (r->timed_out && now - r->cancelled_ms < CANCEL_AGAIN_MS)
        return;
    r->timed_out = true;
    r->cancelled_ms = now;
    pgconn_cancel(r->conn);
}

/* A run that waits for SQL ends when the cancelled flight does; one that waits for a connection is
 * not the handler's fault and waits on; one that waits for something else ends here. */
static void check_deadline(struct run *r) {
    if (r->waiting_sql)
        cancel_statement(r);
    else if (r->asking)
        fail_timeout(r);
}

void run_check_deadlines(struct host *h) {
    uint64_t now = clock_mono_ms();
    list_each_safe(&h->runs, it) {
        struct run *r = container_of(it, struct run, node);
        if (now >= r->deadline_ms)
            check_deadline(r);
    }
}
