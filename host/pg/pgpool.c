/* SPDX-License-Identifier: MIT */
#include "pg/pgpool.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdlib.h>

enum {
    CONNECT_TIMEOUT_MS = 15000,
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MOST_MS = 5000,
};

enum slot_state { SLOT_FREE, SLOT_OPENING, SLOT_IDLE, SLOT_LENT };

struct slot {
    struct pgconn *conn; /* NULL when SLOT_FREE */
    enum slot_state state;
};

struct pgpool {
    uv_loop_t *loop;
    char *url;
    int size, nidle, nwaiters;
    struct slot *slots;
    int *idle; /* slots that are idle, the last released on top: the others may go cold */
    struct list waiters;
    uv_timer_t serve, retry, deadline;
    int open_timers;
    uint64_t backoff_ms;
    bool up, serving, closed;
    void (*on_change)(bool up, void *arg);
    void *on_change_arg;
};

static void on_retry(uv_timer_t *t);
static void on_serve(uv_timer_t *t);
static void on_deadline(uv_timer_t *t);
static void open_more(struct pgpool *p);

static int count(const struct pgpool *p, enum slot_state state) {
    int n = 0;
    for (int i = 0; i < p->size; i++)
        n += p->slots[i].state == state;
    return n;
}

/* Connections known to work: then the server is there, even if it lets nobody else in. */
static int live(const struct pgpool *p) {
    int n = 0;
    for (int i = 0; i < p->size; i++)
        n += p->slots[i].state >= SLOT_IDLE && !pgconn_dead(p->slots[i].conn);
    return n;
}

static struct slot *slot_of(struct pgpool *p, const struct pgconn *conn) {
    for (int i = 0; i < p->size; i++)
        if (p->slots[i].conn == conn)
            return &p->slots[i];
    return NULL;
}

static void drop(struct pgpool *p, struct slot *s) {
    int at = (int)(s - p->slots);
    for (int i = 0; s->state == SLOT_IDLE && i < p->nidle; i++) {
        if (p->idle[i] != at)
            continue;
        for (p->nidle--; i < p->nidle; i++)
            p->idle[i] = p->idle[i + 1];
    }
    pgconn_delete(s->conn);
    *s = (struct slot){0};
}

static void push_idle(struct pgpool *p, struct slot *s) {
    s->state = SLOT_IDLE;
    p->idle[p->nidle++] = (int)(s - p->slots);
}

static struct pgconn *pop_idle(struct pgpool *p) {
    while (p->nidle > 0) {
        struct slot *s = &p->slots[p->idle[p->nidle - 1]];
        if (pgconn_dead(s->conn)) {
            drop(p, s);
            continue;
        }
        p->nidle--;
        s->state = SLOT_LENT;
        return s->conn;
    }
    return NULL;
}

/* ---- is the server there? ---- */

static void change(struct pgpool *p, bool up) {
    p->up = up;
    if (p->on_change)
        p->on_change(up, p->on_change_arg);
}

static void note_back(struct pgpool *p) {
    p->backoff_ms = BACKOFF_FIRST_MS;
    if (p->up)
        return;
    log_info("PostgreSQL is back");
    change(p, true);
}

static void note_failure(struct pgpool *p, const struct err *err) {
    bool first = p->backoff_ms == BACKOFF_FIRST_MS;
    uv_timer_start(&p->retry, on_retry, p->backoff_ms, 0);
    p->backoff_ms = p->backoff_ms * 2 < BACKOFF_MOST_MS ? p->backoff_ms * 2 : BACKOFF_MOST_MS;
    if (live(p) > 0) {
        if (first)
            log_warn("no further connection to PostgreSQL", LOG_S("error", err->msg));
        return;
    }
    if (!p->up)
        return;
    log_warn("PostgreSQL is away", LOG_S("error", err->msg));
    change(p, false);
}

/* An idle connection broke. When it was the last, look whether the server is there at all: whoever
 * asks pgpool_up wants to know before the next task does. */
static void on_dead(struct pgconn *conn, void *arg) {
    struct pgpool *p = arg;
    struct slot *s = slot_of(p, conn);
    if (!s || s->state != SLOT_IDLE)
        return; /* the borrower finds out, and releases it */
    drop(p, s);
    open_more(p);
}

