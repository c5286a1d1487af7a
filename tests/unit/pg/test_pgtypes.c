/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "pg/pgtypes.h"
#include "pg/sqltext.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_kind(unsigned oid, enum pgkind kind, bool array) {
    bool is_array = !array;
    assert_int_equal(pgtype_kind(oid, &is_array), kind);
    assert_int_equal(is_array, array);
}

static void kinds(void **state) {
    const unsigned ints[] = {20, 21, 23, 26}, int_arrays[] = {1016, 1005, 1007};
    const unsigned texts[] = {25, 1043, 1042, 2950, 1184, 1114, 1082, 1700, 600, 99999};
    const unsigned text_arrays[] = {1009, 1015, 2951, 1185, 1115, 1182, 1231};
    for (int i = 0; i < 4; i++)
        assert_kind(ints[i], PGKIND_INT, false);
    for (int i = 0; i < 3; i++)
        assert_kind(int_arrays[i], PGKIND_INT, true);
    for (int i = 0; i < 10; i++)
        assert_kind(texts[i], PGKIND_TEXT, false);
    for (int i = 0; i < 7; i++)
        assert_kind(text_arrays[i], PGKIND_TEXT, true);
    assert_kind(16, PGKIND_BOOL, false);
    assert_kind(1000, PGKIND_BOOL, true);
    assert_kind(700, PGKIND_FLOAT, false);
    assert_kind(1021, PGKIND_FLOAT, true);
    assert_kind(701, PGKIND_FLOAT, false);
    assert_kind(1022, PGKIND_FLOAT, true);
    assert_kind(114, PGKIND_JSON, false);
    assert_kind(199, PGKIND_JSON, true);
    assert_kind(3802, PGKIND_JSON, false);
    assert_kind(3807, PGKIND_JSON, true);
    assert_kind(17, PGKIND_BYTEA, false);
    assert_kind(1001, PGKIND_BYTEA, true);
}

static int items_left;

static int put_open(void *arg) {
    buf_puts(arg, "(");
    return 0;
}

static int put_close(void *arg) {
    buf_puts(arg, ")");
    return 0;
}

static int put_item(const char *text, size_t len, void *arg) {
    if (text)
        assert_int_equal(strlen(text), len);
    buf_printf(arg, "<%s>", text ? text : "-");
    return --items_left == 0;
}

static char walked[512];

static int walk(const char *text, struct err *err) {
    struct buf out = {0};
    const struct pgarray_visitor v = {put_open, put_item, put_close, &out};
    int rc = pgarray_walk(text, &v, err);
    strcpy(walked, out.p ? out.p : "");
    buf_free(&out);
    return rc;
}

static void arrays(void **state) {
    const char *good[][2] = {
        {"{}", "()"},
        {"{1,NULL,\"a b\"}", "(<1><-><a b>)"},
        {"{{1,2},{3,4}}", "((<1><2>)(<3><4>))"},
        {"[0:1]={a,b}", "(<a><b>)"},
        {"[-1:0][2:2]={{a},{b}}", "((<a>)(<b>))"},
        {"{\"\",\"NULL\",null}", "(<><NULL><->)"},
        {"{\"a\\\"b\",\"c\\\\d\",\"{x,y}\"}", "(<a\"b><c\\d><{x,y}>)"},
        {"{h\303\251,t,f}", "(<h\303\251><t><f>)"},
    };
    items_left = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(walk(good[i][0], NULL), 0);
        assert_string_equal(walked, good[i][1]);
    }
}

static void no_arrays(void **state) {
    const char *bad[] = {"",
                         "x",
                         "1,2",
                         "{",
                         "}",
                         "{1",
                         "{1,",
                         "{1,}",
                         "{,}",
                         "{,1}",
                         "{}}",
                         "{1}x",
                         "{\"a}",
                         "{\"a\\",
                         "{1 2",
                         "[0:1]",
                         "[",
                         "{\"a",
                         "{{}",
                         "{1}{",
                         "{a\"b\"}",
                         "{\"a\"b}",
                         "{{{{{{{1}}}}}}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        if (walk(bad[i], &err) != -1)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void a_visitor_may_stop(void **state) {
    struct err err = {0};
    items_left = 2;
    assert_int_equal(walk("{1,2,3}", &err), -1);
    assert_string_equal(walked, "(<1><2>");
    assert_int_equal(err.kind, ERR_NONE);
}

static void bytea(void **state) {
    size_t len = 9;
    char *bytes = pgbytea_decode("\\x00fFa1", &len, NULL);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "\x00\xff\xa1", 4); /* and a NUL behind */
    free(bytes);
    bytes = pgbytea_decode("\\x", &len, NULL);
    assert_int_equal(len, 0);
    free(bytes);
    const char *bad[] = {"", "\\", "\\x1", "abc", "\\xgg", "\\000", "\\x0g"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_null(pgbytea_decode(bad[i], &len, &err));
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void bytea_back(void **state) {
    struct buf out = {0};
    pgbytea_encode(&out, "\x00\xff\\x", 4);
    assert_string_equal(out.p, "\\x00ff5c78");
    buf_reset(&out);
    pgbytea_encode(&out, "", 0);
    assert_string_equal(out.p, "\\x");
    buf_free(&out);
}

static void known(void **state) {
    assert_true(pgtype_known(25));
    assert_true(pgtype_known(1009));
    assert_int_equal(pgtype_array_of(25), 1009);
    assert_int_equal(pgtype_array_of(1009), 0);
    assert_int_equal(pgtype_array_of(16384), 0);
    assert_false(pgtype_known(16384));
}

static void lines_of_statements(void **state) {
    const char *text =
        "-- a; b\n"
        "CREATE TABLE a (x int DEFAULT (1)); /* ; /* ; */ ; */\n"
        ";;\n"
        "INSERT INTO a VALUES (E'\\';\n'), ('it''s;');\n"
        "CREATE FUNCTION f() RETURNS int AS $b$ SELECT 1; SELECT $1$;$1$; $b$ LANGUAGE sql;\n"
        "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2);\n"
        "SELECT \"a;b\", $$;$$, a$b;\n"
        "\n"
        "SELECT 8";
    const int lines[] = {2, 4, 6, 7, 8, 10, 10, 10};
    for (int i = 0; i < 8; i++)
        assert_int_equal(sqltext_line_of_statement(text, i), lines[i]);
    assert_int_equal(sqltext_line_of_statement("", 0), 1);
    assert_int_equal(sqltext_line_of_statement("SELECT 'open", 1), 1);
}

static void lines_of_characters(void **state) {
    const char *text = "h\303\251\303\251\nx\ny";
    const int lines[] = {1, 1, 1, 1, 2, 2, 3};
    for (int i = 0; i < 7; i++)
        assert_int_equal(sqltext_line_of_char(text, i + 1), lines[i]);
    assert_int_equal(sqltext_line_of_char(text, 99), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(arrays),
        cmocka_unit_test(no_arrays),
        cmocka_unit_test(a_visitor_may_stop),
        cmocka_unit_test(bytea),
        cmocka_unit_test(bytea_back),
        cmocka_unit_test(known),
        cmocka_unit_test(lines_of_statements),
        cmocka_unit_test(lines_of_characters),
    };
    return cmocka_run_group_tests_name("pgtypes", tests, NULL, NULL);
}
