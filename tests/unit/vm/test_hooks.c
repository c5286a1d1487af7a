/* SPDX-License-Identifier: MIT */
/* Middleware's hooks, what runs share of the context, and modules from outside the app. */
#include "vmtest.h"

#define PROLOGUE "local rbf = require 'rbf'; local z = rbf.z; "

/* An app whose one operation is jobs.op; text defines `base` and `handler`. */
static struct gen *load(const char *text) {
    char *all = xasprintf("%s%s base:mutation('jobs', { path = 'op', input = z.any(), "
                          "output = z.any():optional(), handler = handler })",
                          PROLOGUE, text);
    struct gen *g = vmtest_load(vmtest_tree("app.lua", all, NULL));
    free(all);
    return g;
}

static void expect(const char *text, const char *result) {
    struct gen *g = load(text);
    vmtest_expect(g, "\"in\"", result);
    gen_unref(g);
}

static void expect_failure(const char *text, enum failure_kind kind, const char *internal) {
    struct vmtest t = {0};
    struct gen *g = load(text);
    vmtest_run(&t, g, "jobs.op", "1");
    assert_int_equal(t.event, CALL_FAILED);
    assert_int_equal(t.call->failure.kind, kind);
    assert_string_equal(t.call->failure.internal, internal);
    vmtest_end(&t);
    gen_unref(g);
}

#define AROUND                                                                                     \
    "local function around(n) return { "                                                           \
    "  before = function(r) return { ctx = { trail = (r.ctx.trail or '') .. n } } end, "           \
    "  after = function(r, result) return result .. '<' .. n end } end "                           \
    "local base = rbf.defineBackend { queues = { jobs = { middleware = around 'q' } }, "           \
    "  middleware = around 'i' }:middleware(around 'c') "

static void after_goes_backwards(void **state) {
    expect(AROUND "local handler = function(r) return r.input .. r.ctx.trail end",
           "\"inqic<c<i<q\"");
}

#define AFTER(body)                                                                                \
    "local base = rbf.defineBackend { queues = { jobs = {} }, middleware = { after = "             \
    "function(r, result) " body " end } } "

static void after_may_keep_or_replace(void **state) {
    expect(AFTER("") "local handler = function() return 1 end", "1");
    expect(AFTER("return rbf.null") "local handler = function() return 1 end", "null");
    expect(AFTER("return { was = result, from = r.msg.operation, as = r.input }") "local handler = "
                                                                                  "function() "
                                                                                  "return nil end",
           "{\"as\":\"in\",\"from\":\"jobs.op\"}");
}

/* What is sent is what the schema says, whoever made it. */
static void after_is_checked_as_output(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_app(
        "base:middleware { after = function(r, result) result.extra = 1 result.n = r.input end }"
        ":mutation('jobs', { path = 'op', input = z.any(), output = z.object { n = z.int() }, "
        "handler = function() return { n = 1 } end })");
    vmtest_expect(g, "2", "{\"n\":2}");
    vmtest_run(&t, g, "jobs.op", "\"x\"");
    assert_int_equal(t.call->failure.kind, FAIL_OUTPUT);
    vmtest_end(&t);
    gen_unref(g);
}

static void after_may_fail(void **state) {
    expect_failure("local handler = function() end\n" AFTER("rbf.fail { status = 409 }"),
                   FAIL_PERMANENT, "/srv/app/app.lua:2: CONFLICT");
    expect_failure("local handler = function() end\n" AFTER("return print"), FAIL_ERROR,
                   "/srv/app/app.lua:2: after must return nothing or the result to send, found a "
                   "function");
    expect_failure("local handler = function(r) pcall(r.db.exec, r.db, 'x') end\n" AFTER(
                       "rbf.log:info 'not reached' rbf.fail { status = 418 }"),
                   FAIL_SQL, "/srv/app/app.lua:1: no server in this test (SQLSTATE 58000)");
}

static void before_must_give_ctx(void **state) {
    expect_failure("local handler = function() end\n"
                   "local base = rbf.defineBackend { queues = { jobs = {} }, "
                   "middleware = function() return { user = 1 } end }",
                   FAIL_ERROR,
                   "/srv/app/app.lua:2: middleware must return nothing or { ctx = {…} }, found "
                   "the key 'user'; what handlers are to see goes into ctx");
}

/* Runs the hooks of jobs.op after the failure of a call with input, as core/hook.c does. */
struct second {
    struct vmtest first;
    struct call_request req;
    struct call *call;
    enum call_event event;
};

