/* SPDX-License-Identifier: MIT */
#include "core/backlog.h"
#include "base/log.h"
#include "core/after.h"
#include <stdlib.h>

#define LOOK_MS 5000
#define LATE_MS 60000
#define CAUGHT_UP_MS 30000 /* not at once below LATE_MS: one line, not one a look */

struct backlog {
    struct host *h;
    struct after *timer;
    struct pgpool_waiter waiter;
    bool stopped, late;
};

/* A row may have been published once it is due and, as long as nobody knew whether it was, again:
 * then next_try_at is set, and says nothing of when the first time was. Rows that nobody tried come
 * in the order of the sweeper's index, the others have one of their own. */
#define DUE "COALESCE(next_try_at, target_at, created_at)"
#define SINCE "GREATEST(created_at, target_at)"

void backlog_add_look(struct pgconn *c, const struct host *h) {
    pgconn_add(c,
               "SELECT n.now, LEAST(u.due, t.since), LEAST(u.since, t.since) FROM"
               " (SELECT (EXTRACT(EPOCH FROM statement_timestamp()) * 1000)::bigint AS now) n"
               " LEFT JOIN LATERAL (SELECT " DUE " AS due, " SINCE " AS since FROM rbf_outbox"
               "  WHERE namespace = $1 AND next_try_at IS NULL AND " DUE " <= n.now"
               "  ORDER BY " DUE " LIMIT 1) u ON true"
               " LEFT JOIN LATERAL (SELECT " SINCE " AS since FROM rbf_outbox"
               "  WHERE namespace = $1 AND next_try_at IS NOT NULL"
               "  ORDER BY " SINCE " LIMIT 1) t ON true",
               1, (const char *const[]){h->cfg->namespace_}, 0);
}

static int64_t value(const struct pgres *res, int col) {
    const char *text = pgres_value(res, 0, col, NULL);
    return text ? strtoll(text, NULL, 10) : INT64_MAX;
}

struct backlog_look backlog_read(const struct pgres *res) {
    return (struct backlog_look){value(res, 0), value(res, 1), value(res, 2)};
}

static void look(void *arg);

static void judge(struct backlog *b, int64_t age_ms) {
    b->h->stats.oldest_due_ms = (uint64_t)(age_ms > 0 ? age_ms : 0);
    if (!b->late && age_ms > LATE_MS)
        log_warn("outbox rows are late: are NATS and a sweeper up, and can the rows be published?",
                 LOG_I("oldest_due_ms", age_ms));
    if (b->late && age_ms < CAUGHT_UP_MS)
        log_info("the outbox has caught up", LOG_I("oldest_due_ms", b->h->stats.oldest_due_ms));
    b->late = age_ms > LATE_MS || (b->late && age_ms >= CAUGHT_UP_MS);
}

static void again(struct backlog *b) {
    if (!b->stopped)
        b->timer = after_ms(b->h->loop, LOOK_MS, look, b);
}

static void on_looked(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct backlog *b = arg;
    if (!f->lost && !pgres_err(f->res[0])) {
        struct backlog_look l = backlog_read(f->res[0]);
        judge(b, l.due == INT64_MAX ? 0 : l.now - l.due);
    }
    pgpool_release(b->h->pool, c);
    again(b);
}

static void on_conn(struct pgconn *c, const struct err *err, void *arg) {
    struct backlog *b = arg;
    if (!c)
        return; /* the host is going away */
    backlog_add_look(c, b->h);
    pgconn_sync(c);
    pgconn_send(c, on_looked, b);
}

static void look(void *arg) {
    struct backlog *b = arg;
    b->timer = NULL;
    if (pgpool_up(b->h->pool))
        pgpool_acquire(b->h->pool, &b->waiter, 0, on_conn, b);
    else
        again(b);
}

struct backlog *backlog_new(struct host *h) {
    struct backlog *b = xcalloc(1, sizeof *b);
    b->h = h;
    return b;
}

void backlog_start(struct backlog *b) {
    if (!b->stopped && !b->timer)
        b->timer = after_ms(b->h->loop, 0, look, b);
}

void backlog_stop(struct backlog *b) {
    b->stopped = true;
    after_cancel(&b->timer);
}

void backlog_delete(struct backlog *b) {
    if (!b)
        return;
    after_cancel(&b->timer);
    free(b);
}
