/* SPDX-License-Identifier: MIT */
#include "core/sweeper.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/utf8.h"
#include "bus/stream.h"
#include "core/after.h"
#include "core/cache_row.h"
#include "core/outbox.h"
#include "core/retry.h"
#include "pg/pgarray.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 200
#define BATCH_TEXT "200"
#define INTERVAL_MS 1000       /* at least this often */
#define TIME_INTERVAL_MS 60000 /* with --no-sweeper: only to know the database's time */
#define STORE_TIMEOUT_MS 5000
#define DELAY_MS 2000 /* before NATS is asked again to take what it did not take */

struct row {
    struct sweeper *s;
    char *id, *type, *path, *data, *headers;
    int attempts;
    bool stored;
    bool delayed; /* NATS did not take it now: later, but that is no attempt of the row's */
    bool refused; /* NATS will not take it: counts as an attempt */
    char why[200];
};

struct sweeper {
    struct host *h;
    struct after *timer;
    uint64_t timer_due; /* monotonic ms */
    bool started, stopped, sweeping;
    struct pgconn *conn;
    struct pgpool_waiter waiter;
    uint64_t asked_mono; /* when the database was asked for its time */
    struct row *rows;
    int n, waiting;
    int64_t next_due; /* ms epoch; 0: none known */
    int64_t late_due; /* the earliest armed while a sweep was looking; 0: none */
};

static void sweep(void *arg);

/* --- when --- */

static void arm_in(struct sweeper *s, int64_t ms) {
    uint64_t due = clock_mono_ms() + (uint64_t)(ms > 0 ? ms : 0);
    if (s->stopped || !s->started || s->sweeping || (s->timer && s->timer_due <= due))
        return;
    after_cancel(&s->timer);
    s->timer_due = due;
    s->timer = after_ms(s->h->loop, (uint64_t)(ms > 0 ? ms : 0), sweep, s);
}

static void keep_earliest(int64_t *due, int64_t at) {
    if (at && (!*due || at < *due))
        *due = at;
}

void sweeper_arm(struct sweeper *s, int64_t target_at) {
    if (!s->h->cfg->sweeper)
        return;
    if (s->sweeping) { /* it may have looked already */
        keep_earliest(&s->late_due, target_at);
        return;
    }
    keep_earliest(&s->next_due, target_at);
    int64_t in = target_at - clock_db_ms();
    if (in < INTERVAL_MS)
        arm_in(s, in);
}

static void arm_next(struct sweeper *s, bool more) {
    if (!s->h->cfg->sweeper) {
        arm_in(s, TIME_INTERVAL_MS);
        return;
    }
    int64_t in = s->next_due ? s->next_due - clock_db_ms() : INTERVAL_MS;
    arm_in(s, more ? 0 : in < INTERVAL_MS ? in : INTERVAL_MS);
}

/* --- the end of a sweep --- */

static void free_rows(struct sweeper *s) {
    for (int i = 0; i < s->n; i++) {
        struct row *r = &s->rows[i];
        free(r->id);
        free(r->type);
        free(r->path);
        free(r->data);
        free(r->headers);
    }
    free(s->rows);
    s->rows = NULL;
    s->n = 0;
}

static void finish(struct sweeper *s, bool more) {
    free_rows(s);
    pgpool_release(s->h->pool, s->conn);
    s->conn = NULL;
    s->sweeping = false;
    keep_earliest(&s->next_due, s->late_due);
    s->late_due = 0;
    arm_next(s, more);
}

static void on_finished(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct sweeper *s = arg;
    bool full = s->n == BATCH;
    const struct err *err = NULL;
    for (int i = 0; !f->lost && !err && i < f->n; i++)
        err = pgres_err(f->res[i]);
    if (err)
        log_error("the sweeper's transaction failed; its rows stay", LOG_S("error", err->msg));
    finish(s, full && !f->lost && !err);
}

static void add_delay(struct sweeper *s, const struct row *r) {
    char next[24];
    snprintf(next, sizeof next, "%" PRId64, clock_db_ms() + retry_random(DELAY_MS, 2 * DELAY_MS));
    pgconn_add(s->conn, "UPDATE rbf_outbox SET next_try_at = $3 WHERE namespace = $1 AND id = $2",
               3, (const char *const[]){s->h->cfg->namespace_, r->id, next}, 0);
}

