/* SPDX-License-Identifier: MIT */
/* Scripts: a run without an operation. No server; questions are answered by the test. */
#include "vmtest.h"

#define PATH "/srv/scripts/s.lua" /* outside of ROOT */

struct script_test {
    struct gen *g;
    struct call_script script;
    struct call_request req;
    struct call *call;
    enum call_event event;
};

static void begin(struct script_test *t, const char *text, int argc, char *const *argv) {
    t->g = vmtest_app("return { op = base:mutation('jobs', { path = 'op', handler = function() end "
                      "}) }");
    t->script = (struct call_script){PATH, text, strlen(text), argc, argv, NULL};
    t->req = (struct call_request){.op = -1, .script = &t->script};
    t->call = call_new(t->g, &t->req);
    t->event = call_start(t->call);
}

static void finish(struct script_test *t) {
    call_delete(t->call);
    assert_int_equal(t->g->refs, 1);
    gen_unref(t->g);
}

static void expect_code(const char *text, const char *code) {
    struct script_test t;
    begin(&t, text, 0, NULL);
    assert_int_equal(t.event, CALL_DONE);
    assert_string_equal(t.call->result, code);
    finish(&t);
}

static void expect_failure(const char *text, const char *internal, const char *traceback) {
    struct script_test t;
    begin(&t, text, 0, NULL);
    assert_int_equal(t.event, CALL_FAILED);
    assert_string_equal(t.call->failure.internal, internal);
    if (traceback)
        assert_string_equal(t.call->failure.traceback, traceback);
    else
        assert_null(t.call->failure.traceback);
    finish(&t);
}

static void exit_codes(void **state) {
    expect_code("", "0");
    expect_code("return true", "0");
    expect_code("return false", "1");
    expect_code("return 255", "255");
    expect_code("#!/usr/bin/rbf\nreturn 2", "2");
    expect_failure("return -1",
                   PATH ": a script returns nothing or its exit code, 0 to 255; found the number "
                        "-1",
                   NULL);
}

static void places(void **state) {
    expect_failure("\nlocal function f() error('oops') end f()", PATH ":2: oops",
                   PATH ":2: in 'f'\n" PATH ":2: in main chunk");
    expect_failure("error('bare', 0)", PATH ": bare", PATH ":1: in main chunk");
    expect_failure("\nx = 1", PATH ":2: global 'x' is not allowed; write 'local x'",
                   PATH ":2: in main chunk");
    expect_failure("x =", PATH ":1: unexpected symbol near '<eof>'", NULL);
    expect_failure("\33LJ\2", PATH ": attempt to load chunk with wrong mode", NULL);
    expect_failure("\nlocal x = r.db", /* and the cure */
                   PATH
                   ":2: undefined global 'r': scripts are clients; put SQL and scheduling into "
                   "a handler, and call it by rbf.backend.mutations.NAME { … }",
                   PATH ":2: in main chunk");
}

static void world(void **state) {
    struct script_test t;
    char *argv[] = {"one", "2", NULL};
    begin(&t,
          "local a, b = ... assert(arg[0] == '" PATH "' and arg[1] == 'one' and arg[2] == '2' and "
          "#arg == 2 and a == 'one' and b == '2') "
          "assert(io.open('/dev/null'):close() and os.getenv 'PATH' and require 'app'.op) "
          "assert(not pcall(require, 'rbf.script')) return 7",
          2, argv);
    if (t.event != CALL_DONE)
        fail_msg("%s", t.call->failure.internal);
    assert_string_equal(t.call->result, "7");
    finish(&t);
}

/* A request is two questions: to send it, and to wait. */
static void asks(void **state) {
    struct script_test t;
    begin(&t, "local r = require 'rbf'.backend.mutations.op() return r.code", 0, NULL);
    assert_int_equal(t.event, CALL_ASK);
    assert_string_equal(t.call->question, "client.send");
    assert_int_equal(t.call->n_args, 7);
    assert_string_equal(t.call->args[0].text.p, "mutation");
    assert_string_equal(t.call->args[1].text.p, "jobs.op");
    assert_string_equal(t.call->args[4].text.p, "null");
    struct call_value sent[] = {{.type = VALUE_BOOL, .flag = true},
                                {.type = VALUE_NUMBER, .number = 12}};
    t.event = call_resume_values(t.call, sent, 2);
    assert_int_equal(t.event, CALL_ASK);
    assert_string_equal(t.call->question, "client.wait");
    assert_true(t.call->args[0].number == 12);
    struct call_value answer[] = {{.type = VALUE_BOOL, .flag = true},
                                  {.type = VALUE_NUMBER, .number = 200},
                                  {.type = VALUE_TEXT, .text = {"{\"code\":3}", 10}}};
    t.event = call_resume_values(t.call, answer, 3);
    assert_int_equal(t.event, CALL_DONE);
    assert_string_equal(t.call->result, "3");
    finish(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(places),
        cmocka_unit_test(world),
        cmocka_unit_test(asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
