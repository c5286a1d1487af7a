/* SPDX-License-Identifier: MIT */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include "base/jsonval.h"
#include "cli/table.h"
#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
    {"id", "ID", TABLE_ID}, {"what", "WHAT", TABLE_TEXT}, {"n", "COUNT", TABLE_NUMBER}, {0}};

static void expect(const char *rows, const struct table_column *cols, int width, bool colours,
                   const char *expected) {
    struct buf out = {0};
    json_t *v = jsonval_read(rows, strlen(rows), NULL);
    table_put(&out, v, cols, width, colours, 1000000);
    assert_string_equal(expected, out.p);
    buf_free(&out);
    json_decref(v);
}

#define ROWS                                                                                       \
    "[{\"id\":\"a1\",\"what\":\"a rather long text\",\"n\":7},{\"id\":\"b\",\"what\":null},"       \
    "{\"id\":\"c\",\"what\":{\"k\":[]},\"n\":1234567}]"

static void aligns(void **state) {
    expect(ROWS, columns, 0, false,
           "ID  WHAT                  COUNT\n"
           "a1  a rather long text        7\n"
           "b\n"
           "c   {\"k\":[]}            1234567\n");
}

static void cuts_texts_and_nothing_else(void **state) {
    expect(ROWS, columns, 23, false,
           "ID  WHAT          COUNT\n"
           "a1  a rather …        7\n"
           "b\n"
           "c   {\"k\":[]}    1234567\n");
}

static void lists_fields_where_no_table_fits(void **state) {
    expect(ROWS, columns, 18, false,
           "  ID     a1\n  WHAT   a rather long text\n  COUNT  7\n\n"
           "  ID     b\n\n"
           "  ID     c\n  WHAT   {\"k\":[]}\n  COUNT  1234567\n");
}

static void counts_columns_not_bytes(void **state) {
    expect(
        "[{\"id\":\"é\",\"what\":\"日本語\",\"n\":1},{\"id\":\"e\",\"what\":\"abcdef\",\"n\":2}]",
        columns, 0, false,
        "ID  WHAT    COUNT\n"
        "é   日本語      1\n"
        "e   abcdef      2\n");
    expect("[{\"id\":\"x\",\"what\":\"日本語日本語\",\"n\":1}]", columns, 20, false,
           "ID  WHAT       COUNT\n"
           "x   日本語日…      1\n");
}

static void obeys_no_control_characters(void **state) {
    expect("[{\"id\":\"a\\u001b[31m\",\"what\":\"x\\ny\\u202e\"}]", columns, 0, false,
           "ID      WHAT  COUNT\n"
           "a [31m  x y\n");
}

static void shows_times(void **state) {
    static const struct table_column cols[] = {
        {"t", "T", TABLE_TIME}, {"a", "A", TABLE_AGE}, {"d", "D", TABLE_DURATION}, {0}};
    setenv("TZ", "UTC", 1);
    expect("[{\"t\":1500,\"a\":940000,\"d\":250},{\"t\":86400000,\"a\":1000000,\"d\":3660000},"
           "{\"a\":94600000,\"d\":90061000}]",
           cols, 0, false,
           "T                        A                D\n"
           "1970-01-01 00:00:01.500  1m 00s ago   250ms\n"
           "1970-01-02 00:00:00.000  0ms ago     1h 01m\n"
           "                         in 1d 02h   1d 01h\n");
}

static void colours_what_matters(void **state) {
    static const struct table_column cols[] = {{"s", "S", TABLE_STATE}, {"d", "D", TABLE_BAD}, {0}};
    expect("[{\"s\":\"dead\",\"d\":1},{\"s\":\"other\",\"d\":0}]", cols, 0, true,
           "\033[1mS\033[0m      \033[1mD\033[0m\n"
           "\033[31mdead\033[0m   \033[31m1\033[0m\n"
           "other  0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns),
        cmocka_unit_test(cuts_texts_and_nothing_else),
        cmocka_unit_test(lists_fields_where_no_table_fits),
        cmocka_unit_test(counts_columns_not_bytes),
        cmocka_unit_test(obeys_no_control_characters),
        cmocka_unit_test(shows_times),
        cmocka_unit_test(colours_what_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
