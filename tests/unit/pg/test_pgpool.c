/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "pg/pgpool.h"
#include "pgtest.h"

static struct pgpool *pool;

/* One request for a connection, and what came of it. */
struct want {
    struct pgpool_waiter w;
    bool done;
    struct pgconn *conn;
    struct err err;
    int called, order;
};

static int order;

static void on_conn(struct pgconn *c, const struct err *err, void *arg) {
    struct want *want = arg;
    want->done = true;
    want->called++;
    want->order = ++order;
    want->conn = c;
    if (err)
        want->err = *err;
    assert_true(!c == !!err);
}

static void acquire(struct want *want, uint64_t within_ms) {
    *want = (struct want){0};
    pgpool_acquire(pool, &want->w, within_ms ? clock_mono_ms() + within_ms : 0, on_conn, want);
}

static struct pgconn *acquired(struct want *want) {
    assert_true(run_until(&want->done, 15000));
    assert_string_equal(want->err.msg, "");
    return want->conn;
}

static int backend(struct pgconn *c) {
    return atoi(ask(c, "SELECT pg_backend_pid()")->value);
}

static int each_start(void **state) {
    pool = pgpool_new(&loop, server.url, 3);
    order = 0;
    return 0;
}

static int each_end(void **state) {
    pgpool_delete(pool);
    run_for(1);
    return 0;
}

static void opens_as_needed(void **state) {
    struct want a[4];
    assert_int_equal(pgpool_idle(pool), 3);
    run_for(20);
    assert_string_equal(pgserver_sql(&server, "SELECT count(*) FROM pg_stat_activity WHERE "
                                              "application_name = 'rbf'"),
                        "0");
    for (int i = 0; i < 4; i++)
        acquire(&a[i], 0);
    for (int i = 0; i < 3; i++)
        acquired(&a[i]);
    run_for(50);
    assert_false(a[3].done);
    assert_int_equal(pgpool_idle(pool), 0);
    pgpool_release(pool, a[1].conn);
    assert_false(a[3].done); /* from the loop */
    assert_ptr_equal(acquired(&a[3]), a[1].conn);
    for (int i = 0; i < 4; i++)
        if (i != 1)
            pgpool_release(pool, a[i].conn);
    run_for(5);
    assert_int_equal(pgpool_idle(pool), 3);
}

static void the_last_released_is_lent_first_and_at_once(void **state) {
    struct want a, b, c;
    acquire(&a, 0);
    acquire(&b, 0);
    acquired(&a);
    acquired(&b);
    pgpool_release(pool, a.conn);
    pgpool_release(pool, b.conn);
    run_for(5);
    acquire(&c, 0);
    assert_true(c.done);
    assert_ptr_equal(c.conn, b.conn);
    pgpool_release(pool, c.conn);
}

static void first_come_first_served(void **state) {
    struct want held[3], w[20];
    for (int i = 0; i < 3; i++)
        acquire(&held[i], 0);
    for (int i = 0; i < 3; i++)
        acquired(&held[i]);
    for (int i = 0; i < 20; i++)
        acquire(&w[i], 0);
    pgpool_forget(pool, &w[7].w);
    pgpool_forget(pool, &w[7].w); /* harmless */
    order = 0;
    for (int i = 0; i < 3; i++)
        pgpool_release(pool, held[i].conn);
    for (int i = 0; i < 20; i++) {
        if (i == 7)
            continue;
        acquired(&w[i]);
        assert_int_equal(w[i].order, i < 7 ? i + 1 : i);
        pgpool_forget(pool, &w[i].w); /* harmless too */
        pgpool_release(pool, w[i].conn);
    }
    assert_int_equal(w[7].called, 0);
}

static void a_deadline_passes(void **state) {
    struct want held[3], patient, hasty, late;
    for (int i = 0; i < 3; i++)
        acquire(&held[i], 0);
    for (int i = 0; i < 3; i++)
        acquired(&held[i]);
    acquire(&patient, 0);
    acquire(&late, 3000);
    uint64_t before = clock_mono_ms();
    acquire(&hasty, 60);
    assert_true(run_until(&hasty.done, 30000));
    assert_true(clock_mono_ms() - before >= 50);
    assert_null(hasty.conn);
    assert_int_equal(hasty.err.kind, ERR_TIMEOUT);
    assert_false(patient.done || late.done);
    pgpool_release(pool, held[0].conn);
    acquired(&patient);
    assert_true(run_until(&late.done, 30000));
    assert_int_equal(late.err.kind, ERR_TIMEOUT);
    pgpool_release(pool, patient.conn);
    run_for(300);
    assert_int_equal(hasty.called + late.called + patient.called, 3);
    acquire(&late, 3000); /* in time */
    assert_non_null(acquired(&late));
}

