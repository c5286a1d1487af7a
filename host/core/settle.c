/* SPDX-License-Identifier: MIT */
#include "core/settle.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/utf8.h"
#include "core/dead.h"
#include "core/hook.h"
#include "core/outbox.h"
#include "core/results.h"
#include "core/retry.h"
#include "core/sweeper.h"
#include "core/tasklog.h"
#include "core/tx.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is to become of a task, decided first, then made durable, then told. */
struct verdict {
    struct task *t;
    struct pgconn *conn;
    struct pgpool_waiter waiter;
    int status;
    char *code, *message, *details, *internal, *traceback;
    bool result; /* INSERT the error as the request's result */
    bool letter; /* INSERT a dead letter */
    bool reply;
    bool bare;                     /* without what could not be stored */
    bool quiet;                    /* parked, which is nobody's failure */
    bool look;                     /* for a twin's outcome, once there is a connection */
    void (*again)(struct task *t); /* not NULL: only roll back, then run the task again so */
    struct call *failed;           /* not NULL: nothing is decided before its onError hooks */
    struct failure failure;        /* what they get */
    int64_t park_until;            /* ms epoch; 0: not parked */
    int park_attempt;
};

static void write_it(struct verdict *v);
static void roll_back_and_look(struct verdict *v);
static void ask_hooks(struct verdict *v);

static void free_texts(struct verdict *v) {
    free(v->code);
    free(v->message);
    free(v->details);
    free(v->internal);
    free(v->traceback);
}

static void free_verdict(struct verdict *v) {
    if (v->conn)
        pgpool_release(v->t->h->pool, v->conn);
    call_delete(v->failed);
    failure_free(&v->failure);
    free_texts(v);
    free(v);
}

static struct verdict *verdict_new(struct task *t, int status, const char *code,
                                   const char *message, const char *details) {
    struct verdict *v = xcalloc(1, sizeof *v);
    v->t = t;
    v->status = status;
    v->code = utf8_copy(code ? code : envelope_code_of(status));
    v->message = utf8_copy(message ? message : "");
    v->details = xstrdup(details);
    return v;
}

/* Someone else's outcome, or an unknown one: from the start, where dedup tells. */
static void start_over(struct verdict *v, void (*how)(struct task *t)) {
    struct task *t = v->t;
    free_verdict(v);
    how(t);
}

/* --- the end: durable by now --- */

/* Delayed: by its Target-At, not for another attempt. */
static void log_verdict(const struct verdict *v) {
    bool delayed = v->park_until && v->status == 200;
    const char *outcome = v->letter          ? "dead"
                          : delayed          ? "delayed"
                          : v->park_until    ? "retry"
                          : v->result        ? "failed"
                          : v->status == 410 ? "expired"
                                             : "refused";
    const char *msg = v->letter ? "dead letter" : v->park_until ? "will be tried again" : outcome;
    tasklog_end(v->t, &(struct tasklog_end){
                          .level = v->letter                   ? LOG_ERROR
                                   : v->quiet && !delayed      ? LOG_DEBUG
                                   : v->park_until && !delayed ? LOG_WARN
                                                               : LOG_INFO,
                          .msg = delayed ? outcome : msg,
                          .outcome = outcome,
                          .status = delayed ? 0 : v->status,
                          .code = delayed ? NULL : v->code,
                          .error = v->internal ? v->internal : v->message,
                          .traceback = v->traceback,
                          .retry_at = v->park_until,
                      });
}

static struct death death_of(const struct verdict *v) {
    return (struct death){v->code, v->message, v->internal, v->traceback, v->bare, v->result};
}

static void conclude(struct verdict *v) {
    struct task *t = v->t;
    (void)FAILPOINT("settle.written");
    struct stats *s = &t->h->stats;
    s->parked += v->park_until != 0;
    s->dead += v->letter;
    s->failed += v->result && !v->letter;
    bool told = !v->result && !v->letter && !v->park_until;
    s->expired += told && v->status == 410;
    s->refused += told && v->status != 410;
    log_verdict(v);
    if (v->letter) {
        struct death d = death_of(v);
        dead_tell(t, &d);
    }
    if (v->reply)
        task_reply_error(t, v->status, v->code, v->message, v->details);
    if (v->park_until)
        sweeper_arm(t->h->sweeper, v->park_until);
    const char *word = v->letter ? "+TERM" : "+ACK";
    free_verdict(v);
    task_end(t, word);
}