static void fail_and_hook(struct second *s, struct gen *g, const char *input) {
    vmtest_run(&s->first, g, "jobs.op", input);
    assert_int_equal(s->first.event, CALL_FAILED);
    assert_true(g->ops[s->first.req.op].on_error);
    s->req = s->first.req;
    s->req.failed = s->first.call;
    s->req.failure = &s->first.call->failure;
    s->call = call_new(g, &s->req);
    s->event = call_start(s->call);
}

static void end_hook(struct second *s) {
    call_delete(s->call);
    vmtest_end(&s->first);
    *s = (struct second){0};
}

#define ON_ERROR(body)                                                                             \
    "local base = rbf.defineBackend { queues = { jobs = {} }, middleware = { "                     \
    "before = function() return { ctx = { who = 'ada' } } end, onError = function(r, e) " body     \
    " end } } "

static void expect_mapped(const char *text, const char *input, enum failure_kind kind,
                          const char *code, const char *message) {
    struct second s = {0};
    struct gen *g = load(text);
    fail_and_hook(&s, g, input);
    assert_int_equal(s.event, CALL_FAILED);
    assert_int_equal(s.call->failure.kind, kind);
    assert_string_equal(s.call->failure.code, code);
    if (message)
        assert_string_equal(s.call->failure.message, message);
    end_hook(&s);
    assert_int_equal(g->vm->refs, 3); /* nothing is kept of either call */
    gen_unref(g);
}

static void expect_unchanged(const char *text) {
    struct second s = {0};
    struct gen *g = load(text);
    fail_and_hook(&s, g, "1");
    assert_int_equal(s.event, CALL_DONE);
    end_hook(&s);
    gen_unref(g);
}

#define RAISES "local handler = function(r) r.ctx.seen = r.input error 'boom' end "

static void on_error_maps(void **state) {
    expect_mapped(RAISES ON_ERROR("rbf.fail { status = 409, code = 'NO', message = r.ctx.who .. "
                                  "r.ctx.seen .. r.input .. r.msg.requestId .. e.code }"),
                  "7", FAIL_PERMANENT, "NO", "ada77req-1INTERNAL_SERVER_ERROR");
    expect_mapped(RAISES ON_ERROR("return { status = 409, code = 'NO' }"), "1", FAIL_PERMANENT,
                  "NO", "NO");
    expect_mapped(RAISES ON_ERROR("rbf.retry { after = { seconds = 3 } }"), "1", FAIL_RETRY,
                  "INTERNAL_SERVER_ERROR", NULL);
    expect_mapped("local handler = function() rbf.fail { status = 404, code = 'A', message = 'm' } "
                  "end " ON_ERROR("e.code = e.code .. 'B' return e"),
                  "1", FAIL_PERMANENT, "AB", "m");
}

/* What the hook is told; the real words are there, but not where they would be passed on. */
static void on_error_sees(void **state) {
    expect_mapped("\nlocal handler = function() error 'boom' end " ON_ERROR(
                      "rbf.fail { message = table.concat({ e.kind, e.status, e.code, e.message, "
                      "e.internal, e.traceback:match '[^\\n]*$' }, '|') }"),
                  "1", FAIL_PERMANENT, "BAD_REQUEST",
                  "error|500|INTERNAL_SERVER_ERROR|Internal server error|/srv/app/app.lua:2: boom|"
                  "/srv/app/app.lua:2: in 'handler'");
    expect_mapped(
        "local handler = function() rbf.fail { status = 409, details = { a = 1 } } end " ON_ERROR(
            "rbf.fail { message = e.kind .. e.status .. e.details.a }"),
        "1", FAIL_PERMANENT, "BAD_REQUEST", "permanent4091");
    expect_mapped("local handler = function(r) r.db:exec 'x' end " ON_ERROR(
                      "rbf.fail { message = e.sqlstate .. tostring(r.db) .. "
                      "tostring(r.scheduler) }"),
                  "1", FAIL_PERMANENT, "BAD_REQUEST", "58000nilnil");
}

static void on_error_leaves(void **state) {
    expect_unchanged(RAISES ON_ERROR("return nil"));
    expect_unchanged(RAISES ON_ERROR("return e"));
    expect_unchanged(RAISES ON_ERROR("error(e)"));
    expect_unchanged(RAISES ON_ERROR("e.code = 'written, not given back'"));
    expect_unchanged(RAISES ON_ERROR("error 'in the hook'"));
    expect_unchanged(RAISES ON_ERROR("return 7"));
    expect_unchanged(RAISES ON_ERROR("return { stauts = 409 }"));
    expect_unchanged(RAISES ON_ERROR("r.db:one 'SELECT 1'"));
}

