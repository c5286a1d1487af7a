/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "pg/migrate.h"
#include "pgserver.h"
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct pgserver server;
static char dir[64];
static struct err err;
static int applied;

static int start(void **state) {
    alarm(120);
    log_set_level(LOG_WARN);
    pgserver_start(&server);
    return 0;
}

static int stop(void **state) {
    pgserver_stop(&server);
    return 0;
}

static int each_start(void **state) {
    strcpy(dir, "/tmp/rbfmig.XXXXXX");
    pgserver_sql(&server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    err_clear(&err);
    return mkdtemp(dir) ? 0 : -1;
}

static int each_end(void **state) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void put(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_file(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static int apply(void) {
    return migrate_apply(server.url, "app", dir, NULL, &applied, &err);
}

static void assert_message(const char *part) {
    if (!strstr(err.msg, part))
        fail_msg("\"%s\" not in \"%s\"", part, err.msg);
    assert_null(strchr(err.msg, '\n'));
}

static void each_file_is_applied_once(void **state) {
    put("002_more.sql", "INSERT INTO a VALUES (2);");
    put("001_first.sql", "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);");
    put("notes.txt", "no SQL");
    assert_int_equal(apply(), 0);
    assert_int_equal(applied, 2);
    assert_int_equal(apply(), 0);
    assert_int_equal(applied, 0);
    put("010_ten.sql", "INSERT INTO a SELECT max(x) * 10 FROM a;");
    put("9_nine.sql", "INSERT INTO a VALUES (9)"); /* before 010 */
    assert_int_equal(apply(), 0);
    assert_int_equal(applied, 2);
    assert_string_equal(pgserver_sql(&server, "SELECT string_agg(x::text, ',') FROM a"),
                        "1,2,9,90");
    assert_string_equal(pgserver_sql(&server, "SELECT count(*) FROM rbf_migrations "
                                              "WHERE owner = 'app' AND applied_at > 1.7e12"),
                        "4");
}

static void owners_are_apart(void **state) {
    put("001_a.sql", "CREATE TABLE IF NOT EXISTS a (x int);");
    assert_int_equal(apply(), 0);
    assert_int_equal(migrate_apply(server.url, "rbf", dir, NULL, &applied, &err), 0);
    assert_int_equal(applied, 1);
}

static void a_missing_folder_and_an_empty_file(void **state) {
    assert_int_equal(migrate_apply(server.url, "app", "/nonexistent/x", NULL, &applied, &err), 0);
    assert_int_equal(applied, 0);
    assert_int_equal(apply(), 0);
    put("001_empty.sql", "");
    put("002_comment.sql", "-- nothing\n");
    assert_int_equal(apply(), 0);
    assert_int_equal(applied, 2);
}

static void a_changed_file_is_refused(void **state) {
    put("001_a.sql", "CREATE TABLE a (x int);");
    assert_int_equal(apply(), 0);
    put("001_a.sql", "CREATE TABLE a (x int, y int);");
    put("002_b.sql", "CREATE TABLE b (x int);");
    assert_int_equal(apply(), -1);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_message("001_a.sql was changed after it was applied");
    assert_message("add a new file");
    assert_string_equal(pgserver_sql(&server, "SELECT to_regclass('b') IS NULL"), "t");
}

static void fails_at(const char *text, int line, const char *message) {
    char place[64];
    put("002_bad.sql", text);
    assert_int_equal(apply(), -1);
    snprintf(place, sizeof place, "002_bad.sql:%d: ", line);
    assert_message(place);
    assert_message(message);
    assert_int_equal(pgserver_sql(&server, "SELECT to_regclass('half') IS NULL")[0], 't');
}

static void a_failure_names_the_line(void **state) {
    put("001_a.sql", "CREATE TABLE a (x int PRIMARY KEY);");
    put("003_after.sql", "CREATE TABLE after_it (x int);");
    fails_at("CREATE TABLE half (x int);\n\nSELEC 1;\n", 3, "syntax error at or near \"SELEC\"");
    assert_string_equal(err.sqlstate, "42601");
    fails_at(
        "CREATE TABLE half (x int);\n-- h\303\251h\303\251h\303\251\nSELECT 1 FROM\n  nowhere;", 4,
        "relation \"nowhere\" does not exist");
    fails_at("CREATE TABLE half (x int);\n\n-- again;\nCREATE TABLE a (x int);", 4,
             "relation \"a\" already exists [42P07, database postgres at /tmp/rbfpg.");
    fails_at("INSERT INTO a VALUES (1);\nINSERT INTO a\nVALUES (1);", 2, "Key (x)=(1) already");
    fails_at("CREATE TABLE half (x int);\nSELECT count(*)\nFROM a\nWHERE x = 'b';", 4,
             "invalid input");
    fails_at("CREATE TABLE half (x int);\nCOPY half FROM STDIN;\n1\n\\.\n", 3, "syntax error");
    fails_at("CREATE TABLE half (x int);\nCOPY half FROM STDIN;\n", 2, "COPY FROM STDIN");
    assert_string_equal(pgserver_sql(&server, "SELECT to_regclass('after_it') IS NULL"), "t");
    put("002_bad.sql", "SELECT 1;");
    assert_int_equal(apply(), 0); /* cured: the rest follows */
    assert_int_equal(applied, 2);
}

static void a_deferred_constraint_fails_at_commit(void **state) {
    put("001_a.sql",
        "CREATE TABLE a (x int PRIMARY KEY, y int REFERENCES a INITIALLY DEFERRED);\n");
    put("002_b.sql", "INSERT INTO a VALUES (1, 2);");
    assert_int_equal(apply(), -1);
    assert_string_equal(err.sqlstate, "23503");
    assert_message("002_b.sql");
    assert_int_equal(applied, 1);
}

static void a_file_and_its_record_are_one_transaction(void **state) {
    put("001_a.sql", "CREATE TABLE a (x int);"
                     "INSERT INTO rbf_migrations VALUES ('app', '001_a.sql', 'x', 1);");
    assert_int_equal(apply(), -1);
    assert_string_equal(err.sqlstate, "23505");
    assert_string_equal(pgserver_sql(&server, "SELECT to_regclass('a') IS NULL"), "t");
}

static void a_name_without_number_is_refused(void **state) {
    put("users.sql", "SELECT 1;");
    assert_int_equal(apply(), -1);
    assert_message("like 001_users.sql");
}

static void no_time_limits_for_migrations(void **state) {
    put("001_t.sql", "CREATE TABLE t AS SELECT current_setting('statement_timeout') AS v;");
    assert_int_equal(apply(), 0);
    assert_string_equal(pgserver_sql(&server, "SELECT v FROM t"), "0");
}

/* Two hosts that start at once. */
static void appliers_wait_for_each_other(void **state) {
    put("001_slow.sql", "SELECT pg_sleep(0.2); CREATE TABLE a (x int);");
    pid_t twin = fork();
    if (twin == 0)
        _exit(apply() == 0 ? applied : 9);
    int rc = apply(), mine = applied, status;
    assert_int_equal(waitpid(twin, &status, 0), twin);
    assert_int_equal(rc, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status) + mine, 1);
}

static void check_names_the_cure(void **state) {
    put("001_a.sql", "CREATE TABLE a (x int);");
    assert_int_equal(migrate_check(server.url, dir, &err), -1);
    assert_message("missing in database postgres: run `rbf db:migrate`");
    assert_int_equal(apply(), 0); /* under another owner: does not count */
    assert_int_equal(migrate_check(server.url, dir, &err), -1);
    pgserver_sql(&server, "DROP TABLE a");
    assert_int_equal(migrate_apply(server.url, "rbf", dir, NULL, &applied, &err), 0);
    assert_int_equal(migrate_check(server.url, dir, &err), 0);
    put("002_b.sql", "SELECT 1;");
    assert_int_equal(migrate_check(server.url, dir, &err), -1);
    assert_message("002_b.sql is not applied): run `rbf db:migrate`");
    remove_file("001_a.sql");
    remove_file("002_b.sql");
    assert_int_equal(migrate_check(server.url, dir, &err), -1);
    assert_message("no .sql files");
    put("001_a.sql", "");
    assert_int_equal(migrate_check("postgresql://127.0.0.1:1/x", dir, &err), -1);
    assert_int_equal(err.kind, ERR_PG_LOST);
    assert_message("is PostgreSQL running there?");
}

static void print_gives_all_files(void **state) {
    struct buf out = {0};
    put("001_a.sql", "SELECT 1;");
    put("002_b.sql", "SELECT 2;\n");
    assert_int_equal(migrate_print(dir, &out, &err), 0);
    char want[256];
    snprintf(want, sizeof want, "-- %s/001_a.sql\nSELECT 1;\n-- %s/002_b.sql\nSELECT 2;\n", dir,
             dir);
    assert_string_equal(out.p, want);
    buf_free(&out);
}

static void the_hosts_own_tables(void **state) {
    assert_int_equal(migrate_apply(server.url, "rbf", RBF_SHARE "/sql", NULL, &applied, &err), 0);
    assert_true(applied > 0);
    assert_int_equal(migrate_check(server.url, RBF_SHARE "/sql", &err), 0);
    assert_string_equal(pgserver_sql(&server, "SELECT count(*) FROM rbf_outbox"), "0");
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, each_start, each_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        EACH(each_file_is_applied_once),
        EACH(owners_are_apart),
        EACH(a_missing_folder_and_an_empty_file),
        EACH(a_changed_file_is_refused),
        EACH(a_failure_names_the_line),
        EACH(a_deferred_constraint_fails_at_commit),
        EACH(a_file_and_its_record_are_one_transaction),
        EACH(a_name_without_number_is_refused),
        EACH(no_time_limits_for_migrations),
        EACH(appliers_wait_for_each_other),
        EACH(check_names_the_cure),
        EACH(print_gives_all_files),
        EACH(the_hosts_own_tables),
    };
    return cmocka_run_group_tests_name("migrate", tests, start, stop);
}
