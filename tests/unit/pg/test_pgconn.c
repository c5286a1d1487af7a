/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "pgtest.h"

static struct pgconn *conn;

static int each_start(void **state) {
    conn = open_conn(server.url);
    return 0;
}

static int each_end(void **state) {
    pgconn_delete(conn);
    run_for(1);
    return 0;
}

static void reopen(void) {
    pgconn_delete(conn);
    conn = open_conn(server.url);
}

static void assert_failed(const struct landed_result *r, const char *sqlstate) {
    assert_int_equal(r->status, PGRES_FAILED);
    assert_string_equal(r->err.sqlstate, sqlstate);
    assert_int_equal(r->err.kind, ERR_PG);
}

/* ---- plain flights ---- */

static void session_has_our_defaults(void **state) {
    assert_string_equal(ask(conn, "SHOW enable_seqscan")->value, "off");
    assert_string_equal(ask(conn, "SHOW jit")->value, "off");
    assert_string_equal(ask(conn, "SHOW statement_timeout")->value, "25s");
    assert_string_equal(ask(conn, "SHOW lock_timeout")->value, "20s");
    assert_string_equal(ask(conn, "SHOW idle_in_transaction_session_timeout")->value, "27s");
    assert_string_equal(ask(conn, "SHOW application_name")->value, "rbf");
    assert_string_equal(ask(conn, "SHOW client_encoding")->value, "UTF8");
    assert_string_equal(ask(conn, "SHOW TimeZone")->value, "UTC");
    char pid[16];
    snprintf(pid, sizeof pid, "%d", pgconn_backend_pid(conn));
    assert_string_equal(ask(conn, "SELECT pg_backend_pid()")->value, pid);
}

static void options_of_the_url_win(void **state) {
    char url[300];
    snprintf(url, sizeof url,
             "%s&application_name=mine&options=-c%%20enable_seqscan%%3Don%%20-c%%20work_mem%%3D7MB",
             server.url);
    struct pgconn *c = open_conn(url);
    assert_string_equal(ask(c, "SHOW enable_seqscan")->value, "on");
    assert_string_equal(ask(c, "SHOW work_mem")->value, "7MB");
    assert_string_equal(ask(c, "SHOW lock_timeout")->value, "20s");
    assert_string_equal(ask(c, "SHOW application_name")->value, "mine");
    pgconn_delete(c);
}

static void values_and_params(void **state) {
    const char *params[] = {"41", NULL, ""};
    pgconn_add(conn, "SELECT $1::int + 1, $2::text, $3::text", 3, params, 0);
    pgconn_add(conn, "SELECT $2::text", 2, params, 0);
    pgconn_add(conn, "SELECT length($3::text), $1::int, $2::int", 3, params, PGADD_ONCE);
    struct landed *l = fly(conn);
    assert_int_equal(l->n, 3);
    assert_string_equal(l->r[0].value, "42");
    assert_failed(&l->r[1], "42P18"); /* $1 has no type */
    assert_int_equal(l->r[2].status, PGRES_SKIPPED);
    pgconn_add(conn, "SELECT $1::text", 1, params + 1, 0);
    assert_string_equal(fly(conn)->r[0].value, "(null)");
}

static unsigned described[4];

static void on_described(struct pgconn *c, const struct pgflight *f, void *arg) {
    const struct pgres *r = f->res[f->n - 1];
    assert_int_equal(pgres_status(r), PGRES_DONE);
    for (int i = 0; i < pgres_params(r) && i < 4; i++)
        described[i] = pgres_param_oid(r, i);
    *(bool *)arg = true;
}

static void describe(const char *sql, int flags) {
    bool done = false;
    memset(described, 0, sizeof described);
    pgconn_add(conn, sql, 0, NULL, PGADD_DESCRIBE | flags);
    pgconn_send(conn, on_described, &done);
    assert_true(run_until(&done, 20000));
}