/* A connection is free again in time, but the loop was busy elsewhere. */
static void never_a_connection_after_the_deadline(void **state) {
    struct want held[3], w;
    for (int i = 0; i < 3; i++)
        acquire(&held[i], 0);
    for (int i = 0; i < 3; i++)
        acquired(&held[i]);
    acquire(&w, 30);
    pgpool_release(pool, held[0].conn);
    usleep(60000);
    assert_true(run_until(&w.done, 30000));
    assert_int_equal(w.err.kind, ERR_TIMEOUT);
}

/* Each callback gives its connection back and asks again, from inside. */
static int rounds, depth;

static void on_round(struct pgconn *c, const struct err *err, void *arg) {
    struct want *want = arg;
    assert_null(err);
    assert_int_equal(depth++, 0); /* a loop, not a recursion */
    pgpool_release(pool, c);
    if (++rounds < 20000)
        pgpool_acquire(pool, &want->w, 0, on_round, want);
    else
        want->done = true;
    depth--;
}

static void callbacks_may_acquire_and_release(void **state) {
    struct want w = {0}, w2 = {0};
    rounds = 10000;
    pgpool_acquire(pool, &w.w, 0, on_round, &w);
    assert_true(run_until(&w.done, 20000));
    rounds = 0;
    w.done = false;
    pgpool_acquire(pool, &w.w, 0, on_round, &w);
    pgpool_acquire(pool, &w2.w, 0, on_round, &w2);
    assert_true(run_until(&w.done, 20000) || w2.done);
    run_for(5);
    assert_in_range(rounds, 20000, 20001);
    assert_int_equal(pgpool_idle(pool), 3);
}

static void an_open_transaction_is_not_passed_on(void **state) {
    struct want a, b;
    acquire(&a, 0);
    int pid = backend(acquired(&a));
    ask(a.conn, "BEGIN");
    pgpool_release(pool, a.conn);
    acquire(&b, 0);
    assert_int_not_equal(backend(acquired(&b)), pid);
    pgconn_add(b.conn, "SELECT pg_sleep(0.05)", 0, NULL, 0);
    static struct landed l;
    pgconn_send(b.conn, on_landed, &l);
    pid = pgconn_backend_pid(b.conn);
    pgpool_release(pool, b.conn); /* busy: closed, without callback */
    acquire(&a, 0);
    assert_int_not_equal(backend(acquired(&a)), pid);
    run_for(100);
    assert_int_equal(l.called, 0);
}

static void a_terminated_idle_connection_is_replaced(void **state) {
    struct want a;
    acquire(&a, 0);
    int pid = backend(acquired(&a));
    pgpool_release(pool, a.conn);
    pgserver_sql(&server, "SELECT pg_terminate_backend(%d, 5000)", pid);
    acquire(&a, 0); /* not noticed yet, perhaps: then the flight tells */
    acquired(&a);
    pgconn_add(a.conn, "SELECT 1", 0, NULL, 0);
    assert_int_equal(fly(a.conn)->lost.kind, ERR_PG_LOST);
    pgpool_release(pool, a.conn);
    acquire(&a, 0);
    assert_int_not_equal(backend(acquired(&a)), pid);
    pid = pgconn_backend_pid(a.conn);
    pgpool_release(pool, a.conn);
    pgserver_sql(&server, "SELECT pg_terminate_backend(%d, 5000)", pid);
    run_for(50);
    acquire(&a, 0); /* noticed */
    assert_int_not_equal(backend(acquired(&a)), pid);
    assert_true(pgpool_up(pool));
}

/* ---- the server goes and comes ---- */

static int ups, downs;

static void on_change(bool up, void *arg) {
    assert_int_equal(up, pgpool_up(pool));
    *(up ? &ups : &downs) += 1;
    *(bool *)arg = true;
}

static void a_restart_is_survived(void **state) {
    struct want a, b, w[6], hasty;
    bool changed = false;
    ups = downs = 0;
    pgpool_on_change(pool, on_change, &changed);
    acquire(&a, 0);
    acquire(&b, 0);
    acquired(&a);
    acquired(&b);
    pgpool_release(pool, b.conn); /* one idle, one lent */
    run_for(5);
    pgserver_halt(&server);
    run_for(50);
    assert_true(pgconn_dead(a.conn));
    pgpool_release(pool, a.conn);
    assert_true(run_until(&changed, 30000)); /* nobody has asked for a connection */
    assert_false(pgpool_up(pool));
    assert_int_equal(pgpool_idle(pool), 0);
    for (int i = 0; i < 6; i++)
        acquire(&w[i], 0);
    acquire(&hasty, 100);
    assert_true(run_until(&hasty.done, 30000));
    assert_int_equal(hasty.err.kind, ERR_TIMEOUT);
    run_for(900);
    assert_int_equal(downs, 1);
    assert_int_equal(ups, 0);
    pgserver_run(&server);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(ask(acquired(&w[i]), "SELECT 1")->value, "1");
        pgpool_release(pool, w[i].conn);
    }
    assert_int_equal(downs, 1);
    assert_int_equal(ups, 1);
    assert_true(pgpool_up(pool));
    run_for(5);
    assert_int_equal(pgpool_idle(pool), 3);
}