/* Something in the message cannot be stored. It must not come again and again for that: it dies,
 * with what can be stored of it. */
static void make_bare(struct verdict *v, const struct err *err) {
    log_error("an outcome cannot be stored as it is; its dead letter goes without payload",
              LOG_S("request_id", v->t->env.id), LOG_S("error", err->msg));
    v->bare = v->letter = v->result = true;
    v->reply = task_has_caller(v->t);
    v->park_until = 0;
    free(v->details);
    v->details = NULL;
    free(v->internal);
    v->internal = utf8_copy(err->msg);
}

static void on_written(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct verdict *v = arg;
    const struct err *err = NULL;
    for (int i = 0; !f->lost && !err && i < f->n; i++)
        err = pgres_err(f->res[i]);
    if (!f->lost && !err && pgres_committed(f->res[f->n - 1])) {
        conclude(v);
        return;
    }
    bool taken = err && results_taken(f);
    if (err && !strncmp(err->sqlstate, "22", 2) && !v->bare) {
        make_bare(v, err);
        write_it(v);
        return;
    }
    if (taken && !v->t->input) { /* not even JSON: it never ran, and its id has an outcome */
        v->result = false;
        write_it(v);
        return;
    }
    if (err && !taken)
        log_error("an outcome could not be stored; the message waits", LOG_S("error", err->msg),
                  LOG_S("request_id", v->t->env.id));
    v->again = taken ? tx_run_again : tx_run_later;
    roll_back_and_look(v);
}

static void add_result(const struct verdict *v) {
    struct buf body = {0};
    envelope_error_body(&body, v->code, v->message, v->details);
    results_add_insert(v->conn, v->t, v->status, body.p);
    buf_free(&body);
}

static void write_it(struct verdict *v) {
    struct pgconn *c = v->conn;
    (void)FAILPOINT("settle.before_write");
    if (pgconn_tx(c) != PGTX_IDLE) {
        pgconn_add(c, "ROLLBACK", 0, NULL, 0);
        pgconn_sync(c);
    }
    pgconn_add(c, "BEGIN ISOLATION LEVEL READ COMMITTED", 0, NULL, 0);
    if (v->result)
        add_result(v);
    if (v->letter) {
        struct death d = death_of(v);
        dead_add(c, v->t, &d);
    }
    if (v->park_until)
        outbox_add_park(c, v->t, v->park_until, v->park_attempt);
    pgconn_add(c, "COMMIT", 0, NULL, 0);
    pgconn_sync(c);
    pgconn_send(c, on_written, v);
}

/* --- before it: a connection without a transaction, and no outcome by a twin --- */

static bool must_write(const struct verdict *v) {
    return v->result || v->letter || v->park_until;
}

/* The failure may come from a twin on another host that committed meanwhile. */
static void on_looked(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct verdict *v = arg;
    const struct pgres *found = f->lost ? NULL : f->res[f->n - 1];
    if (!found || pgres_status(found) != PGRES_ROWS_)
        start_over(v, tx_run_later);
    else if (pgres_rows(found) > 0)
        start_over(v, tx_run_again);
    else if (v->again)
        start_over(v, v->again);
    else if (v->failed)
        ask_hooks(v);
    else if (must_write(v))
        write_it(v);
    else
        conclude(v);
}

static void roll_back_and_look(struct verdict *v) {
    struct list one;
    list_init(&one);
    list_push(&one, &v->t->member);
    pgconn_add(v->conn, "ROLLBACK", 0, NULL, 0);
    pgconn_sync(v->conn);
    results_add_lookup(v->conn, v->t->h, &one);
    pgconn_sync(v->conn);
    list_remove(&v->t->member);
    pgconn_send(v->conn, on_looked, v);
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct verdict *v = arg;
    struct task *t = v->t;
    v->conn = conn;
    if (conn && v->look) {
        roll_back_and_look(v);
    } else if (conn) {
        write_it(v);
    } else { /* the host is going away; the message comes again */
        free_verdict(v);
        task_end(t, NULL);
    }
}