static void on_error_has_no_effects(void **state) {
    expect_unchanged("local db, s local handler = function(r) db, s = r.db, r.scheduler error 'x' "
                     "end " ON_ERROR("s:enqueue('jobs.op')"));
    expect_unchanged("local db local handler = function(r) db = r.db error 'x' end " ON_ERROR(
        "db:exec 'DELETE FROM t'"));
}

/* Backwards, each with what the one before it made. */
static void on_error_chain(void **state) {
    expect_mapped("local function add(n) return { onError = function(r, e) e.code = e.code .. n "
                  "return e end } end "
                  "local base = rbf.defineBackend { queues = { jobs = { middleware = add 'q' } }, "
                  "middleware = add 'i' }:middleware(add 'c'):middleware { "
                  "onError = function() error 'which changes nothing' end } "
                  "local handler = function() rbf.fail { code = '' } end",
                  "1", FAIL_PERMANENT, "ciq", NULL);
}

/* The failed input is what was sent, its issues are there. */
static void on_error_of_input(void **state) {
    struct second s = {0};
    struct gen *g =
        vmtest_app("base:middleware { onError = function(r, e) rbf.fail { code = e.kind, "
                   "message = e.issues[1].message .. r.input.n } end }"
                   ":mutation('jobs', { path = 'op', input = z.object { n = z.int() }, "
                   "handler = function() end })");
    fail_and_hook(&s, g, "{\"n\":\"x\"}");
    assert_string_equal(s.call->failure.code, "input");
    assert_string_equal(s.call->failure.message,
                        "Invalid input: expected number, received stringx");
    end_hook(&s);
    gen_unref(g);
}

static void without_hooks_nothing_is_kept(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler("error 'x'");
    vmtest_run(&t, g, "jobs.op", "1");
    assert_false(g->ops[0].on_error);
    assert_int_equal(g->vm->refs, 4); /* the call's coroutine alone */
    vmtest_end(&t);
    gen_unref(g);
}

/* --- the initial context --- */

static void context_is_nobodys(void **state) {
    struct gen *g =
        load("local object = setmetatable({ n = 0 }, { __index = {} }) "
             "local base = rbf.defineBackend { queues = { jobs = {} }, context = { a = { b = { n = "
             "0 } }, list = rbf.array {}, object = object } } "
             "local handler = function(r) local c = r.ctx c.a.b.n = c.a.b.n + 1 "
             "c.list[#c.list + 1] = 1 c.object.n = c.object.n + 1 "
             "return { c.a.b.n, c.list, c.object.n } end");
    vmtest_expect(g, "1", "[1,[1],1]");
    vmtest_expect(g, "1", "[1,[1],2]"); /* an object is the app's own business */
    gen_unref(g);
}

static void context_of_create_backend(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua",
        PROLOGUE "local base = rbf.defineBackend { queues = { jobs = {} }, "
                 "context = { a = 1, b = 1 } } base:mutation('jobs', { path = 'op', "
                 "handler = function(r) return { r.ctx.a, r.ctx.b, r.ctx.c.d } end }) return base",
        "main.lua",
        "return require('rbf').createBackend(require 'app', { context = { b = 2, c = { d = 3 } } "
        "})",
        NULL));
    vmtest_expect(g, NULL, "[1,2,3]");
    gen_unref(g);
}

/* --- modules --- */

#define WITH(list)                                                                                 \
    "local rbf = require 'rbf' rbf.defineBackend { queues = { jobs = {} } " list " } "