/* Backs off; an exhausted row becomes a dead letter and, being an outcome, a result. */
static void add_refusal(struct sweeper *s, const struct row *r) {
    char next[24];
    const char *ns = s->h->cfg->namespace_;
    if (r->attempts + 1 < s->h->cfg->max_attempts) {
        snprintf(next, sizeof next, "%" PRId64,
                 clock_db_ms() + retry_delay_ms(s->h->cfg, NULL, r->attempts + 1));
        pgconn_add(s->conn,
                   "UPDATE rbf_outbox SET attempts = attempts + 1, next_try_at = $3"
                   " WHERE namespace = $1 AND id = $2",
                   3, (const char *const[]){ns, r->id, next}, 0);
        return;
    }
    log_error("dead letter: an outbox row cannot be published", LOG_S("id", r->id),
              LOG_S("subject", r->path), LOG_S("error", r->why));
    s->h->stats.dead++;
    pgconn_add(s->conn,
               "INSERT INTO rbf_results (namespace, request_id, requested_path, requested_input,"
               " data, status) SELECT namespace, COALESCE(headers->>'RBF-Request-Id', id::text),"
               " path, COALESCE(data::text, 'null'),"
               " jsonb_build_object('code', 'UNPUBLISHABLE', 'message', $3::text), 500"
               " FROM rbf_outbox WHERE namespace = $1 AND id = $2 AND type = 'request'"
               " ON CONFLICT DO NOTHING",
               3, (const char *const[]){ns, r->id, r->why}, 0);
    pgconn_add(s->conn,
               "INSERT INTO rbf_dead_letters (namespace, id, queue, subject, request_id, headers,"
               " payload, error_code, error_message, attempts, first_seen_at)"
               " SELECT namespace, id, split_part(substr(path, length($4) + 1), '.', 1), path,"
               " COALESCE(headers->>'RBF-Request-Id', id::text), headers,"
               " convert_to(data::text, 'UTF8'), 'UNPUBLISHABLE', $3, attempts + 1, created_at"
               " FROM rbf_outbox WHERE namespace = $1 AND id = $2 ON CONFLICT DO NOTHING",
               4, (const char *const[]){ns, r->id, r->why, s->h->cfg->subject_prefix}, 0);
    pgconn_add(s->conn, "DELETE FROM rbf_outbox WHERE namespace = $1 AND id = $2", 2,
               (const char *const[]){ns, r->id}, 0);
}

static void write_outcome(struct sweeper *s) {
    struct buf ids = {0};
    (void)FAILPOINT("sweeper.published");
    bool lasting = false;
    pgarray_open(&ids);
    for (int i = 0; i < s->n; i++)
        lasting = lasting || s->rows[i].refused;
    if (!lasting) /* a crash means one more publication then: no reason to wait for a disk */
        pgconn_add(s->conn, "SET LOCAL synchronous_commit = off", 0, NULL, 0);
    for (int i = 0; i < s->n; i++) {
        if (s->rows[i].stored)
            pgarray_add(&ids, s->rows[i].id);
        else if (s->rows[i].refused)
            add_refusal(s, &s->rows[i]);
        else if (s->rows[i].delayed)
            add_delay(s, &s->rows[i]);
    }
    pgarray_close(&ids);
    pgconn_add(
        s->conn,
        "DELETE FROM rbf_outbox WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM unnest($2::uuid[])"
        " u(id) CROSS JOIN LATERAL (SELECT ctid FROM rbf_outbox WHERE namespace = $1 AND"
        " id = u.id LIMIT 1) o))",
        2, (const char *const[]){s->h->cfg->namespace_, ids.p}, 0);
    buf_free(&ids);
    pgconn_add(s->conn, "COMMIT", 0, NULL, 0);
    pgconn_sync(s->conn);
    pgconn_send(s->conn, on_finished, s);
}

/* --- publishing --- */

static void row_settled(struct row *r) {
    if (--r->s->waiting == 0)
        write_outcome(r->s);
}

static void refuse_row(struct row *r, const char *why) {
    struct buf clean = {0};
    utf8_clean(&clean, why, strlen(why));
    size_t n = clean.len < sizeof r->why ? clean.len : sizeof r->why - 1;
    while (n > 0 && n < clean.len && (clean.p[n] & 0xC0) == 0x80) /* not within a character */
        n--;
    memcpy(r->why, clean.p ? clean.p : "", n);
    r->refused = true;
    buf_free(&clean);
}

static void on_looked_up(bool exists, const struct err *err, void *arg) {
    struct row *r = arg;
    if (!err && !exists)
        refuse_row(r, "no stream takes its subject: make one, or mend the path");
    row_settled(r);
}

/* A stream that is full or slow, or a JetStream without a leader, is the server's trouble and says
 * nothing of the row; a message that is too large, or a subject that no stream has, will not get
 * better. */
static void settle_row(struct row *r, const struct err *err) {
    struct bus *b = r->s->h->bus;
    r->stored = !err;
    r->s->h->stats.swept += r->stored;
    r->delayed = err && err->kind != ERR_SHUTDOWN;
    if (err && err->kind == ERR_INVALID)
        refuse_row(r, err->msg);
    if (err && err->kind == ERR_TIMEOUT && bus_up(b) && !strcmp(r->type, "request") &&
        stream_lookup(b, r->path, on_looked_up, r) == 0)
        return;
    row_settled(r);
}

static void on_stored(const struct err *err, bool duplicate, void *arg) {
    settle_row(arg, err);
}

static void publish_rows(struct sweeper *s) {
    s->waiting = s->n + 1; /* one for this loop: refusals settle at once */
    for (int i = 0; i < s->n; i++) {
        struct row *r = &s->rows[i];
        struct outbox_row out = {r->id, r->type, r->path, r->data, r->headers, true, NULL};
        struct err err;
        if (outbox_send(s->h, &out, STORE_TIMEOUT_MS, on_stored, r, &err))
            settle_row(r, &err);
    }
    if (--s->waiting == 0)
        write_outcome(s);
}