/* ---- opening ---- */

static void on_ready(struct pgconn *conn, const struct err *err, void *arg) {
    struct pgpool *p = arg;
    struct slot *s = slot_of(p, conn);
    if (err) {
        drop(p, s);
        note_failure(p, err);
        return;
    }
    push_idle(p, s);
    pgconn_on_dead(conn, on_dead, p);
    note_back(p);
    on_serve(&p->serve);
}

static void open_one(struct pgpool *p) {
    for (int i = 0; i < p->size; i++) {
        struct slot *s = &p->slots[i];
        if (s->state != SLOT_FREE)
            continue;
        s->state = SLOT_OPENING;
        s->conn = pgconn_new(p->loop, p->url, CONNECT_TIMEOUT_MS, on_ready, p);
        return;
    }
}

/* One for each waiter, as far as the size goes; one at a time while the server is away or refuses;
 * and one, whoever waits, when none is left that would tell whether it is there. */
static void open_more(struct pgpool *p) {
    if (p->closed || uv_is_active((uv_handle_t *)&p->retry))
        return;
    int opening = count(p, SLOT_OPENING), room = count(p, SLOT_FREE);
    int want = p->nwaiters - p->nidle - opening;
    bool doubtful = !p->up || p->backoff_ms > BACKOFF_FIRST_MS;
    if (want > 1 && doubtful)
        want = 1;
    if (doubtful && opening > 0)
        want = 0;
    else if (want < 1 && opening == 0 && live(p) == 0)
        want = 1;
    for (; want > 0 && room > 0; want--, room--)
        open_one(p);
}

static void on_retry(uv_timer_t *t) {
    open_more(t->data);
}

/* ---- waiting ---- */

static void take(struct pgpool *p, struct pgpool_waiter *w) {
    list_remove(&w->node);
    p->nwaiters--;
}

static struct pgpool_waiter *first_waiter(struct pgpool *p) {
    return list_empty(&p->waiters) ? NULL
                                   : container_of(p->waiters.next, struct pgpool_waiter, node);
}

static bool is_overdue(const struct pgpool_waiter *w) {
    return w->deadline_ms && w->deadline_ms <= clock_mono_ms();
}

/* The one place that lends. Callbacks may acquire and release: those requests join the queue, and
 * this loop serves them, so that nothing recurses. */
static void serve(struct pgpool *p) {
    if (p->serving)
        return;
    p->serving = true;
    for (struct pgpool_waiter *w; !p->closed && (w = first_waiter(p));) {
        struct pgconn *conn = is_overdue(w) ? NULL : pop_idle(p);
        if (!conn)
            break; /* on_ready, on_serve or on_deadline goes on */
        take(p, w);
        w->cb(conn, NULL, w->arg);
    }
    p->serving = false;
}

static void on_serve(uv_timer_t *t) {
    struct pgpool *p = t->data;
    serve(p);
    open_more(p);
}

static void serve_soon(struct pgpool *p) {
    uv_timer_start(&p->serve, on_serve, 0, 0);
}

static uint64_t next_deadline(const struct pgpool *p) {
    uint64_t least = 0;
    list_each(&p->waiters, it) {
        uint64_t d = container_of(it, struct pgpool_waiter, node)->deadline_ms;
        if (d && (!least || d < least))
            least = d;
    }
    return least;
}

/* Only ever made earlier here; on_deadline looks again. */
static void arm_deadline(struct pgpool *p, uint64_t at) {
    uint64_t now = clock_mono_ms();
    uint64_t wait = at > now ? at - now : 0;
    bool active = uv_is_active((uv_handle_t *)&p->deadline);
    uv_update_time(p->loop); /* the timer counts from there */
    if (!active || uv_timer_get_due_in(&p->deadline) > wait)
        uv_timer_start(&p->deadline, on_deadline, wait, 0);
}

static struct pgpool_waiter *overdue(struct pgpool *p) {
    list_each(&p->waiters, it) {
        struct pgpool_waiter *w = container_of(it, struct pgpool_waiter, node);
        if (is_overdue(w))
            return w;
    }
    return NULL;
}