static void types_of_parameters(void **state) {
    const char *sql = "INSERT INTO typed VALUES ($1, $2), ($3, DEFAULT)",
               *params[] = {"{}", "x", NULL};
    int n;
    ask(conn, "CREATE TABLE typed (a int[], b bytea)");
    assert_null(pgconn_param_types(conn, sql, &n));
    describe(sql, 0);
    assert_int_equal(described[0], 1007);
    assert_int_equal(described[1], 17);
    assert_int_equal(described[2], 1007);
    assert_string_equal(ask(conn, "SELECT count(*) FROM typed")->value, "0"); /* it was not run */
    const unsigned *types = pgconn_param_types(conn, sql, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(types, described, 3 * sizeof *types);
    pgconn_add(conn, sql, 3, params, 0);
    assert_int_equal(fly(conn)->r[0].affected, 2);
    describe("SELECT $1::uuid[]", PGADD_ONCE); /* nothing is kept of it */
    assert_int_equal(described[0], 2951);
    assert_null(pgconn_param_types(conn, "SELECT $1::uuid[]", &n));
    describe("SELECT 1", 0);
    assert_non_null(pgconn_param_types(conn, "SELECT 1", &n));
    assert_int_equal(n, 0);
    pgconn_add(conn, "SELECT $1::nonsense", 0, NULL, PGADD_DESCRIBE);
    pgconn_add(conn, "SELECT $1::int", 0, NULL, PGADD_DESCRIBE);
    struct landed *l = fly(conn);
    assert_failed(&l->r[0], "42704");
    assert_int_equal(l->r[1].status, PGRES_SKIPPED);
    assert_null(pgconn_param_types(conn, "SELECT $1::int", &n));
    describe("SELECT $1::int", 0);
    assert_int_equal(described[0], 23);
    ask(conn, "DROP TABLE typed");
}

/* A prepared statement keeps the types its parameters had: after the column's has changed it could
 * not be used on this connection ever again. */
static void a_column_of_another_type(void **state) {
    const char *sql = "INSERT INTO altered VALUES ($1)", *params[] = {"7"};
    int n;
    ask(conn, "CREATE TABLE altered (a text)");
    describe(sql, 0);
    ask(conn, "ALTER TABLE altered ALTER a TYPE int USING a::int");
    pgconn_add(conn, sql, 1, params, 0);
    assert_failed(&fly(conn)->r[0], "42804");
    assert_null(pgconn_param_types(conn, sql, &n));
    pgconn_add(conn, sql, 1, params, 0);
    assert_int_equal(fly(conn)->r[0].affected, 1);
    describe(sql, 0);
    assert_int_equal(described[0], 23);
    ask(conn, "DROP TABLE altered");
}

static int columns_seen;

static void on_columns(struct pgconn *c, const struct pgflight *f, void *arg) {
    const struct pgres *r = f->res[0];
    size_t len = 99;
    assert_int_equal(pgres_cols(r), 2);
    assert_string_equal(pgres_col_name(r, 1), "b");
    assert_int_equal(pgres_col_oid(r, 0), 23);
    assert_null(pgres_value(r, 0, 0, &len));
    assert_int_equal(len, 0);
    assert_string_equal(pgres_value(r, 0, 1, &len), "two");
    assert_int_equal(len, 3);
    assert_null(pgres_err(r));
    columns_seen++;
    *(bool *)arg = true;
}

static void columns(void **state) {
    bool done = false;
    pgconn_add(conn, "SELECT NULL::int AS a, 'two' AS b", 0, NULL, 0);
    pgconn_send(conn, on_columns, &done);
    assert_true(pgconn_busy(conn));
    assert_true(run_until(&done, 5000));
    assert_int_equal(columns_seen, 1);
    assert_false(pgconn_busy(conn));
}

static void a_flight_of_syncs_only(void **state) {
    pgconn_sync(conn);
    pgconn_sync(conn);
    assert_int_equal(fly(conn)->n, 0);
    assert_int_equal(fly(conn)->n, 0); /* nothing at all */
    assert_string_equal(ask(conn, "SELECT 1")->value, "1");
}

static void an_empty_statement_and_a_syntax_error(void **state) {
    pgconn_add(conn, "", 0, NULL, 0);
    pgconn_add(conn, "SELEC 1", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_int_equal(l->r[0].status, PGRES_DONE);
    assert_failed(&l->r[1], "42601");
    assert_failed(ask(conn, "SELEC 1"), "42601");
    assert_failed(ask(conn, "SELECT 1; SELECT 2"), "42601");
    assert_string_equal(ask(conn, "SELECT 1")->value, "1");
}

static void several_syncs_dedup_and_begin(void **state) {
    ask(conn, "BEGIN");
    assert_int_equal(pgconn_tx(conn), PGTX_OPEN);
    pgconn_add(conn, "ROLLBACK", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "SELECT 'dedup'", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "BEGIN ISOLATION LEVEL SERIALIZABLE", 0, NULL, 0);
    pgconn_add(conn, "SHOW transaction_isolation", 0, NULL, 0);
    pgconn_sync(conn);
    struct landed *l = fly(conn);
    assert_int_equal(l->n, 4);
    assert_string_equal(l->r[1].value, "dedup");
    assert_string_equal(l->r[3].value, "serializable");
    assert_int_equal(pgconn_tx(conn), PGTX_OPEN);
    assert_true(ask(conn, "COMMIT")->committed);
    assert_int_equal(pgconn_tx(conn), PGTX_IDLE);
}

static void many_statements(void **state) {
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d", i);
            const char *params[] = {text};
            pgconn_add(conn, "SELECT $1::int", 1, params, 0);
            if (i % 7 == 0)
                pgconn_sync(conn);
        }
        struct landed *l = fly(conn);
        assert_int_equal(l->n, 1000);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(atoi(l->r[i].value), i);
    }
}

