/* SPDX-License-Identifier: MIT */
/* Life of a connection: connecting (ready_cb is set) → usable → dead (lost, pg is NULL) → closed by
 * pgconn_delete. The struct lives on until libuv and the thread pool have let go of it (refs). */
#include "pg/pgconn.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "pg/flight.h"
#include "pg/pgparams.h"
#include "pg/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cancel {
    uv_work_t work;
    struct pgconn *conn; /* holds a reference */
    PGcancel *request;
    char message[256];
    bool ok;
};

struct pgconn {
    uv_loop_t *loop;
    PGconn *pg;      /* NULL: dead, or closed */
    uv_poll_t *poll; /* NULL: none; on its own, as libpq changes its socket while connecting */
    int events;
    uv_timer_t timer; /* the connect time; later: call back soon, from the loop */
    int refs;
    bool closed, dead;
    int touches; /* enum session_touch: what lasts, and the scope until the transaction ends */
    enum pgtx tx;
    int backend_pid;
    struct flight *open, *sent; /* being collected; under way */
    uint64_t sent_ns;           /* monotonic */
    struct cancel *cancel;      /* under way: */
    bool held;                  /* sent waits for its end, or it would hit the wrong flight */
    struct stmts stmts;
    char fatal[200]; /* the server's last word before it closed the connection */
    struct err lost; /* set when dead */
    pgconn_ready_cb ready_cb;
    void *ready_arg;
    pgconn_dead_cb dead_cb;
    void *dead_arg;
};

static void unref(struct pgconn *c) {
    if (--c->refs > 0)
        return;
    stmts_free(&c->stmts);
    free(c);
}

static void on_timer_closed(uv_handle_t *h) {
    unref(h->data);
}

static void on_poll_closed(uv_handle_t *h) {
    free(h);
}

/* Before libpq may close the socket: libuv keeps a table by descriptor. */
static void poll_stop(struct pgconn *c) {
    if (c->poll)
        uv_close((uv_handle_t *)c->poll, on_poll_closed);
    c->poll = NULL;
    c->events = 0;
}

static int poll_start(struct pgconn *c, int events, uv_poll_cb cb) {
    if (c->poll && c->events == events)
        return 0;
    if (!c->poll) {
        c->poll = xcalloc(1, sizeof *c->poll);
        c->poll->data = c;
        int rc = uv_poll_init_socket(c->loop, c->poll, PQsocket(c->pg));
        if (rc != 0) {
            free(c->poll);
            c->poll = NULL;
            return rc;
        }
    }
    c->events = events;
    return uv_poll_start(c->poll, events, cb);
}

static void close_pg(struct pgconn *c) {
    poll_stop(c);
    PQfinish(c->pg);
    c->pg = NULL;
}

/* ---- losing it ---- */

static void die(struct pgconn *c) {
    c->dead = true;
    c->held = false;
    c->tx = PGTX_IDLE;
    close_pg(c);
}

static void lose(struct pgconn *c, const char *why) {
    struct buf line = {0};
    pg_client_line(&line, *c->fatal ? c->fatal : why);
    /* newer libpqs (15.20, say) close the connection themselves for COPY in a pipeline */
    bool copy = line.p && strstr(line.p, "COPY in a pipeline");
    err_set(&c->lost, copy ? ERR_INVALID : ERR_PG_LOST, "connection to PostgreSQL lost: %s",
            line.p ? line.p : "closed");
    buf_free(&line);
    die(c);
}

/* Ends the flight under way; c may be closed afterwards. */
static void finish(struct pgconn *c, const struct err *lost) {
    struct flight *f = c->sent;
    struct err copy = lost ? *lost : (struct err){0};
    struct pgflight view = flight_view(f, lost ? &copy : NULL);
    view.took_ns = clock_mono_ns() - c->sent_ns;
    c->sent = NULL;
    f->cb(c, &view, f->arg);
    flight_delete(f);
}

static void lose_from_loop(struct pgconn *c, const char *why) {
    lose(c, why);
    if (c->sent)
        finish(c, &c->lost);
    else if (c->dead_cb)
        c->dead_cb(c, c->dead_arg);
}

/* A notice while idle can be the server's good-bye: kept as the reason of the loss that follows. */
static void remember_fatal(struct pgconn *c, const PGresult *r) {
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *primary = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && primary && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        snprintf(c->fatal, sizeof c->fatal, "%s", primary);
}

static void on_notice(void *arg, const PGresult *r) {
    remember_fatal(arg, r);
    log_debug("notice of PostgreSQL", LOG_S("severity", PQresultErrorField(r, PG_DIAG_SEVERITY)),
              LOG_S("notice", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)));
}

/* ---- a flight's way ---- */

static void on_io(uv_poll_t *h, int status, int events);

/* -1: broken. libpq reports some write errors only when it reads, hence always readable too. */
static int flush(struct pgconn *c) {
    int rc = PQflush(c->pg);
    if (rc < 0)
        return -1;
    return poll_start(c, rc ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_io);
}

static void soon(struct pgconn *c);