static void on_deadline(uv_timer_t *t) {
    struct pgpool *p = t->data;
    struct err err;
    err_set(&err, ERR_TIMEOUT, "no free PostgreSQL connection in time%s",
            p->up ? " (all are in use: raise --connections?)" : ": the server is away");
    for (struct pgpool_waiter *w; !p->closed && (w = overdue(p));) {
        take(p, w);
        w->cb(NULL, &err, w->arg);
    }
    if (p->closed)
        return;
    serve_soon(p);
    uint64_t next = next_deadline(p);
    if (next)
        arm_deadline(p, next);
}

void pgpool_acquire(struct pgpool *p, struct pgpool_waiter *w, uint64_t deadline_ms, pgpool_cb cb,
                    void *arg) {
    *w = (struct pgpool_waiter){.deadline_ms = deadline_ms, .cb = cb, .arg = arg};
    list_push(&p->waiters, &w->node);
    p->nwaiters++;
    if (deadline_ms)
        arm_deadline(p, deadline_ms);
    if (p->nwaiters == 1)
        serve(p); /* w is nobody's any more after this, if a connection was idle */
    open_more(p);
}

void pgpool_forget(struct pgpool *p, struct pgpool_waiter *w) {
    if (w->node.next && !list_empty(&w->node))
        take(p, w);
}

void pgpool_release(struct pgpool *p, struct pgconn *conn) {
    struct slot *s = slot_of(p, conn);
    if (!s || s->state != SLOT_LENT) {
        log_error("a connection was released that is not lent: a bug");
        return;
    }
    bool open = !pgconn_dead(conn) && !pgconn_busy(conn) && pgconn_tx(conn) != PGTX_IDLE;
    if (open)
        log_error("a connection was released within a transaction: a bug",
                  LOG_I("backend", pgconn_backend_pid(conn)));
    if (open || pgconn_dead(conn) || pgconn_busy(conn) || pgconn_touched(conn))
        drop(p, s);
    else
        push_idle(p, s);
    serve_soon(p);
}

/* ---- the pool itself ---- */

static void timer_init(struct pgpool *p, uv_timer_t *t) {
    uv_timer_init(p->loop, t);
    t->data = p;
    p->open_timers++;
}

struct pgpool *pgpool_new(uv_loop_t *loop, const char *url, int size) {
    struct pgpool *p = xcalloc(1, sizeof *p);
    p->loop = loop;
    p->url = xstrdup(url);
    p->size = size;
    p->slots = xcalloc((size_t)size, sizeof *p->slots);
    p->idle = xcalloc((size_t)size, sizeof *p->idle);
    p->up = true;
    p->backoff_ms = BACKOFF_FIRST_MS;
    list_init(&p->waiters);
    timer_init(p, &p->serve);
    timer_init(p, &p->retry);
    timer_init(p, &p->deadline);
    return p;
}

bool pgpool_up(const struct pgpool *p) {
    return p->up;
}

void pgpool_on_change(struct pgpool *p, void (*cb)(bool up, void *arg), void *arg) {
    p->on_change = cb;
    p->on_change_arg = arg;
}

int pgpool_idle(const struct pgpool *p) {
    int n = p->size - count(p, SLOT_LENT) - p->nwaiters;
    return p->up && n > 0 ? n : 0;
}

int pgpool_unlent(const struct pgpool *p) {
    return p->size - count(p, SLOT_LENT);
}

static void on_timer_closed(uv_handle_t *h) {
    struct pgpool *p = h->data;
    if (--p->open_timers > 0)
        return;
    free(p->slots);
    free(p->idle);
    free(p->url);
    free(p);
}

void pgpool_delete(struct pgpool *p) {
    if (!p || p->closed)
        return;
    p->closed = true;
    struct err err;
    err_set(&err, ERR_SHUTDOWN, "the host is stopping");
    for (struct pgpool_waiter *w; (w = first_waiter(p));) {
        take(p, w);
        w->cb(NULL, &err, w->arg);
    }
    for (int i = 0; i < p->size; i++)
        pgconn_delete(p->slots[i].conn);
    uv_close((uv_handle_t *)&p->serve, on_timer_closed);
    uv_close((uv_handle_t *)&p->retry, on_timer_closed);
    uv_close((uv_handle_t *)&p->deadline, on_timer_closed);
}
