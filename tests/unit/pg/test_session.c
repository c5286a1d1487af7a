/* SPDX-License-Identifier: MIT */
#include "pg/session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_leaves_something_behind(void **state) {
    const char *const sql[] = {"SET work_mem = '7MB'",
                               "  set role x",
                               ";SET work_mem = 1",
                               "/* a /* nested */ one */ SET work_mem = 1",
                               "/* a */ -- b\n SET SESSION AUTHORIZATION x",
                               "SELECT set_config('a.b', 'c', false)",
                               "SELECT pg_advisory_lock(1)",
                               "select pg_try_advisory_lock(1)",
                               "CREATE TEMP TABLE t (x int)",
                               "SELECT 1 INTO temporary t",
                               "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                               "LISTEN x",
                               "DO $$ BEGIN END $$"};
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        assert_true(session_touches(sql[i]) & SESSION_LASTS);
}

static void what_does_not(void **state) {
    const char *const sql[] = {"SELECT attempts, template FROM settings",
                               "SET LOCAL lock_timeout = 1",
                               "SET CONSTRAINTS ALL IMMEDIATE",
                               "set transaction read only",
                               "SELECT pg_advisory_xact_lock(1)",
                               "UPDATE t SET x = 1",
                               "INSERT INTO t VALUES ('documents')",
                               "",
                               "-- only a comment",
                               "/* never ends"};
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        assert_int_equal(session_touches(sql[i]) & ~SESSION_APART, 0);
}

static void what_others_in_the_transaction_would_notice(void **state) {
    const char *const apart[] = {"SET LOCAL lock_timeout = 1",
                                 "SET CONSTRAINTS ALL IMMEDIATE",
                                 "SET work_mem = 1",
                                 "NOTIFY x",
                                 "SELECT pg_notify('x', 'y')",
                                 "SELECT pg_advisory_xact_lock(1)",
                                 "SELECT txid_current()",
                                 "-- end\n COMMIT",
                                 "ROLLBACK",
                                 "DELETE FROM rbf_outbox",
                                 "CALL p()"};
    const char *const together[] = {"UPDATE t SET x = 1", "ROLLBACK TO SAVEPOINT rbf",
                                    "SAVEPOINT rbf_1", "SELECT 'starting', ending FROM commits"};
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        assert_true(session_touches(apart[i]) & SESSION_APART);
    for (size_t i = 0; i < sizeof together / sizeof *together; i++)
        assert_int_equal(session_touches(together[i]), 0);
}

static void who_runs_what_follows(void **state) {
    assert_int_equal(session_touches("SET LOCAL ROLE app"), SESSION_SCOPE | SESSION_APART);
    assert_int_equal(session_touches("SET ROLE app"),
                     SESSION_SCOPE | SESSION_LASTS | SESSION_APART);
    assert_int_equal(session_touches("SELECT role FROM users"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_leaves_something_behind),
        cmocka_unit_test(what_others_in_the_transaction_would_notice),
        cmocka_unit_test(who_runs_what_follows), cmocka_unit_test(what_does_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