static void await_change(bool *changed, bool up) {
    *changed = false;
    assert_true(run_until(changed, 30000));
    assert_int_equal(pgpool_up(pool), up);
}

/* How long it took to notice that it was back, ms. */
static uint64_t outage(bool *changed, unsigned ms) {
    pgserver_halt(&server);
    await_change(changed, false);
    run_for(ms);
    pgserver_run(&server);
    uint64_t before = clock_mono_ms();
    await_change(changed, true);
    return clock_mono_ms() - before;
}

/* Only idle connections: still it is noticed each time, and after a long outage the waits are short
 * again, as far as this machine lets us see it. */
static void an_outage_is_noticed_while_nobody_asks(void **state) {
    struct want a;
    uint64_t least = UINT64_MAX;
    bool changed = false;
    pgpool_on_change(pool, on_change, &changed);
    acquire(&a, 0);
    acquired(&a);
    pgpool_release(pool, a.conn);
    run_for(5);
    outage(&changed, 900);
    for (int i = 0; i < 3 && least > 900; i++) {
        uint64_t took = outage(&changed, 10);
        least = took < least ? took : least;
    }
    assert_in_range(least, 0, 900); /* else 1 s at least */
}

static void down_from_the_start(void **state) {
    bool changed = false;
    struct want a;
    char url[200];
    pgpool_delete(pool);
    snprintf(url, sizeof url, "postgresql:///later?host=%s&user=postgres", server.dir);
    pool = pgpool_new(&loop, url, 2);
    ups = downs = 0;
    pgpool_on_change(pool, on_change, &changed);
    assert_true(pgpool_up(pool));
    acquire(&a, 0);
    assert_true(run_until(&changed, 30000));
    assert_false(pgpool_up(pool));
    pgserver_sql(&server, "CREATE DATABASE later");
    assert_non_null(acquired(&a));
    assert_int_equal(ups + downs, 2);
    assert_true(pgpool_up(pool));
}

/* The server lets nobody else in: those inside work on, and it is not "away". */
static void too_many_connections(void **state) {
    struct want a, b;
    pgserver_sql(&server, "CREATE ROLE few LOGIN CONNECTION LIMIT 1");
    pgpool_delete(pool);
    char url[200];
    snprintf(url, sizeof url, "postgresql:///postgres?host=%s&user=few", server.dir);
    pool = pgpool_new(&loop, url, 2);
    acquire(&a, 0);
    acquired(&a);
    acquire(&b, 0);
    run_for(400);
    assert_false(b.done);
    assert_true(pgpool_up(pool));
    pgpool_release(pool, a.conn);
    assert_non_null(acquired(&b));
    pgpool_release(pool, b.conn);
    run_for(300);
}

static void delete_tells_the_waiters(void **state) {
    struct want held[3], w[2];
    for (int i = 0; i < 3; i++)
        acquire(&held[i], 0);
    for (int i = 0; i < 3; i++)
        acquired(&held[i]);
    static struct landed l;
    pgconn_add(held[0].conn, "SELECT 1", 0, NULL, 0);
    pgconn_send(held[0].conn, on_landed, &l);
    acquire(&w[0], 1000);
    acquire(&w[1], 0);
    pgpool_delete(pool);
    pool = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w[i].called, 1);
        assert_int_equal(w[i].err.kind, ERR_SHUTDOWN);
    }
    run_for(50);
    assert_int_equal(l.called, 0);
}

static void delete_while_opening(void **state) {
    struct want w;
    acquire(&w, 0);
    pgpool_delete(pool);
    pool = NULL;
    assert_int_equal(w.err.kind, ERR_SHUTDOWN);
    run_for(50);
    assert_int_equal(w.called, 1);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, each_start, each_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(opens_as_needed),
        EACH(the_last_released_is_lent_first_and_at_once),
        EACH(first_come_first_served),
        EACH(a_deadline_passes),
        EACH(never_a_connection_after_the_deadline),
        EACH(callbacks_may_acquire_and_release),
        EACH(an_open_transaction_is_not_passed_on),
        EACH(a_terminated_idle_connection_is_replaced),
        EACH(a_restart_is_survived),
        EACH(an_outage_is_noticed_while_nobody_asks),
        EACH(down_from_the_start),
        EACH(too_many_connections),
        EACH(delete_tells_the_waiters),
        EACH(delete_while_opening),
    };
    return cmocka_run_group_tests_name("pgpool", tests, start_server, stop_server);
}
