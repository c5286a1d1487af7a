/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "base/utf8.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_round_trip(const char *text, const char *expected) {
    struct err e = {0};
    struct buf out = {0};
    json_t *v = jsonval_read(text, strlen(text), &e);
    if (!v)
        fail_msg("'%s' refused: %s", text, e.msg);
    jsonval_write(&out, v);
    assert_string_equal(out.p, expected);
    json_decref(v);
    v = jsonval_read(out.p, out.len, &e); /* what is written can be read again */
    if (!v)
        fail_msg("'%s' written as '%s': %s", text, out.p, e.msg);
    assert_true(jsonval_same_text(text, strlen(text), out.p, out.len));
    json_decref(v);
    buf_free(&out);
}

static void assert_refused(const char *text, size_t n, const char *part) {
    struct err e = {0};
    json_t *v = jsonval_read(text, n, &e);
    if (v)
        fail_msg("'%s' was accepted", text);
    assert_int_equal(e.kind, ERR_INVALID);
    if (!strstr(e.msg, part) || strchr(e.msg, '\n'))
        fail_msg("message for '%s' is '%s'", text, e.msg);
    assert_true(utf8_valid(e.msg, strlen(e.msg)));
}

static void values_survive(void **state) {
    assert_round_trip("[]", "[]");
    assert_round_trip("{}", "{}");
    assert_round_trip("null", "null");
    assert_round_trip(" {\"b\":[],\"a\":{},\"c\":null} ", "{\"b\":[],\"a\":{},\"c\":null}");
    assert_round_trip("[true,false,\"\"]", "[true,false,\"\"]");
    assert_round_trip("\"a/b \\u00e9 \\ud83d\\ude00 \\n\\u0001\\\"\\\\\"",
                      "\"a/b \303\251 \360\237\230\200 \\n\\u0001\\\"\\\\\"");
    assert_round_trip("", "null");
    assert_round_trip(" \t\r\n", "null");
}

static void numbers_survive(void **state) {
    assert_round_trip("9007199254740992", "9007199254740992");
    assert_round_trip("-9007199254740992", "-9007199254740992");
    assert_round_trip("1234567890123456", "1234567890123456");
    assert_round_trip("1e2", "100");
    assert_round_trip("1.0", "1");
    assert_round_trip("-0", "0");
    assert_round_trip("-0.0", "0");
    assert_round_trip("0.1", "0.1");
    assert_round_trip("0.30000000000000004", "0.30000000000000004");
    assert_round_trip("1.7976931348623157", "1.7976931348623157");
    assert_round_trip("5e-324", "4.94065645841247e-324");
    assert_round_trip("1e20", "100000000000000000000.0");
    assert_round_trip("9007199254740994.0", "9007199254740994.0");
}

static void unsafe_numbers_are_refused(void **state) {
    assert_refused("9007199254740993", 16, "send it as a string");
    assert_refused("-9007199254740993", 17, "send it as a string");
    assert_refused("18446744073709551616", 20, "send it as a string");
    assert_refused("{\"a\":[1,{\"b\":9007199254740993}]}", 32, "at .a[1].b");
    assert_refused("1e400", 5, "overflow");
    assert_refused("NaN", 3, "line 1");
    assert_refused("[Infinity]", 10, "line 1");
}

/* A key may hold anything, and is named in the message. */
static void a_refusal_is_one_line(void **state) {
    struct err err = {0};
    const char text[] = "{\"a\\nb\":9007199254740993}";
    assert_null(jsonval_read(text, sizeof text - 1, &err));
    assert_null(strchr(err.msg, '\n'));
    assert_non_null(strstr(err.msg, ".a b"));
}

static void broken_text_is_refused(void **state) {
    assert_refused("{\"a\":1,\n}", 9, "line 2");
    assert_refused("\"\xff\"", 3, "invalid JSON");
    assert_refused("\"\xed\xa0\x80\"", 5, "invalid JSON"); /* a surrogate */
    assert_refused("\"\xc0\xaf\"", 4, "invalid JSON");     /* overlong */
    assert_refused("\"\\ud800\"", 8, "invalid JSON");
    assert_refused("\"a\\u0000b\"", 10, "u0000");
    assert_refused("{\"\\u0000\":1}", 12, "u0000");
    assert_refused("\"a\0b\"", 5, "invalid JSON");
    assert_refused("1 2", 3, "invalid JSON");
    assert_refused("[1,]", 4, "invalid JSON");
    assert_refused("'a'", 3, "invalid JSON");
    assert_refused("\"a\nb\"", 5, "line 1");
    assert_refused("\xef\xbb\xbf{}", 5, "invalid JSON");
}

