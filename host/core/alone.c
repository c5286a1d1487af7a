/* SPDX-License-Identifier: MIT */
#include "core/alone.h"
#include "base/log.h"
#include "core/after.h"
#include "core/intake.h"
#include "core/settle.h"
#include <inttypes.h>
#include <stdlib.h>

/* The first redelivery may be anybody's bad luck, and so may a restart right after it. A message
 * that is not at fault can still be unlucky while it is alone (workers are killed for other
 * reasons): three times in a row it is not. */
#define SUSPECT_DELIVERY 3
#define MAX_RUNS 3
#define AGAIN_MS 250

struct alone {
    struct host *h;
    struct list suspects; /* struct task.apart: wait for their turn */
    struct list held;     /* struct task.apart: wait for the suspects' end */
    int n_apart;          /* in both lists */
    struct task *running; /* the one that has its turn */
    struct pgconn *conn;
    struct pgpool_waiter waiter;
    struct after *later;
};

struct alone *alone_new(struct host *h) {
    struct alone *a = xcalloc(1, sizeof *a);
    a->h = h;
    list_init(&a->suspects);
    list_init(&a->held);
    return a;
}

bool alone_wanted(const struct alone *a) {
    return a->running || !list_empty(&a->suspects);
}

static void count_run(void *arg);

/* --- whose turn --- */

static struct task *take(struct alone *a, struct list *from) {
    struct list *node = list_pop(from);
    a->n_apart -= node != NULL;
    return node ? container_of(node, struct task, apart) : NULL;
}

static void step(void *arg) {
    struct alone *a = arg;
    struct task *t;
    a->later = NULL;
    if (a->running)
        return;
    if (!list_empty(&a->suspects)) {
        if (a->h->n_tasks > a->n_apart) /* others are still under way */
            return;
        a->running = take(a, &a->suspects);
        count_run(a);
        return;
    }
    while (list_empty(&a->suspects) && (t = take(a, &a->held)))
        task_restart(t);
    intake_refresh(a->h->intake);
}

/* From the loop: the caller is in the middle of a task. */
static void step_soon(struct alone *a) {
    if (!a->later)
        a->later = after_ms(a->h->loop, 0, step, a);
}

static void put_apart(struct alone *a, struct list *where, struct task *t) {
    list_push(where, &t->apart);
    a->n_apart++;
}

bool alone_admit(struct alone *a, struct task *t) {
    bool suspect = t->ack.delivered >= SUSPECT_DELIVERY && t->op >= 0;
    if (t == a->running || (!suspect && !alone_wanted(a)))
        t->admitted = true;
    if (t->admitted) /* also when it starts again: its twins wait for its end, and so do suspects */
        return true;
    put_apart(a, suspect ? &a->suspects : &a->held, t);
    step_soon(a);
    intake_refresh(a->h->intake);
    return false;
}

/* --- the end of one --- */

struct ended {
    struct host *h;
    struct pgpool_waiter waiter;
    struct buf name;
};

static void free_ended(struct ended *e) {
    buf_free(&e->name);
    free(e);
}

static void on_forgotten(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct ended *e = arg;
    pgpool_release(e->h->pool, c);
    free_ended(e);
}

/* Best effort: a row that stays says nothing of any other message. */
static void forget(struct pgconn *conn, const struct err *err, void *arg) {
    struct ended *e = arg;
    if (!conn) {
        free_ended(e);
        return;
    }
    pgconn_add(conn, "DELETE FROM rbf_suspects WHERE namespace = $1 AND message = $2", 2,
               (const char *const[]){e->h->cfg->namespace_, e->name.p}, 0);
    pgconn_sync(conn);
    pgconn_send(conn, on_forgotten, e);
}

void alone_ended(struct alone *a, struct task *t) {
    if (t == a->running) {
        struct ended *e = xcalloc(1, sizeof *e);
        e->h = a->h;
        task_message_name(t, &e->name);
        a->running = NULL;
        step_soon(a);
        pgpool_acquire(a->h->pool, &e->waiter, 0, forget, e);
    } else if (alone_wanted(a)) {
        step_soon(a);
    }
}

/* --- its run is counted before it begins --- */

static void judge(struct alone *a, int runs) {
    struct task *t = a->running;
    log_warn("delivered again and again without an outcome: it runs alone",
             LOG_S("subject", t->path), LOG_S("request_id", t->env.id),
             LOG_I("delivery", (int64_t)t->ack.delivered), LOG_I("run", runs));
    if (runs <= MAX_RUNS)
        task_restart(t);
    else
        settle_poison(t);
}

static void on_counted(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct alone *a = arg;
    const struct pgres *res = f->lost ? NULL : f->res[0];
    int runs = res && pgres_rows(res) == 1 ? atoi(pgres_value(res, 0, 0, NULL)) : 0;
    pgpool_release(a->h->pool, c);
    a->conn = NULL;
    if (runs)
        judge(a, runs);
    else
        a->later = after_ms(a->h->loop, AGAIN_MS, count_run, a);
}

static void on_conn(struct pgconn *conn, const struct err *err, void *arg) {
    struct alone *a = arg;
    struct buf name = {0};
    a->conn = conn;
    if (!conn) { /* the host is going away; it comes again */
        struct task *t = a->running;
        a->running = NULL;
        task_end(t, NULL);
        return;
    }
    task_message_name(a->running, &name);
    pgconn_add(conn,
               "INSERT INTO rbf_suspects AS s (namespace, message) VALUES ($1, $2)"
               " ON CONFLICT (namespace, message) DO UPDATE SET runs = s.runs + 1 RETURNING runs",
               2, (const char *const[]){a->h->cfg->namespace_, name.p}, 0);
    pgconn_sync(conn);
    buf_free(&name);
    pgconn_send(conn, on_counted, a);
}

static void count_run(void *arg) {
    struct alone *a = arg;
    a->later = NULL;
    pgpool_acquire(a->h->pool, &a->waiter, 0, on_conn, a);
}

void alone_delete(struct alone *a) {
    if (!a)
        return;
    after_cancel(&a->later);
    free(a);
}