static void settle(struct verdict *v) {
    if (v->conn && pgconn_dead(v->conn)) { /* the failure took it along */
        pgpool_release(v->t->h->pool, v->conn);
        v->conn = NULL;
        v->look = true;
    }
    if (v->conn)
        roll_back_and_look(v);
    else if (must_write(v) || v->look)
        pgpool_acquire(v->t->h->pool, &v->waiter, 0, on_conn, v);
    else
        conclude(v);
}

/* --- the table of DESIGN 5 --- */

/* A caller may send these again under the same id and get another answer, so they are not stored.
 */
static bool is_transient(int status) {
    return status == 401 || status == 403 || status == 408 || status == 425 || status == 429;
}

static bool sql_is_permanent(const char *state, int *status) {
    *status = !strcmp(state, "23505") ? 409 : 400;
    return !strcmp(state, "23505") || !strcmp(state, "23503") || !strcmp(state, "22P02");
}

/* Permanent: told to the caller; without one it is a dead letter, and an error of our own making
 * (5xx) is both. */
static void permanent(struct verdict *v, bool store) {
    bool caller = task_has_caller(v->t);
    v->letter = !caller || v->status >= 500;
    v->result = store || v->letter;
    v->reply = caller;
}

static void park(struct verdict *v, int64_t delay_ms) {
    v->park_until = clock_db_ms() + delay_ms;
    v->park_attempt = v->t->env.attempt + 1;
}

static void exhausted(struct verdict *v) {
    v->letter = v->result = true;
    v->reply = task_has_caller(v->t);
}

static void retry_or_die(struct verdict *v, int64_t delay_ms) {
    const struct task *t = v->t;
    const struct gen_retry *policy = task_op(t) ? &task_op(t)->retry : NULL;
    if (t->env.attempt >= retry_max_attempts(t->h->cfg, policy))
        exhausted(v);
    else
        park(v, delay_ms >= 0 ? delay_ms : retry_delay_ms(t->h->cfg, policy, t->env.attempt));
}

static void rename_sql(struct verdict *v, int status) {
    v->status = status;
    free(v->code);
    free(v->message);
    v->code = xstrdup(envelope_code_of(status));
    v->message = xstrdup(status == 409 ? "A row with the same key exists already"
                                       : "A value does not fit the database's rules");
}

static void decide(struct verdict *v, const struct failure *f) {
    int status;
    switch (f->kind) {
    case FAIL_PERMANENT:
        permanent(v, !f->in_middleware && !is_transient(v->status));
        return;
    case FAIL_INPUT:
        permanent(v, false);
        return;
    case FAIL_SQL:
        if (sql_is_permanent(f->sqlstate, &status)) {
            permanent(v, true);
            return;
        }
        break;
    default:
        break;
    }
    retry_or_die(v, f->retry_after_ms);
}

/* Fills in what f says; decides nothing. */
static void take_failure(struct verdict *v, const struct failure *f) {
    int status;
    free_texts(v);
    v->status = f->status;
    v->code = utf8_copy(f->code ? f->code : envelope_code_of(f->status));
    v->message = utf8_copy(f->message ? f->message : "");
    v->details = xstrdup(f->details);
    v->internal = utf8_copy(f->internal);
    v->traceback = utf8_copy(f->traceback);
    /* raised by COMMIT: the framework never saw it */
    if (f->kind == FAIL_SQL && f->status == 500 && sql_is_permanent(f->sqlstate, &status))
        rename_sql(v, status);
}

/* The failure that stands, whatever the hooks said. */
static void on_hooked(const struct failure *f, void *arg) {
    struct verdict *v = arg;
    take_failure(v, f);
    decide(v, f);
    if (must_write(v))
        pgpool_acquire(v->t->h->pool, &v->waiter, 0, on_conn, v);
    else
        conclude(v);
}

