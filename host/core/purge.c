/* SPDX-License-Identifier: MIT */
#include "core/purge.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/stream.h"
#include "core/after.h"
#include "core/backlog.h"
#include "core/intake.h"
#include "core/retry.h"
#include "pg/pgarray.h"
#include <inttypes.h>
#include <stdlib.h>

#define LONGEST_MS 60000 /* between two purges */
#define SHORTEST_MS 1000
#define SUSPECTS_MS (7 * 86400000LL)
#define BATCH 1000
#define BATCH_TEXT "1000"
/* A pause is so many times as long as the batch before it was, but at least this. */
#define REST 4
#define LEAST_REST_MS 10

/* Dead rows at the index's left end are not read again by the batches after the first: each begins
 * where the last ended ($3). The lock is the transaction's, as a session's would cost the pool its
 * connection; a row of another's batch is simply not there any more. */
#define BATCH_SQL(table, time, unless)                                                             \
    "WITH gone AS (DELETE FROM " table " WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM " table " t"   \
    " WHERE t.namespace = $1::text AND t." time " < $2::bigint AND t." time " >= $3::bigint"       \
    " AND (SELECT pg_try_advisory_xact_lock(hashtextextended('rbf purge ' || $1::text, 0)))"       \
    "" unless " ORDER BY t." time " LIMIT " BATCH_TEXT ")) RETURNING " time " AS at)"              \
    " SELECT count(*), max(at) FROM gone"

/* A message that is parked may have a result all the same: of an attempt that finished late. */
#define PARKED                                                                                     \
    " AND NOT EXISTS (SELECT FROM rbf_outbox o WHERE o.namespace = $1::text"                       \
    " AND o.source_request_id = t.request_id AND o.headers ? 'RBF-First-Seen')"

/* In the transaction in which the first results go, as who does not find a result must find this.
 * By number and by time: numbers begin anew with a stream, clocks are set back. */
#define HORIZONS                                                                                   \
    "INSERT INTO rbf_horizons AS h (namespace, stream, first_seq, stored_before)"                  \
    " SELECT $1, stream, first_seq, $4::bigint FROM unnest($2::text[], $3::bigint[])"              \
    " u(stream, first_seq) ORDER BY stream ON CONFLICT (namespace, stream) DO UPDATE"              \
    " SET first_seq = EXCLUDED.first_seq, stored_before = EXCLUDED.stored_before"                  \
    " WHERE h.stored_before < EXCLUDED.stored_before"

/* Looks in vain before it is said: NATS may forbid what stream_oldest asks. */
#define IN_VAIN 10

enum kind { RESULTS, LETTERS, SUSPECTS, KINDS };
static const char *const batch_sql[KINDS] = {
    BATCH_SQL("rbf_results", "created_at", PARKED),
    BATCH_SQL("rbf_dead_letters", "died_at", ""),
    BATCH_SQL("rbf_suspects", "created_at", ""),
};

struct purge {
    struct host *h;
    struct after *timer;
    struct pgpool_waiter waiter;
    bool stopped;
    struct backlog_look look;
    int64_t before[KINDS];      /* ms epoch: what is older goes; 0: nothing */
    struct buf streams, firsts; /* array literals: their names, the first sequence in each */
    int64_t from;               /* where the last batch ended */
    int64_t gone[KINDS];
    int in_vain;
    enum kind kind;
    uint64_t began_ms; /* monotonic, of the batch */
};

static void begin(void *arg);
static void next_batch(void *arg);

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t interval_ms(const struct config *c) {
    int64_t ms = LONGEST_MS;
    if (c->results_retention_ms)
        ms = earlier(ms, c->results_retention_ms / 2);
    if (c->dead_retention_ms)
        ms = earlier(ms, c->dead_retention_ms / 2);
    return ms > SHORTEST_MS ? ms : SHORTEST_MS;
}

static void after(struct purge *p, int64_t ms, after_cb cb) {
    if (!p->stopped)
        p->timer = after_ms(p->h->loop, (uint64_t)ms, cb, p);
}

static void rest(struct purge *p) {
    after(p, interval_ms(p->h->cfg), begin);
}

/* Nothing disappears uncounted. */
static void finish(struct purge *p) {
    if (p->gone[LETTERS])
        log_info("dead letters purged: their retention is over", LOG_I("n", p->gone[LETTERS]));
    if (p->gone[RESULTS] || p->gone[SUSPECTS])
        log_debug("purged", LOG_I("results", p->gone[RESULTS]),
                  LOG_I("suspects", p->gone[SUSPECTS]), LOG_I("before", p->before[RESULTS]));
    rest(p);
}

/* --- batches --- */

static void pause_batches(struct purge *p) {
    int64_t ms = (int64_t)(clock_mono_ms() - p->began_ms) * REST;
    after(p, ms > LEAST_REST_MS ? ms : LEAST_REST_MS, next_batch);
}

static void next_kind(struct purge *p) {
    p->from = 0;
    p->kind++;
    next_batch(p);
}

static void on_batch(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct purge *p = arg;
    const struct err *err = f->lost;
    int64_t n = 0;
    for (int i = 0; !err && i < f->n; i++)
        err = pgres_err(f->res[i]);
    if (!err) {
        const struct pgres *gone = f->res[f->n - 2];
        const char *last = pgres_value(gone, 0, 1, NULL);
        n = strtoll(pgres_value(gone, 0, 0, NULL), NULL, 10);
        p->from = last ? strtoll(last, NULL, 10) : p->from;
        p->gone[p->kind] += n;
        if (p->kind == RESULTS)
            p->h->stats.purged += (uint64_t)n;
    } else if (!f->lost) {
        log_error("old rows not purged", LOG_S("error", err->msg));
    }
    pgpool_release(p->h->pool, c);
    if (err)
        finish(p);
    else if (n == BATCH)
        pause_batches(p);
    else
        next_kind(p);
}