static void modules_must_be_listed(void **state) {
    const char *cure = "'openssl.hmac' is not one of the app's files, and modules from elsewhere "
                       "must be listed: add modules = { \"openssl.hmac\" } to rbf.defineBackend";
    char *first = xasprintf("/srv/app/a.lua:2: %s", cure);
    assert_string_equal(vmtest_refused(vmtest_tree("a.lua", "\nlocal h = require 'openssl.hmac'",
                                                   "app.lua", WITH(""), NULL)),
                        first);
    free(first);
    assert_non_null(
        strstr(vmtest_refused(vmtest_tree("app.lua",
                                          WITH(", modules = { 'openssl.hmca' }") "require "
                                                                                 "'openssl.hmac'",
                                          NULL)),
               "did you mean 'openssl.hmca'?"));
    assert_non_null(
        strstr(vmtest_refused(vmtest_tree("app.lua", WITH("") "require '_openssl.hmac'", NULL)),
               "listed"));
    assert_non_null(strstr(
        vmtest_refused(vmtest_tree("app.lua", WITH("") "require 'emial'", "email.lua", "", NULL)),
        "no module 'emial' in the app's folder"));
    assert_non_null(
        strstr(vmtest_refused(vmtest_tree(
                   "app.lua", WITH(", modules = { 'nowhere' }") "require 'nowhere'", NULL)),
               "module 'nowhere' is not installed for Lua 5.1"));
    assert_non_null(strstr(
        vmtest_refused(vmtest_tree("app.lua", WITH(", modules = { 'ffi' }") "require 'ffi'", NULL)),
        "no module 'ffi': handlers cannot call C"));
}

#define HMAC                                                                                       \
    "local mac = require('openssl.hmac').new('key', 'sha256'):final 'x' "                          \
    "return (mac:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) "

/* In a file that comes before the one with the list, and below a listed name. */
static void listed_modules_work(void **state) {
    const char *const apps[] = {WITH(", modules = { 'openssl.hmac' }"),
                                WITH(", modules = { 'openssl' }")};
    for (int i = 0; i < 2; i++) {
        struct gen *g = vmtest_load(
            vmtest_tree("a.lua",
                        "return { mac = function() " HMAC " end, early = require "
                        "'openssl.hmac' }",
                        "app.lua", apps[i], "b.lua",
                        "local rbf = require 'rbf' local base = rbf.defineBackend { queues = { "
                        "jobs2 = {} } } base:mutation('jobs2', { path = 'op', handler = function() "
                        "return require('a').mac() end })",
                        NULL));
        struct vmtest t = {0};
        vmtest_run(&t, g, "jobs2.op", NULL);
        if (t.event != CALL_DONE)
            fail_msg("%s", t.call->failure.internal);
        assert_string_equal(t.call->result,
                            "\"4fc3b7eaf34d7e594a6f51d9517ba543abf41067b27587ffd82ba3584e4d3cdd\"");
        vmtest_end(&t);
        gen_unref(g); /* and loads again in the next state */
    }
}

/* Inside a handler the list is complete, so it is asked at once. */
static void modules_at_run_time(void **state) {
    vmtest_fails("require 'openssl.rand'", FAIL_ERROR,
                 "/srv/app/app.lua:1: 'openssl.rand' is not one of the app's files");
    vmtest_gives("return require('cjson').encode { 1 }", "\"[1]\"");
    vmtest_fails("require 'io'", FAIL_ERROR, "handlers have no files");
}

/* What modules have is not what handlers have. */
static void sandbox_holds(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua",
        PROLOGUE
        "local base = rbf.defineBackend { queues = { jobs = {} }, "
        "modules = { 'openssl', 'cjson.util', 'basexx' } } local o = require "
        "'openssl.hmac' local b = require 'basexx' "
        "base:mutation('jobs', { path = 'op', handler = function() "
        "return { b.to_url64 '\\255\\254', tostring(io), tostring(os.execute), tostring(ffi), "
        "(pcall(require, 'io')), (pcall(require, 'ffi')), (pcall(require, 'package')), "
        "(pcall(function() o.new.x = getfenv(o.new) end)), getmetatable(o.new('k', "
        "'sha256')) } end })",
        NULL));
    vmtest_expect(g, NULL,
                  "[\"__4\",\"nil\",\"nil\",\"nil\",false,false,false,false,\"the framework's\"]");
    gen_unref(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_goes_backwards),
        cmocka_unit_test(after_may_keep_or_replace),
        cmocka_unit_test(after_is_checked_as_output),
        cmocka_unit_test(after_may_fail),
        cmocka_unit_test(before_must_give_ctx),
        cmocka_unit_test(on_error_maps),
        cmocka_unit_test(on_error_sees),
        cmocka_unit_test(on_error_leaves),
        cmocka_unit_test(on_error_has_no_effects),
        cmocka_unit_test(on_error_chain),
        cmocka_unit_test(on_error_of_input),
        cmocka_unit_test(without_hooks_nothing_is_kept),
        cmocka_unit_test(context_is_nobodys),
        cmocka_unit_test(context_of_create_backend),
        cmocka_unit_test(modules_must_be_listed),
        cmocka_unit_test(listed_modules_work),
        cmocka_unit_test(modules_at_run_time),
        cmocka_unit_test(sandbox_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