/* Never calls back itself: a failure comes to the flight from the loop. */
static void dispatch(struct pgconn *c) {
    int rc = flight_send(c->sent, c->pg, &c->stmts, c->tx == PGTX_IDLE);
    c->touches |= c->sent->touches;
    if (rc == 0 && flush(c) == 0)
        return;
    lose(c, PQerrorMessage(c->pg));
    soon(c);
}

static enum pgtx tx_of(PGconn *pg) {
    PGTransactionStatusType s = PQtransactionStatus(pg);
    return s == PQTRANS_INTRANS ? PGTX_OPEN : s == PQTRANS_INERROR ? PGTX_FAILED : PGTX_IDLE;
}

/* The answers make no sense, or never will; because libpq has lost it, perhaps. */
static void give_up(struct pgconn *c, const struct err *why) {
    if (why->kind != ERR_INVALID && PQstatus(c->pg) == CONNECTION_BAD) {
        lose(c, PQerrorMessage(c->pg));
    } else {
        c->lost = *why;
        die(c);
    }
    finish(c, &c->lost);
}

/* Reads what has come in; a flight that is complete is given to its callback, which may start the
 * next one, or close c. */
static void read_answers(struct pgconn *c) {
    while (c->sent && !c->held && c->pg && !PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        struct err err;
        if (r)
            remember_fatal(c, r);
        if (flight_take(c->sent, &c->stmts, r, &err) != 0) {
            give_up(c, &err);
            return;
        }
        if (flight_done(c->sent)) {
            c->tx = tx_of(c->pg);
            if (c->tx == PGTX_IDLE)
                c->touches &= SESSION_LASTS;
            finish(c, NULL);
        }
    }
}

static void drop_notifications(struct pgconn *c) {
    for (PGnotify *n; c->pg && (n = PQnotifies(c->pg));)
        PQfreemem(n);
}

static void on_io(uv_poll_t *h, int status, int events) {
    struct pgconn *c = h->data;
    bool ok = status == 0; /* else libuv has stopped watching */
    if (ok && (events & UV_WRITABLE) && flush(c) != 0)
        ok = false;
    if (!PQconsumeInput(c->pg))
        ok = false;
    read_answers(c); /* even when broken: all may be in */
    drop_notifications(c);
    if (!ok && c->pg)
        lose_from_loop(c, PQerrorMessage(c->pg));
}

/* ---- connecting ---- */

static void connected(struct pgconn *c, const struct err *err) {
    pgconn_ready_cb cb = c->ready_cb;
    c->ready_cb = NULL;
    uv_timer_stop(&c->timer);
    if (err) {
        c->dead = true;
        c->lost = *err;
        close_pg(c);
    }
    cb(c, err ? &c->lost : NULL, c->ready_arg);
}

static void connect_failed(struct pgconn *c, const char *message) {
    struct err err = {0};
    pgparams_explain(message, &err);
    connected(c, &err);
}

static void connect_done(struct pgconn *c) {
    c->backend_pid = PQbackendPID(c->pg);
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg) ||
        poll_start(c, UV_READABLE, on_io) != 0)
        connect_failed(c, "cannot go on without blocking");
    else
        connected(c, NULL);
}

static void on_connect_io(uv_poll_t *h, int status, int events);

static void connect_wait(struct pgconn *c, PostgresPollingStatusType want) {
    int rc =
        poll_start(c, want == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, on_connect_io);
    if (rc != 0)
        connect_failed(c, uv_strerror(rc));
}

static void on_connect_io(uv_poll_t *h, int status, int events) {
    struct pgconn *c = h->data;
    poll_stop(c); /* the next step may be on another socket, of the same number even */
    PostgresPollingStatusType want = PQconnectPoll(c->pg);
    if (want == PGRES_POLLING_FAILED)
        connect_failed(c, PQerrorMessage(c->pg));
    else if (want == PGRES_POLLING_OK)
        connect_done(c);
    else
        connect_wait(c, want);
}

static void on_connect_time(uv_timer_t *t) {
    struct pgconn *c = t->data;
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        connect_failed(c, PQerrorMessage(c->pg));
        return;
    }
    struct err err = {0};
    err_set(&err, ERR_PG_LOST, "no answer from PostgreSQL at %s:%s within the connect time",
            PQhost(c->pg) ? PQhost(c->pg) : "?", PQport(c->pg) ? PQport(c->pg) : "?");
    connected(c, &err);
}

/* With a URL that is none, pg stays NULL. */
static void on_bad_url(uv_timer_t *t) {
    struct pgconn *c = t->data;
    struct err err = c->lost;
    connected(c, &err);
}

/* Resolving a host name blocks in here (libpq knows no other way): prefer addresses, or a local
 * resolver. */