/* Rolled back, and no twin has another outcome. Hooks may take their time: without a connection. */
static void ask_hooks(struct verdict *v) {
    struct call *failed = v->failed;
    pgpool_release(v->t->h->pool, v->conn);
    v->conn = NULL;
    v->failed = NULL;
    v->look = false;
    hook_run(v->t, failed, &v->failure, on_hooked, v);
}

static void keep_for_hooks(struct verdict *v, const struct failure *f, struct call *failed) {
    struct failure seen = *f;
    seen.status = v->status;
    seen.code = v->code;
    seen.message = v->message;
    failure_copy(&v->failure, &seen);
    v->failed = failed;
}

void settle_failure(struct task *t, struct pgconn *conn, const struct failure *f,
                    struct call *failed) {
    struct verdict *v = xcalloc(1, sizeof *v);
    int status;
    v->t = t;
    v->conn = conn;
    v->look = !conn;
    take_failure(v, f);
    if (f->kind == FAIL_SQL && sql_is_permanent(f->sqlstate, &status) && !t->sql_rerun) {
        t->sql_rerun = true; /* a race may have a better answer: run it once more */
        t->conflicts = 0;
        v->again = tx_run_again;
        call_delete(failed);
    } else if (failed) {
        keep_for_hooks(v, f, failed);
    } else {
        decide(v, f);
    }
    settle(v);
}

void settle_refuse(struct task *t, int status, const char *code, const char *message,
                   const char *issues, bool with_result) {
    struct verdict *v = verdict_new(t, status, code, message, issues);
    bool caller = task_has_caller(t);
    v->letter = !caller;
    v->result = !caller && with_result;
    v->reply = caller;
    settle(v);
}

void settle_poison(struct task *t) {
    struct verdict *v = verdict_new(t, 500, "POISON", "Internal server error", NULL);
    v->internal = xstrdup("the worker died each time this message ran, also when it ran alone");
    v->letter = v->result = task_op(t)->type == OP_MUTATION; /* a query is nobody's job */
    v->reply = task_has_caller(t);
    settle(v);
}

void settle_delay(struct task *t) {
    struct verdict *v = verdict_new(t, 200, "DELAYED", "", NULL);
    v->quiet = true;
    v->park_until = t->env.target_at;
    v->park_attempt = t->env.attempt;
    settle(v);
}

#define UNKNOWN_STEP_MS 200
#define H_UNKNOWN "RBF-Unknown" /* tries so far, when it was parked for the next */

/* A newer host may know the path. NAKed once, then put off by way of the outbox: else that host
 * would meet the message at its third delivery and take it for one that kills workers. */
static void try_elsewhere(struct task *t, int64_t tries) {
    char number[24];
    if (t->ack.delivered == 1) {
        task_end(t, "-NAK {\"delay\":200000000}");
        return;
    }
    snprintf(number, sizeof number, "%" PRId64, tries);
    hdrs_set(&t->msg->hdrs, H_UNKNOWN, number);
    struct verdict *v = verdict_new(t, 404, "NOT_FOUND", "", NULL);
    v->quiet = true;
    v->park_until = clock_db_ms() + UNKNOWN_STEP_MS;
    v->park_attempt = t->env.attempt;
    settle(v);
}

void settle_unknown(struct task *t) {
    const char *before = hdrs_get(&t->msg->hdrs, H_UNKNOWN);
    int64_t tries = (before ? atoi(before) : 0) + (int64_t)t->ack.delivered;
    if (tries > 0 && tries * UNKNOWN_STEP_MS <= t->h->cfg->unknown_grace_ms) {
        try_elsewhere(t, tries);
        return;
    }
    struct verdict *v = verdict_new(t, 404, "NOT_FOUND", NULL, NULL);
    free(v->message);
    char *text = xasprintf("no operation has the path %.200s", t->subject);
    v->message = utf8_copy(text);
    free(text);
    v->reply = task_has_caller(t);
    if (!v->reply)
        retry_or_die(v, -1);
    settle(v);
}