/* More than any socket buffer holds, both ways at once. */
static void large_texts_both_ways(void **state) {
    size_t size = 8 << 20;
    char *text = xmalloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    const char *params[] = {text};
    for (int i = 0; i < 4; i++)
        pgconn_add(conn, "SELECT $1::text", 1, params, 0);
    pgconn_add(conn, "SELECT 'end'", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_int_equal(l->lost.kind, ERR_NONE);
    assert_int_equal(strlen(l->r[3].value), 99);
    assert_string_equal(l->r[4].value, "end");
    free(text);
}

/* ---- errors and transactions ---- */

static void failing_insert_then_skipped(void **state) {
    ask(conn, "CREATE TABLE IF NOT EXISTS k (id int CONSTRAINT k_key PRIMARY KEY)");
    ask(conn, "DELETE FROM k");
    assert_int_equal(ask(conn, "INSERT INTO k VALUES (1), (2)")->affected, 2);
    ask(conn, "BEGIN");
    pgconn_add(conn, "INSERT INTO k VALUES (1)", 0, NULL, 0);
    pgconn_add(conn, "INSERT INTO k VALUES (3)", 0, NULL, 0);
    pgconn_add(conn, "COMMIT", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_failed(&l->r[0], "23505");
    assert_string_equal(l->r[0].constraint, "k_key");
    assert_string_equal(l->r[0].err.msg, "duplicate key value violates unique constraint \"k_key\" "
                                         "(Key (id)=(1) already exists.)");
    assert_int_equal(l->r[1].status, PGRES_SKIPPED);
    assert_int_equal(l->r[2].status, PGRES_SKIPPED);
    assert_false(l->r[2].committed);
    assert_int_equal(pgconn_tx(conn), PGTX_FAILED);
    assert_failed(ask(conn, "SELECT 77"), "25P02"); /* the Prepare fails */
    struct landed_result *r = ask(conn, "ROLLBACK");
    assert_int_equal(r->status, PGRES_DONE);
    assert_false(r->committed);
    assert_int_equal(pgconn_tx(conn), PGTX_IDLE);
    assert_string_equal(ask(conn, "SELECT 77")->value, "77");
    assert_string_equal(ask(conn, "SELECT count(*) FROM k")->value, "2");
}

static void commit_of_a_failed_transaction(void **state) {
    ask(conn, "BEGIN");
    pgconn_add(conn, "SELECT 1/0", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "COMMIT", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_failed(&l->r[0], "22012");
    assert_int_equal(l->r[1].status, PGRES_DONE);
    assert_false(l->r[1].committed);
    assert_int_equal(pgconn_tx(conn), PGTX_IDLE);
}

/* ---- prepared statements ---- */

static const char *prepared(void) {
    pgconn_add(conn, "SELECT count(*) FROM pg_prepared_statements", 0, NULL, PGADD_ONCE);
    return fly(conn)->r[0].value;
}

static void prepared_once_and_kept_over_rollback(void **state) {
    ask(conn, "BEGIN");
    ask(conn, "SELECT 10");
    ask(conn, "ROLLBACK");
    assert_string_equal(prepared(), "3");
    ask(conn, "BEGIN");
    assert_string_equal(ask(conn, "SELECT 10")->value, "10");
    ask(conn, "ROLLBACK");
    assert_string_equal(prepared(), "3");
    pgconn_add(conn, "SELECT 11", 0, NULL, 0);
    pgconn_add(conn, "SELECT 11", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "SELECT 11", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_string_equal(l->r[0].value, "11");
    assert_string_equal(l->r[1].value, "11");
    assert_string_equal(l->r[2].value, "11");
    assert_string_equal(prepared(), "4");
}

/* How the server's plan of the statement begins. */
static const char *plan_of_lookup(void) {
    const char *const address[] = {"x"};
    pgconn_add(conn, "SELECT 1 FROM early WHERE email = $1", 1, address, 0);
    assert_int_equal(fly(conn)->r[0].err.kind, ERR_NONE);
    char sql[200];
    const struct landed_result *r =
        ask(conn,
            "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT 1 FROM early%'");
    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE %s('x')", r->value);
    pgconn_add(conn, sql, 0, NULL, PGADD_ONCE);
    return fly(conn)->r[0].value;
}

/* A plan that was right once, as on an empty table: here it is the settings that change. */
static void early_plans_do_not_last(void **state) {
    ask(conn, "CREATE TABLE early (email TEXT UNIQUE)");
    ask(conn, "SET plan_cache_mode = force_generic_plan");
    ask(conn, "SET enable_seqscan = on");
    ask(conn, "SET enable_indexonlyscan = off");
    ask(conn, "SET enable_indexscan = off");
    ask(conn, "SET enable_bitmapscan = off");
    assert_non_null(strstr(plan_of_lookup(), "Seq Scan"));
    ask(conn, "SET enable_seqscan = off");
    ask(conn, "SET enable_indexonlyscan = on");
    const char *plan = "";
    for (uint64_t end = clock_mono_ms() + 10000; clock_mono_ms() < end && !strstr(plan, "Index");)
        plan = plan_of_lookup();
    assert_non_null(strstr(plan, "Index Only Scan"));
    ask(conn, "DROP TABLE early");
}

/* Its Prepare is skipped in the first part; the second part must not rely on it. */
static void a_skipped_prepare_is_done_later(void **state) {
    pgconn_add(conn, "SELECT 1/0", 0, NULL, 0);
    pgconn_add(conn, "SELECT 20", 0, NULL, 0);
    pgconn_sync(conn);
    pgconn_add(conn, "SELECT 20", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_failed(&l->r[0], "22012");
    assert_int_equal(l->r[1].status, PGRES_SKIPPED);
    assert_string_equal(l->r[2].value, "20");
    assert_string_equal(prepared(), "1");
    assert_string_equal(ask(conn, "SELECT 20")->value, "20");
    assert_string_equal(prepared(), "2");
}

static void a_changed_result_type_is_recovered(void **state) {
    ask(conn, "DROP TABLE IF EXISTS shape");
    ask(conn, "CREATE TABLE shape (a int)");
    ask(conn, "INSERT INTO shape VALUES (5)");
    assert_string_equal(ask(conn, "SELECT * FROM shape")->value, "5");
    pgserver_sql(&server, "ALTER TABLE shape ADD b int");
    for (int i = 0; i < 2; i++) { /* twice in one flight: forgotten once */
        pgconn_add(conn, "SELECT * FROM shape", 0, NULL, 0);
        pgconn_sync(conn);
    }
    struct landed *l = fly(conn);
    assert_failed(&l->r[0], "0A000");
    assert_failed(&l->r[1], "0A000");
    assert_string_equal(ask(conn, "SELECT * FROM shape")->value, "5");
}

static void deallocate_all_is_recovered(void **state) {
    assert_string_equal(ask(conn, "SELECT 30")->value, "30");
    pgconn_add(conn, "DEALLOCATE ALL", 0, NULL, PGADD_ONCE);
    fly(conn);
    assert_failed(ask(conn, "SELECT 30"), "26000");
    assert_string_equal(ask(conn, "SELECT 30")->value, "30");
    assert_string_equal(prepared(), "1");
}

static void use_statements(int from, int to) {
    for (int i = from; i < to; i++) {
        char sql[32];
        snprintf(sql, sizeof sql, "SELECT %d", i);
        assert_int_equal(atoi(ask(conn, sql)->value), i);
    }
}

static void the_least_recently_used_is_deallocated(void **state) {
    use_statements(1000, 1256);
    assert_string_equal(prepared(), "256");
    use_statements(1000, 1001);
    use_statements(2000, 2010); /* 1001 to 1010 go, 1000 stays */
    assert_string_equal(prepared(), "256");
    pgconn_add(conn,
               "SELECT string_agg(statement, ',') FROM pg_prepared_statements "
               "WHERE statement IN ('SELECT 1000', 'SELECT 1001', 'SELECT 1010')",
               0, NULL, PGADD_ONCE);
    assert_string_equal(fly(conn)->r[0].value, "SELECT 1000");
    ask(conn, "BEGIN");
    use_statements(3000, 3005); /* within a transaction none is deallocated */
    ask(conn, "COMMIT");
    assert_string_equal(prepared(), "256");
}

static void more_statements_than_the_cache_holds(void **state) {
    for (int i = 0; i < 300; i++) {
        char sql[32];
        snprintf(sql, sizeof sql, "SELECT %d", i);
        pgconn_add(conn, sql, 0, NULL, 0);
    }
    struct landed *l = fly(conn);
    for (int i = 0; i < 300; i++)
        assert_int_equal(atoi(l->r[i].value), i);
    assert_string_equal(prepared(), "256");
}

/* ---- losing the connection ---- */

static void copy_ends_the_connection(void **state) {
    const char *copies[] = {"COPY (SELECT 1) TO STDOUT", "COPY k FROM STDIN"};
    ask(conn, "CREATE TABLE IF NOT EXISTS k (id int CONSTRAINT k_key PRIMARY KEY)");
    for (int i = 0; i < 2; i++) {
        pgconn_add(conn, "SELECT 1", 0, NULL, 0);
        pgconn_add(conn, copies[i], 0, NULL, 0);
        pgconn_add(conn, "SELECT 2", 0, NULL, 0);
        struct landed *l = fly(conn);
        assert_int_equal(l->lost.kind, ERR_INVALID);
        assert_non_null(strstr(l->lost.msg, "COPY"));
        assert_true(pgconn_dead(conn));
        reopen();
    }
    assert_string_equal(ask(conn, "SELECT 1")->value, "1");
}

static void on_dead(struct pgconn *c, void *arg) {
    *(bool *)arg = true;
}

static void terminated_while_idle(void **state) {
    bool dead = false;
    pgconn_on_dead(conn, on_dead, &dead);
    pgserver_sql(&server, "SELECT pg_terminate_backend(%d)", pgconn_backend_pid(conn));
    assert_true(run_until(&dead, 5000));
    assert_true(pgconn_dead(conn));
    pgconn_add(conn, "SELECT 1", 0, NULL, 0);
    struct landed *l = fly(conn); /* fails from the loop */
    assert_int_equal(l->lost.kind, ERR_PG_LOST);
    assert_string_equal(l->lost.msg, "connection to PostgreSQL lost: terminating connection due to "
                                     "administrator command");
    assert_int_equal(l->n, 1);
}

static void terminated_during_a_flight(void **state) {
    pgconn_add(conn, "SELECT 1", 0, NULL, 0);
    pgconn_add(conn, "SELECT pg_terminate_backend(pg_backend_pid())", 0, NULL, 0);
    pgconn_add(conn, "SELECT 2", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_int_equal(l->lost.kind, ERR_PG_LOST);
    assert_non_null(strstr(l->lost.msg, "administrator command"));
    assert_int_equal(l->called, 1);
    assert_int_equal(pgconn_tx(conn), PGTX_IDLE);
    run_for(20);
    assert_int_equal(l->called, 1);
}

static void terminated_but_not_noticed(void **state) {
    pgserver_sql(&server, "SELECT pg_terminate_backend(%d, 5000)", pgconn_backend_pid(conn));
    for (int i = 0; i < 100; i++)
        pgconn_add(conn, "SELECT 1", 0, NULL, 0);
    struct landed *l = fly(conn);
    assert_int_equal(l->lost.kind, ERR_PG_LOST);
    assert_int_equal(l->called, 1);
    assert_int_equal(l->n, 100);
}

/* ---- cancelling ---- */

/* Until its backend sleeps: it ignores a request that comes before it has begun. */
static void await_sleep(void) {
    const char *sleeps = "0";
    for (uint64_t end = clock_mono_ms() + 20000; *sleeps != '1' && clock_mono_ms() < end;) {
        run_for(1);
        sleeps = pgserver_sql(&server,
                              "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND "
                              "wait_event = 'PgSleep'",
                              pgconn_backend_pid(conn));
    }
    assert_string_equal(sleeps, "1");
}

static void cancel_ends_a_sleep(void **state) {
    pgconn_cancel(conn); /* idle: nothing */
    memset(&last, 0, sizeof last);
    pgconn_add(conn, "SELECT pg_sleep(60)", 0, NULL, 0);
    pgconn_add(conn, "SELECT 2", 0, NULL, 0);
    pgconn_send(conn, on_landed, &last);
    await_sleep();
    pgconn_cancel(conn);
    pgconn_cancel(conn);                       /* once is enough */
    assert_true(run_until(&last.done, 20000)); /* statement_timeout is 25 s */
    assert_failed(&last.r[0], "57014");
    assert_int_equal(last.r[1].status, PGRES_SKIPPED);
    for (int i = 0; i < 50; i++) /* the first of them waited for the request's end */
        assert_string_equal(ask(conn, "SELECT 3")->value, "3");
}

/* The flight ends while the request is on its way: it must not hit the next one. */
static void cancel_never_hits_the_next_flight(void **state) {
    for (int i = 0; i < 30; i++) {
        memset(&last, 0, sizeof last);
        pgconn_add(conn, "SELECT 1", 0, NULL, 0);
        pgconn_send(conn, on_landed, &last);
        pgconn_cancel(conn);
        assert_true(run_until(&last.done, 5000));
        struct landed_result *r = ask(conn, "SELECT pg_sleep(0.002)");
        assert_int_equal(r->status, PGRES_ROWS_);
    }
}

static void delete_while_cancelling(void **state) {
    static struct landed l;
    pgconn_add(conn, "SELECT pg_sleep(60)", 0, NULL, 0);
    pgconn_send(conn, on_landed, &l);
    await_sleep();
    int pid = pgconn_backend_pid(conn);
    pgconn_cancel(conn);
    pgconn_delete(conn);
    conn = NULL;
    const char *left = "1";
    for (uint64_t end = clock_mono_ms() + 20000; *left != '0' && clock_mono_ms() < end;) {
        run_for(10);
        left = pgserver_sql(&server, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d", pid);
    }
    assert_string_equal(left, "0"); /* statement_timeout is 25 s */
    assert_int_equal(l.called, 0);
    conn = open_conn(server.url);
}

/* ---- deleting, and flights from callbacks ---- */

static void delete_during_a_flight(void **state) {
    static struct landed l;
    pgconn_add(conn, "SELECT 1", 0, NULL, 0);
    pgconn_send(conn, on_landed, &l);
    pgconn_add(conn, "SELECT 2", 0, NULL, 0); /* collected, never sent */
    pgconn_delete(conn);
    run_for(50);
    assert_int_equal(l.called, 0);
    conn = open_conn(server.url);
}

static void on_delete(struct pgconn *c, const struct pgflight *f, void *arg) {
    pgconn_delete(c);
    assert_string_equal(pgres_value(f->res[0], 0, 0, NULL), "1"); /* still there */
    *(bool *)arg = true;
}

static void delete_from_the_callback(void **state) {
    bool done = false;
    pgconn_add(conn, "SELECT 1", 0, NULL, 0);
    pgconn_send(conn, on_delete, &done);
    assert_true(run_until(&done, 5000));
    conn = open_conn(server.url);
}

struct chain {
    int left;
    bool done;
};

static void on_chain(struct pgconn *c, const struct pgflight *f, void *arg) {
    struct chain *chain = arg;
    assert_null(f->lost);
    assert_string_equal(pgres_value(f->res[0], 0, 0, NULL), "40");
    if (--chain->left == 0) {
        chain->done = true;
        return;
    }
    pgconn_add(c, "SELECT 40", 0, NULL, 0);
    pgconn_send(c, on_chain, chain);
    assert_string_equal(pgres_value(f->res[0], 0, 0, NULL), "40"); /* ours until we return */
}

static void flights_from_callbacks(void **state) {
    struct chain chain = {.left = 500};
    pgconn_add(conn, "SELECT 40", 0, NULL, 0);
    pgconn_send(conn, on_chain, &chain);
    assert_true(run_until(&chain.done, 10000));
}

/* ---- connecting ---- */

static void assert_refused(const char *url, int timeout_ms, enum err_kind kind, const char *part) {
    struct opened o = {0};
    struct pgconn *c = pgconn_new(&loop, url, timeout_ms, on_opened, &o);
    assert_false(o.done);
    assert_true(run_until(&o.done, 6000));
    assert_int_equal(o.called, 1);
    assert_int_equal(o.err.kind, kind);
    if (!strstr(o.err.msg, part))
        fail_msg("\"%s\" not in \"%s\"", part, o.err.msg);
    assert_null(strchr(o.err.msg, '\n'));
    assert_true(pgconn_dead(c));
    pgconn_delete(c);
    run_for(1);
}

static void refusals_name_a_cure(void **state) {
    assert_refused("postgresql://127.0.0.1:1/x", 3000, ERR_PG_LOST,
                   "`rbf dev` starts a private one");
    assert_refused("postgresql:///x?host=/nonexistent", 3000, ERR_PG_LOST,
                   "No such file or directory: is PostgreSQL running there?");
    char url[200];
    snprintf(url, sizeof url, "postgresql:///nope?host=%s&user=postgres", server.dir);
    assert_refused(url, 3000, ERR_PG_LOST, "database \"nope\" does not exist: create it");
    snprintf(url, sizeof url, "postgresql:///postgres?host=%s&user=nobody_here", server.dir);
    assert_refused(url, 3000, ERR_PG_LOST, "role \"nobody_here\" does not exist");
}

static void bad_urls_do_not_show_the_password(void **state) {
    const char *bad[] = {"postgresql://me:secret@[::1/x", "postgresql://me:sec/ret@host/x",
                         "postgresql://me:secret@host/x?nonsense=1", "secret", "host=x secret"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct opened o = {0};
        struct pgconn *c = pgconn_new(&loop, bad[i], 1000, on_opened, &o);
        assert_true(run_until(&o.done, 3000));
        assert_int_equal(o.err.kind, ERR_CONFIG);
        assert_null(strstr(o.err.msg, "secret@"));
        assert_null(strstr(o.err.msg, "\"sec\""));
        pgconn_delete(c);
    }
}

static void on_connection(uv_stream_t *s, int status) {
    /* not even accepted */
}

/* A listener that never answers. */
static void connect_timeout(void **state) {
    char dir[] = "/tmp/rbfpgt.XXXXXX", path[64], url[128];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", dir);
    uv_pipe_t silent;
    uv_pipe_init(&loop, &silent, 0);
    assert_int_equal(uv_pipe_bind(&silent, path), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&silent, 5, on_connection), 0);
    snprintf(url, sizeof url, "postgresql:///x?host=%s", dir);
    assert_refused(url, 150, ERR_PG_LOST, "no answer from PostgreSQL");
    struct opened o = {0};
    pgconn_delete(pgconn_new(&loop, url, 1000, on_opened, &o)); /* while connecting */
    run_for(50);
    assert_int_equal(o.called, 0);
    uv_close((uv_handle_t *)&silent, NULL);
    run_for(1);
    unlink(path);
    rmdir(dir);
}

/* The first host is down: the next one is taken. */
static void the_next_host_is_tried(void **state) {
    char url[256];
    snprintf(url, sizeof url,
             "postgresql:///postgres?host=/nonexistent,127.0.0.1,%s&port=5432,1,5432&user=postgres"
             "&target_session_attrs=read-write",
             server.dir);
    struct pgconn *c = open_conn(url);
    assert_string_equal(ask(c, "SELECT 1")->value, "1");
    pgconn_delete(c);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, each_start, each_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(session_has_our_defaults),
        EACH(options_of_the_url_win),
        EACH(values_and_params),
        EACH(types_of_parameters),
        EACH(a_column_of_another_type),
        EACH(columns),
        EACH(a_flight_of_syncs_only),
        EACH(an_empty_statement_and_a_syntax_error),
        EACH(several_syncs_dedup_and_begin),
        EACH(many_statements),
        EACH(large_texts_both_ways),
        EACH(failing_insert_then_skipped),
        EACH(commit_of_a_failed_transaction),
        EACH(prepared_once_and_kept_over_rollback),
        EACH(early_plans_do_not_last),
        EACH(a_skipped_prepare_is_done_later),
        EACH(a_changed_result_type_is_recovered),
        EACH(deallocate_all_is_recovered),
        EACH(the_least_recently_used_is_deallocated),
        EACH(more_statements_than_the_cache_holds),
        EACH(copy_ends_the_connection),
        EACH(terminated_while_idle),
        EACH(terminated_during_a_flight),
        EACH(terminated_but_not_noticed),
        EACH(cancel_ends_a_sleep),
        EACH(cancel_never_hits_the_next_flight),
        EACH(delete_while_cancelling),
        EACH(delete_during_a_flight),
        EACH(delete_from_the_callback),
        EACH(flights_from_callbacks),
        cmocka_unit_test(refusals_name_a_cure),
        cmocka_unit_test(bad_urls_do_not_show_the_password),
        cmocka_unit_test(connect_timeout),
        cmocka_unit_test(the_next_host_is_tried),
    };
    return cmocka_run_group_tests_name("pgconn", tests, start_server, stop_server);
}