static void connect_start(struct pgconn *c, const char *url, int timeout_ms) {
    struct pgparams params;
    if (pgparams_make(&params, url, PGPARAMS_TASKS, &c->lost) != 0) {
        uv_timer_start(&c->timer, on_bad_url, 0, 0);
        pgparams_free(&params);
        return;
    }
    c->pg = PQconnectStartParams(params.keys, params.values, 1);
    pgparams_free(&params);
    if (!c->pg)
        abort(); /* out of memory */
    PQsetNoticeReceiver(c->pg, on_notice, c);
    bool bad = PQstatus(c->pg) == CONNECTION_BAD;
    uv_timer_start(&c->timer, on_connect_time, bad ? 0 : (uint64_t)timeout_ms, 0);
    if (!bad && poll_start(c, UV_WRITABLE, on_connect_io) != 0)
        uv_timer_start(&c->timer, on_connect_time, 0, 0);
}

struct pgconn *pgconn_new(uv_loop_t *loop, const char *url, int connect_timeout_ms,
                          pgconn_ready_cb cb, void *arg) {
    struct pgconn *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    c->ready_cb = cb;
    c->ready_arg = arg;
    c->refs = 1; /* the timer's */
    stmts_init(&c->stmts);
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    uv_update_time(loop); /* the timer counts from the loop's idea of now */
    connect_start(c, url, connect_timeout_ms);
    return c;
}

void pgconn_on_dead(struct pgconn *c, pgconn_dead_cb cb, void *arg) {
    c->dead_cb = cb;
    c->dead_arg = arg;
}

void pgconn_delete(struct pgconn *c) {
    if (!c || c->closed)
        return;
    c->closed = c->dead = true;
    close_pg(c);
    flight_delete(c->open);
    flight_delete(c->sent);
    c->open = c->sent = NULL;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* ---- what tasks call ---- */

static struct flight *collect(struct pgconn *c) {
    if (!c->open)
        c->open = flight_new();
    return c->open;
}

void pgconn_add(struct pgconn *c, const char *sql, int n, const char *const *params, int flags) {
    flight_add(collect(c), sql, n, params, flags);
}

const unsigned *pgconn_param_types(struct pgconn *c, const char *sql, int *n) {
    const struct stmt *st = stmts_find(&c->stmts, sql);
    *n = st ? st->n_types : 0;
    return st ? st->types : NULL;
}

void pgconn_sync(struct pgconn *c) {
    flight_sync(collect(c));
}

static void on_soon(uv_timer_t *t) {
    struct pgconn *c = t->data;
    if (c->sent && c->dead)
        finish(c, &c->lost);
}

static void soon(struct pgconn *c) {
    uv_timer_start(&c->timer, on_soon, 0, 0);
}

void pgconn_send(struct pgconn *c, pgconn_cb cb, void *arg) {
    struct flight *f = collect(c);
    if (c->sent || c->closed || c->ready_cb) {
        log_error("pgconn_send while a flight is under way, or before the connection is ready");
        abort();
    }
    if (!f->nsteps || f->steps[f->nsteps - 1].sql)
        flight_sync(f);
    f->cb = cb;
    f->arg = arg;
    c->sent = f;
    c->sent_ns = clock_mono_ns();
    c->open = NULL;
    c->held = c->cancel && !c->dead;
    if (c->dead)
        soon(c);
    else if (!c->held)
        dispatch(c);
}

/* ---- cancelling ---- */

static void on_cancel_work(uv_work_t *w) { /* in the thread pool: PQcancel blocks */
    struct cancel *k = w->data;
    k->ok = PQcancel(k->request, k->message, sizeof k->message);
}

static void on_cancel_over(uv_work_t *w, int status) {
    struct cancel *k = w->data;
    struct pgconn *c = k->conn;
    if (!k->ok)
        log_warn("cannot cancel a statement", LOG_S("error", k->message));
    PQfreeCancel(k->request);
    free(k);
    c->cancel = NULL;
    if (c->held && !c->closed) {
        c->held = false;
        dispatch(c);
    }
    unref(c);
}

void pgconn_cancel(struct pgconn *c) {
    if (!c->sent || c->held || c->cancel || !c->pg)
        return;
    struct cancel *k = xcalloc(1, sizeof *k);
    k->request = PQgetCancel(c->pg);
    k->conn = c;
    k->work.data = k;
    c->cancel = k;
    c->refs++;
    uv_queue_work(c->loop, &k->work, on_cancel_work, on_cancel_over);
}

/* ---- what it is ---- */

enum pgtx pgconn_tx(const struct pgconn *c) {
    return c->tx;
}

bool pgconn_busy(const struct pgconn *c) {
    return c->sent;
}

bool pgconn_dead(const struct pgconn *c) {
    return c->dead;
}

int pgconn_backend_pid(const struct pgconn *c) {
    return c->backend_pid;
}

bool pgconn_touched(const struct pgconn *c) {
    return c->touches & SESSION_LASTS;
}

void pgconn_taint(struct pgconn *c) {
    c->touches |= SESSION_LASTS;
}

bool pgconn_scope_changed(const struct pgconn *c) {
    return c->touches & SESSION_SCOPE;
}

bool pgconn_keeps_apart(const struct pgconn *c, const char *sql) {
    const struct stmt *st = stmts_find(&c->stmts, sql);
    return (st ? st->touches : session_touches(sql)) & SESSION_APART;
}
