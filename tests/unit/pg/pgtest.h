/* SPDX-License-Identifier: MIT */
/* pgtest - what the tests of pgconn and pgpool share: a loop with a time limit, and flights copied
 * when they land. Included once in each program. */
#ifndef RBF_TEST_PGTEST_H
#define RBF_TEST_PGTEST_H
#include "base/clock.h"
#include "pg/pgconn.h"
#include "pgserver.h"
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct pgserver server;
static uv_loop_t loop;

static inline void on_tick(uv_timer_t *t) {}

/* Runs the loop until *flag, at most ms; false when time ran out. The tick ends uv_run's sleep when
 * a timer's callback has set the flag. What is ready at the end is seen, too, however little of the
 * time this process was given: a dead connection takes two turns. */
static inline bool run_until(const bool *flag, unsigned ms) {
    uv_timer_t tick;
    uv_update_time(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 2, 2);
    for (uint64_t end = clock_mono_ms() + ms; !*flag && clock_mono_ms() < end;)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    return *flag;
}

static inline void run_for(unsigned ms) {
    static const bool never = false;
    run_until(&never, ms);
}

enum { LANDED_MAX = 1100 };

struct landed_result {
    enum pgres_status status;
    int rows;
    int64_t affected;
    bool committed;
    char value[100]; /* first; "(null)" for NULL */
    struct err err;
    char constraint[64];
};

struct landed {
    bool done;
    struct err lost; /* kind ERR_NONE when it was not */
    int n, called;
    struct landed_result r[LANDED_MAX];
};

static inline void copy_result(struct landed_result *to, const struct pgres *r) {
    *to = (struct landed_result){.status = pgres_status(r), .rows = pgres_rows(r)};
    to->affected = pgres_affected(r);
    to->committed = pgres_committed(r);
    if (to->rows > 0) {
        const char *value = pgres_value(r, 0, 0, NULL);
        snprintf(to->value, sizeof to->value, "%s", value ? value : "(null)");
    }
    if (pgres_err(r))
        to->err = *pgres_err(r);
    const char *constraint = pgres_constraint(r);
    snprintf(to->constraint, sizeof to->constraint, "%s", constraint ? constraint : "");
}

static inline void on_landed(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct landed *l = arg;
    l->called++;
    l->done = true;
    l->n = f->n;
    if (f->lost)
        l->lost = *f->lost;
    for (int i = 0; i < f->n && i < LANDED_MAX; i++) {
        assert_true(!f->lost == !!f->res[i]);
        if (f->res[i])
            copy_result(&l->r[i], f->res[i]);
    }
}

static struct landed last; /* large, so not on the stack */

/* Sends what was added, and waits. */
static inline struct landed *fly(struct pgconn *c) {
    memset(&last, 0, sizeof last);
    pgconn_send(c, on_landed, &last);
    assert_false(last.done);
    assert_true(run_until(&last.done, 30000));
    return &last;
}

/* One statement without parameters, alone. */
static inline struct landed_result *ask(struct pgconn *c, const char *sql) {
    pgconn_add(c, sql, 0, NULL, 0);
    struct landed *l = fly(c);
    assert_int_equal(l->lost.kind, ERR_NONE);
    assert_int_equal(l->n, 1);
    return &l->r[0];
}

struct opened {
    bool done;
    struct err err;
    int called;
};

static inline void on_opened(struct pgconn *c, const struct err *err, void *arg) {
    struct opened *o = arg;
    o->done = true;
    o->called++;
    if (err)
        o->err = *err;
}

static inline struct pgconn *open_conn(const char *url) {
    struct opened o = {0};
    struct pgconn *c = pgconn_new(&loop, url, 20000, on_opened, &o);
    assert_true(run_until(&o.done, 30000));
    assert_string_equal(o.err.msg, "");
    assert_false(pgconn_dead(c));
    return c;
}

static inline int start_server(void **state) {
    alarm(240); /* a loop that never ends is a failure too */
    uv_loop_init(&loop);
    pgserver_start(&server);
    return 0;
}

/* Every handle must be gone: what is left open shows here. */
static inline int stop_server(void **state) {
    uv_run(&loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&loop);
    pgserver_stop(&server);
    return rc;
}
#endif