static void on_conn(struct pgconn *c, const struct err *err, void *arg) {
    struct purge *p = arg;
    char before[24], from[24];
    if (!c) /* the host is going away */
        return;
    snprintf(before, sizeof before, "%" PRId64, p->before[p->kind]);
    snprintf(from, sizeof from, "%" PRId64, p->from);
    p->began_ms = clock_mono_ms();
    pgconn_add(c, "BEGIN ISOLATION LEVEL READ COMMITTED", 0, NULL, 0);
    /* what a crash of the server brings back is purged again */
    pgconn_add(c, "SET LOCAL synchronous_commit = off", 0, NULL, 0);
    if (p->kind == RESULTS && !p->from)
        pgconn_add(c, HORIZONS, 4,
                   (const char *const[]){p->h->cfg->namespace_, p->streams.p, p->firsts.p, before},
                   0);
    pgconn_add(c, batch_sql[p->kind], 3, (const char *const[]){p->h->cfg->namespace_, before, from},
               0);
    pgconn_add(c, "COMMIT", 0, NULL, 0);
    pgconn_sync(c);
    pgconn_send(c, on_batch, p);
}

static void next_batch(void *arg) {
    struct purge *p = arg;
    p->timer = NULL;
    while (p->kind < KINDS && p->before[p->kind] <= 0)
        p->kind++;
    if (p->kind == KINDS || !pgpool_up(p->h->pool) || p->stopped)
        finish(p);
    else
        pgpool_acquire(p->h->pool, &p->waiter, 0, on_conn, p);
}

/* --- how old is old --- */

static void take_streams(struct purge *p, const struct stream_age *ages, int n) {
    buf_reset(&p->streams);
    buf_reset(&p->firsts);
    pgarray_open(&p->streams);
    pgarray_open(&p->firsts);
    for (int i = 0; i < n; i++) {
        pgarray_add(&p->streams, ages[i].stream);
        pgarray_add_int(&p->firsts, ages[i].first_seq);
    }
    pgarray_close(&p->streams);
    pgarray_close(&p->firsts);
}

static void on_oldest(const struct stream_age *ages, int n, const struct err *err, void *arg) {
    struct purge *p = arg;
    const struct config *c = p->h->cfg;
    if (err) {
        if (++p->in_vain == IN_VAIN)
            log_warn("nothing is purged: NATS does not tell its oldest message",
                     LOG_S("error", err->msg));
        rest(p);
        return;
    }
    p->in_vain = 0;
    int64_t bound = earlier(p->look.now, p->look.published);
    for (int i = 0; i < n; i++)
        bound = earlier(bound, ages[i].oldest_ms);
    p->before[RESULTS] = c->results_retention_ms ? bound - c->results_retention_ms : 0;
    p->before[LETTERS] = c->dead_retention_ms ? p->look.now - c->dead_retention_ms : 0;
    p->before[SUSPECTS] = bound - SUSPECTS_MS;
    take_streams(p, ages, n);
    p->kind = RESULTS;
    p->from = 0;
    for (int i = 0; i < KINDS; i++)
        p->gone[i] = 0;
    next_batch(p);
}

/* The outbox first: a row that leaves it before we look is in a stream by then. */
static void on_looked(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct purge *p = arg;
    struct host *h = p->h;
    bool looked = !f->lost && !pgres_err(f->res[0]);
    if (looked)
        p->look = backlog_read(f->res[0]);
    pgpool_release(h->pool, c);
    char *about = xasprintf("rbf namespace %s", h->cfg->namespace_);
    char **names = intake_streams(h->intake);
    if (!looked || p->stopped ||
        stream_oldest(h->bus, about, (const char *const *)names, on_oldest, p))
        rest(p);
    for (int i = 0; names[i]; i++)
        free(names[i]);
    free(names);
    free(about);
}

static void on_look_conn(struct pgconn *c, const struct err *err, void *arg) {
    struct purge *p = arg;
    if (!c)
        return;
    backlog_add_look(c, p->h);
    pgconn_sync(c);
    pgconn_send(c, on_looked, p);
}

static void begin(void *arg) {
    struct purge *p = arg;
    p->timer = NULL;
    if (pgpool_up(p->h->pool) && bus_up(p->h->bus))
        pgpool_acquire(p->h->pool, &p->waiter, 0, on_look_conn, p);
    else
        rest(p);
}

struct purge *purge_new(struct host *h) {
    struct purge *p = xcalloc(1, sizeof *p);
    p->h = h;
    return p;
}

/* Hosts that start together need not purge together. */
void purge_start(struct purge *p) {
    if (p->h->cfg->sweeper && !p->timer)
        after(p, retry_random(0, interval_ms(p->h->cfg)), begin);
}

void purge_stop(struct purge *p) {
    p->stopped = true;
    after_cancel(&p->timer);
}

void purge_delete(struct purge *p) {
    if (!p)
        return;
    after_cancel(&p->timer);
    buf_free(&p->streams);
    buf_free(&p->firsts);
    free(p);
}