/* --- finding what is due --- */

static void take_rows(struct sweeper *s, const struct pgres *res) {
    s->n = pgres_rows(res);
    s->rows = xcalloc((size_t)s->n + 1, sizeof *s->rows);
    for (int i = 0; i < s->n; i++) {
        struct row *r = &s->rows[i];
        r->s = s;
        r->id = xstrdup(pgres_value(res, i, 0, NULL));
        r->type = xstrdup(pgres_value(res, i, 1, NULL));
        r->path = xstrdup(pgres_value(res, i, 2, NULL));
        r->data = xstrdup(pgres_value(res, i, 3, NULL));
        r->headers = xstrdup(pgres_value(res, i, 4, NULL));
        r->attempts = atoi(pgres_value(res, i, 5, NULL));
    }
}

/* The database's clock decides what is due. It was at least `theirs` when the answer came, and no
 * more than the trip beyond: a clock in between is kept, another one starts from what is sure, as
 * nothing may run before its time. */
static void take_time(struct sweeper *s, const struct pgres *res) {
    int64_t theirs = strtoll(pgres_value(res, 0, 0, NULL), NULL, 10), ours = clock_db_ms();
    const char *next = pgres_value(res, 0, 1, NULL);
    int64_t trip = (int64_t)(clock_mono_ms() - s->asked_mono);
    if (ours < theirs || ours > theirs + trip)
        clock_set_db(theirs);
    s->next_due = next ? strtoll(next, NULL, 10) : 0;
}

static void on_found(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct sweeper *s = arg;
    const struct err *err = NULL;
    for (int i = 0; !f->lost && !err && i < f->n; i++)
        err = pgres_err(f->res[i]);
    if (err)
        log_error("the sweeper cannot read rbf_outbox", LOG_S("error", err->msg));
    if (f->lost || err) {
        s->next_due = 0;
        finish(s, false);
        return;
    }
    (void)FAILPOINT("sweeper.found");
    take_time(s, f->res[0]);
    take_rows(s, f->res[2]);
    publish_rows(s);
}

static void on_time(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct sweeper *s = arg;
    if (!f->lost && !pgres_err(f->res[0]))
        take_time(s, f->res[0]);
    finish(s, false);
}

static void ask_time(struct sweeper *s) {
    pgconn_add(s->conn, "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint, NULL", 0,
               NULL, 0);
    pgconn_sync(s->conn);
    pgconn_send(s->conn, on_time, s);
}

#define DUE "COALESCE(next_try_at, target_at, created_at)"
#define NOW "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000)::bigint"

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct sweeper *s = arg;
    char orphan[24];
    s->conn = conn;
    if (!conn) {
        s->sweeping = false;
        return;
    }
    s->asked_mono = clock_mono_ms();
    if (!s->h->cfg->sweeper) {
        ask_time(s);
        return;
    }
    snprintf(orphan, sizeof orphan, "%" PRId64, s->h->cfg->orphan_after_ms);
    pgconn_add(conn,
               "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint, (SELECT " DUE
               " FROM rbf_outbox WHERE namespace = $1 AND " DUE " > " NOW " ORDER BY " DUE
               " LIMIT 1)",
               1, (const char *const[]){s->h->cfg->namespace_}, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "BEGIN ISOLATION LEVEL READ COMMITTED", 0, NULL, 0);
    pgconn_add(conn,
               "SELECT id, type, path, data, headers, attempts FROM rbf_outbox WHERE namespace = $1"
               " AND " DUE " <= " NOW " AND (target_at IS NOT NULL OR next_try_at IS NOT NULL OR"
               " created_at <= " NOW " - $2::bigint) AND ($3::text IS NULL OR path <> $3)"
               " ORDER BY " DUE " LIMIT " BATCH_TEXT " FOR UPDATE SKIP LOCKED",
               3, (const char *const[]){s->h->cfg->namespace_, orphan, cache_row_blocked(s->h)}, 0);
    pgconn_sync(conn);
    pgconn_send(conn, on_found, s);
}

static void sweep(void *arg) {
    struct sweeper *s = arg;
    s->timer = NULL;
    if (!bus_up(s->h->bus) || !pgpool_up(s->h->pool)) {
        s->next_due = 0;
        arm_in(s, INTERVAL_MS);
        return;
    }
    s->sweeping = true;
    pgpool_acquire(s->h->pool, &s->waiter, 0, on_conn, s);
}

struct sweeper *sweeper_new(struct host *h) {
    struct sweeper *s = xcalloc(1, sizeof *s);
    s->h = h;
    return s;
}

void sweeper_start(struct sweeper *s) {
    s->started = true;
    arm_in(s, 0);
}

void sweeper_stop(struct sweeper *s) {
    s->stopped = true;
    after_cancel(&s->timer);
}

bool sweeper_idle(const struct sweeper *s) {
    return !s->sweeping;
}

void sweeper_delete(struct sweeper *s) {
    if (!s)
        return;
    after_cancel(&s->timer);
    free_rows(s);
    free(s);
}
