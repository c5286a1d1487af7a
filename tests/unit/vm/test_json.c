/* SPDX-License-Identifier: MIT */
/* JSON to Lua and back: unchanged, or refused with the path of what cannot be said. */
#include "vmtest.h"

static void round_trips(void **state) {
    static const char *const texts[] = {
        "null",
        "[]",
        "{}",
        "[[],{},null,[null]]",
        "{\"a\":null,\"b\":[],\"c\":{}}",
        "9007199254740992",
        "-9007199254740992",
        "1234567890123456",
        "0.1",
        "1e-07",
        "\"\"",
        "\"\\u0001 \\\\ \\\" \\n é 😀\"",
        "[true,false,\"x\",{\"y\":[1,2,{\"z\":[]}]}]",
        "{\"1\":\"a key that looks like an index\"}",
    };
    struct gen *g = vmtest_handler("return r.input");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        vmtest_expect(g, texts[i], texts[i]);
    gen_unref(g);
}

static void deep(void **state) {
    struct buf in = {0};
    struct gen *g = vmtest_handler("return r.input");
    for (int i = 0; i < 500; i++)
        buf_putc(&in, '[');
    for (int i = 0; i < 500; i++)
        buf_putc(&in, ']');
    vmtest_expect(g, in.p, in.p);
    buf_free(&in);
    gen_unref(g);
    vmtest_fails("local t = {} t.t = t return t", FAIL_OUTPUT,
                 "result: nested deeper than 512 levels (does it contain itself?)");
}

static void written(void **state) {
    vmtest_gives("return { 1, 'a', { x = rbf.null } }", "[1,\"a\",{\"x\":null}]");
    vmtest_gives("return {}", "{}");
    vmtest_gives("return rbf.array {}", "[]");
    vmtest_gives("return rbf.null", "null");
    vmtest_gives("", "null");
    vmtest_gives("return tostring(rbf.null)", "\"null\"");
    vmtest_gives("return { b = 1, a = 2, ['c d'] = 1e15 }",
                 "{\"a\":2,\"b\":1,\"c d\":1000000000000000}");
    vmtest_gives(
        "local t = {} for i = 1, 100 do t['k' .. i] = i end "
        "return #rbf.json.encode(t) == #rbf.json.encode(rbf.json.decode(rbf.json.encode(t)))",
        "true");
}

static void refused(void **state) {
    vmtest_fails("return { items = { 1, 2, print } }", FAIL_OUTPUT,
                 "result.items[3]: a function cannot be sent as JSON");
    vmtest_fails("return { a = { b = 'x\\0y' } }", FAIL_OUTPUT,
                 "result.a.b: a string with a NUL byte");
    vmtest_fails("return '\\255'", FAIL_OUTPUT, "result: a string that is not valid UTF-8");
    vmtest_fails("return { 0/0 }", FAIL_OUTPUT, "result[1]: NaN and infinity");
    vmtest_fails("return { a = 1/0 }", FAIL_OUTPUT, "result.a: NaN and infinity");
    vmtest_fails("return { 1, 2, x = 3 }", FAIL_OUTPUT,
                 "result: a list with 2 entries that also has the key 'x'");
    vmtest_fails("return { 1, nil, nil, 4 }", FAIL_OUTPUT,
                 "result: a list with holes; fill them with rbf.null");
    vmtest_fails("return { [10] = 'x' }", FAIL_OUTPUT,
                 "result: an object's keys must be strings, found a number");
    vmtest_fails("return { ['a\\0b'] = 'x' }", FAIL_OUTPUT,
                 "result: an object's key holds a NUL byte");
    vmtest_fails("return coroutine.create(print)", FAIL_OUTPUT, "result: a thread cannot be sent");
    vmtest_fails("return rbf.json.decode '[1,'", FAIL_ERROR,
                 "/srv/app/app.lua:1: rbf.json.decode: ");
    vmtest_fails("return rbf.json.decode '9007199254740993'", FAIL_ERROR, "rbf.json.decode: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(deep),
        cmocka_unit_test(written),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