static void depth_is_bounded(void **state) {
    for (size_t depth = 512; depth <= 513; depth++) {
        char text[2 * 513];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct err e = {0};
        json_t *v = jsonval_read(text, 2 * depth, &e);
        assert_int_equal(v != NULL, depth == 512);
        json_decref(v);
    }
    char *text = malloc(200000);
    memset(text, '[', 200000);
    assert_refused(text, 200000, "depth");
    free(text);
}

static bool same(const char *a, const char *b) {
    return jsonval_same_text(a, strlen(a), b, strlen(b));
}

static void equality_is_by_value(void **state) {
    assert_true(same("{\"a\":1,\"b\":[2,3]}", "{ \"b\" : [2.0,3], \"a\" : 1e0 }"));
    assert_true(same("", "null"));
    assert_true(same("not json", "not json"));
    assert_true(same("\"\\u00e9\"", "\"\303\251\""));
    assert_false(same("not json", "not  json"));
    assert_false(same("[]", "{}"));
    assert_false(same("[1,2]", "[2,1]"));
    assert_false(same("[1]", "[1,1]"));
    assert_false(same("{\"a\":null}", "{}"));
    assert_false(same("{\"a\":null}", "{\"b\":null}"));
    assert_false(same("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    assert_false(same("1", "\"1\""));
    assert_false(same("true", "false"));
    assert_false(same("9007199254740992", "9007199254740991"));
}

static void strings_are_checked(void **state) {
    struct buf out = {0};
    struct err e = {0};
    assert_int_equal(jsonval_put_string(&out, "a\"\\\x1f/\x7f", 6, &e), 0);
    assert_string_equal(out.p, "\"a\\\"\\\\\\u001f/\x7f\"");
    assert_int_equal(jsonval_put_string(&out, "\xf4\x90\x80\x80", 4, &e), -1); /* U+110000 */
    assert_non_null(strstr(e.msg, "UTF-8"));
    assert_int_equal(jsonval_put_string(&out, "a\0b", 3, &e), -1);
    assert_int_equal(jsonval_put_number(&out, (double)NAN, &e), -1);
    assert_non_null(strstr(e.msg, "NaN"));
    assert_int_equal(jsonval_put_number(&out, (double)-INFINITY, &e), -1);
    assert_true(jsonval_is_utf8("\xf0\x9f\x98\x80", 4));
    assert_false(jsonval_is_utf8("\xf0\x9f\x98", 3));
    assert_false(jsonval_is_utf8("a\0", 2));
    buf_free(&out);
}

static void text_is_cleaned(void **state) {
    struct buf out = {0};
    utf8_clean(&out, "a\xff\0\xe2\x82z", 6);
    assert_string_equal(out.p, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
    assert_true(utf8_printable("caf\303\251 x", 7));
    assert_false(utf8_printable("a\tb", 3));
    assert_false(utf8_printable("\xc2\x85", 2)); /* NEL, of C1 */
    assert_false(utf8_printable("\x7f", 1));
    buf_free(&out);
}

/* Whatever is accepted can be written, read again and is the same. Seeded: failures repeat. */
static void random_text(void **state) {
    static const char bytes[] = "[]{}\",:\\u0 019eE+-.tfnrulasd\xff\xc3\xa9\x00\n";
    unsigned seed = 42, accepted = 0;
    struct buf out = {0};
    for (int round = 0; round < 200000; round++) {
        char text[24];
        size_t n = (size_t)rand_r(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++)
            text[i] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        struct err e = {0};
        json_t *v = jsonval_read(text, n, &e);
        if (!v) {
            assert_true(e.msg[0] && !strchr(e.msg, '\n') && utf8_valid(e.msg, strlen(e.msg)));
            continue;
        }
        accepted++;
        buf_reset(&out);
        jsonval_write(&out, v);
        if (!jsonval_same_text(text, n, out.p, out.len))
            fail_msg("'%.*s' became '%s'", (int)n, text, out.p);
        json_decref(v);
    }
    assert_true(accepted > 100);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_survive),
        cmocka_unit_test(numbers_survive),
        cmocka_unit_test(unsafe_numbers_are_refused),
        cmocka_unit_test(a_refusal_is_one_line),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(strings_are_checked),
        cmocka_unit_test(text_is_cleaned),
        cmocka_unit_test(random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
