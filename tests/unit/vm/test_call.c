/* SPDX-License-Identifier: MIT */
/* Calls: the pipeline, what a handler is given, and how it can end. No server: statements fail. */
#include "vmtest.h"
#include <unistd.h>

static void request(void **state) {
    struct gen *g = vmtest_app(
        "base:query('jobs', { path = 'get.$a.$b', input = z.any(), handler = function(r) "
        "return { r.params, r.msg, r.msg.headers['X-TRACE'], r.input, r.scheduler == nil, r.ctx.n "
        "} end })");
    struct vmtest t = {0};
    hdrs_add(&t.hdrs, "x-trace", "7");
    t.req.attempt = 3;
    vmtest_run(&t, g, "jobs.get.1.x%2Ey", "{\"k\":1}");
    assert_int_equal(t.event, CALL_DONE);
    assert_string_equal(
        t.call->result,
        "[{\"a\":\"1\",\"b\":\"x.y\"},{\"attempt\":3,\"headers\":{\"x-trace\":\"7\"},"
        "\"operation\":\"jobs.get.$a.$b\",\"requestId\":\"req-1\",\"subject\":"
        "\"jobs.get.1.x%2Ey\",\"timestamp\":1700000000000,\"type\":\"query\"},"
        "\"7\",{\"k\":1},true,1]");
    vmtest_end(&t);
    gen_unref(g);
}

#define ORDER                                                                                      \
    "local rbf = require 'rbf' local z = rbf.z "                                                   \
    "local function add(name) return function(r) return { ctx = { log = false, "                   \
    "  trail = (r.ctx.trail or '') .. name, [name] = true } } end end "                            \
    "local base = rbf.defineBackend { queues = { jobs = { middleware = add 'q' } }, "              \
    "  context = { n = { 1 } }, middleware = add 'i' } "                                           \
    "local app = base:middleware(add 'c'):middleware(function(r) r.ctx.mine = 1 end) "             \
    "local function show(r) r.ctx.left = (r.ctx.left or 0) + 1 "                                   \
    "  return r.ctx.trail .. r.ctx.left .. tostring(r.ctx.mine) end "                              \
    "base:mutation('jobs', { path = 'base', handler = show }) "                                    \
    "app:mutation('jobs', { path = 'op', handler = show }) "

static void middleware(void **state) {
    struct gen *g = vmtest_load(vmtest_tree("app.lua", ORDER, NULL));
    struct vmtest t = {0};
    vmtest_expect(g, NULL, "\"qic11\"");
    vmtest_expect(g, NULL, "\"qic11\""); /* nothing of the first run is left in ctx */
    vmtest_run(&t, g, "jobs.base", NULL);
    assert_string_equal(t.call->result, "\"qi1nil\""); /* base did not change */
    vmtest_end(&t);
    t.req.middleware_only = true;
    vmtest_run(&t, g, "jobs.op", "\"input is not looked at\"");
    assert_int_equal(t.event, CALL_DONE);
    assert_int_equal(t.call->result_len, 0);
    vmtest_end(&t);
    gen_unref(g);
}

static void context(void **state) {
    struct gen *g = vmtest_handler("r.ctx.n = r.ctx.n + 1 return r.ctx.n");
    vmtest_expect(g, NULL, "2");
    vmtest_expect(g, NULL, "2");
    gen_unref(g);
}

static void middleware_fails(void **state) {
    struct gen *g =
        vmtest_app("base:middleware(function(r) rbf.fail { status = 401, message = 'who?' } end)"
                   ":mutation('jobs', { path = 'op', handler = function() end }) "
                   "base:middleware(function(r)\n return { user = 1 }, 2 end)"
                   ":mutation('jobs', { path = 'fine', handler = function() end })"
                   "base:middleware(function(r)\n return 7 end)"
                   ":mutation('jobs', { path = 'odd', handler = function() end })");
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_true(t.call->failure.in_middleware);
    assert_int_equal(t.call->failure.status, 401);
    assert_string_equal(t.call->failure.code, "UNAUTHORIZED");
    assert_string_equal(t.call->failure.message, "who?");
    assert_string_equal(t.call->failure.internal, "/srv/app/app.lua:1: who?");
    vmtest_end(&t);
    vmtest_run(&t, g, "jobs.odd", NULL);
    assert_int_equal(t.call->failure.kind, FAIL_ERROR);
    assert_string_equal(t.call->failure.internal,
                        "/srv/app/app.lua:2: middleware must return nothing or "
                        "{ ctx = {…} }, found a number");
    vmtest_end(&t);
    gen_unref(g);
}

static void input(void **state) {
    struct gen *g = vmtest_app(
        "base:mutation('jobs', { path = 'none', handler = function(r) return r.input == nil end }) "
        "base:mutation('jobs', { path = 'op', input = z.object { a = z.string():nullable(), "
        "  b = z.int():optional(), c = z.array(z.any()):default(rbf.array {}) }, "
        "  output = z.object { a = z.string():nullable(), b = z.int():optional(), c = "
        "z.array(z.any()) }, "
        "  handler = function(r) assert(r.input.a ~= rbf.null) return r.input end })");
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.none", "");
    assert_string_equal(t.call->result, "true");
    vmtest_end(&t);
    vmtest_run(&t, g, "jobs.none", "1");
    assert_int_equal(t.call->failure.kind, FAIL_INPUT);
    assert_int_equal(t.call->failure.status, 400);
    vmtest_end(&t);
    vmtest_expect(g, "{\"a\":null,\"extra\":1}", "{\"a\":null,\"c\":[]}");
    vmtest_run(&t, g, "jobs.op", "{\"b\":\"x\",\"c\":[]}");
    assert_int_equal(t.call->failure.kind, FAIL_INPUT);
    assert_string_equal(t.call->failure.message,
                        "Invalid input: a: Invalid input: expected string, received undefined; "
                        "b: Invalid input: expected number, received string");
    assert_string_equal(
        t.call->failure.details,
        "[{\"code\":\"invalid_type\",\"message\":\"Invalid input: expected string, received "
        "undefined\",\"path\":[\"a\"]},{\"code\":\"invalid_type\",\"message\":\"Invalid input: "
        "expected number, received string\",\"path\":[\"b\"]}]");
    vmtest_end(&t);
    gen_unref(g);
}

static void output(void **state) {
    struct gen *g =
        vmtest_app("base:mutation('jobs', { path = 'op', output = z.object { id = z.string() }, "
                   "handler = function(r)\n return { id = 1 } end })");
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.call->failure.kind, FAIL_OUTPUT);
    assert_int_equal(t.call->failure.status, 500);
    assert_string_equal(t.call->failure.message, "Internal server error");
    assert_string_equal(t.call->failure.internal,
                        "/srv/app/app.lua:1: Invalid output: id: Invalid input: "
                        "expected string, received number");
    assert_null(t.call->failure.details); /* nor in the reply */
    vmtest_end(&t);
    gen_unref(g);
}

static void failures(void **state) {
    vmtest_fails("\nlocal t = nil\nt.x = 1", FAIL_ERROR, "/srv/app/app.lua:3: attempt to index");
    vmtest_fails("error({ code = 1 })", FAIL_ERROR, "/srv/app/app.lua:1: error object: table: ");
    vmtest_fails("error('plain', 0)", FAIL_ERROR, "/srv/app/app.lua:1: plain");
    vmtest_fails("return error('tail', 0)", FAIL_ERROR, "/srv/app/app.lua:1: tail");
    vmtest_fails("local function f() return 1 + f() end f()", FAIL_ERROR, "stack overflow");
    vmtest_fails("rbf.fail 'x'", FAIL_ERROR, "rbf.fail takes a table");
    vmtest_fails("rbf.fail { status = 200 }", FAIL_ERROR,
                 "status must be a whole number from 400 to 599");
    vmtest_fails("rbf.fail { staus = 400 }", FAIL_ERROR,
                 "unknown key 'staus', did you mean 'status'?");
    vmtest_fails("rbf.fail { details = { print } }", FAIL_ERROR, "details[1]: a function");
    vmtest_fails("r.db:query 'SELECT 1'", FAIL_SQL,
                 "/srv/app/app.lua:1: no server in this test (SQLSTATE 58000)");
    vmtest_fails("undefined_thing()", FAIL_ERROR, "undefined global 'undefined_thing'");
    vmtest_fails("coroutine.yield(1)", FAIL_ERROR,
                 "coroutine.yield outside of a coroutine of your own");
    vmtest_fails("table.concat = nil", FAIL_ERROR,
                 "/srv/app/app.lua:1: table.concat cannot be set: all requests share it; write "
                 "'local concat'");
    vmtest_fails("function string.trim() end", FAIL_ERROR, "string.trim cannot be set");
    vmtest_fails("rbf.op.eq = nil", FAIL_ERROR, "rbf.op.eq cannot be set: all requests share it");
    vmtest_fails("rawset(math, 'pi', 3)", FAIL_ERROR, "this table is the framework's");
    vmtest_fails("r.databse:query 'SELECT 1'", FAIL_ERROR,
                 "/srv/app/app.lua:1: r has no 'databse'");
    vmtest_fails("return r.paramz.id", FAIL_ERROR, "r has no 'paramz', did you mean 'params'?");
    vmtest_fails("return r.msg.requestid", FAIL_ERROR,
                 "r.msg has no 'requestid', did you mean 'requestId'?");
    vmtest_gives("return tostring(coroutine.running()) .. table.concat { 'a', ('b'):upper() }",
                 "\"nilaB\"");
    vmtest_fails("x = 1", FAIL_ERROR,
                 "/srv/app/app.lua:1: global 'x' is not allowed; write 'local x'");
}

static void failed_with(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler(
        "if r.input == 'retry' then pcall(rbf.retry, { after = { seconds = 2, ms = 5 } }) end "
        "pcall(function() pcall(rbf.fail, { status = 422, code = 'C', message = 'm', details = { 1 "
        "} }) end) "
        "return 'never'");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.call->failure.kind, FAIL_PERMANENT); /* pcall does not stop it */
    assert_int_equal(t.call->failure.status, 422);
    assert_string_equal(t.call->failure.code, "C");
    assert_string_equal(t.call->failure.details, "[1]");
    assert_false(t.call->failure.in_middleware);
    vmtest_end(&t);
    vmtest_run(&t, g, "jobs.op", "\"retry\"");
    assert_int_equal(t.call->failure.kind, FAIL_RETRY);
    assert_int_equal(t.call->failure.retry_after_ms, 2005);
    vmtest_end(&t);
    gen_unref(g);
}

static void traceback(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler(
        "local function inner()\n error 'x' end local function outer()\n inner() end\n outer()");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_string_equal(t.call->failure.traceback,
                        "/srv/app/app.lua:2: in 'inner'\n/srv/app/app.lua:3: in 'outer'\n"
                        "/srv/app/app.lua:4: in 'handler'");
    vmtest_end(&t);
    gen_unref(g);
    g = vmtest_handler("\n rbf.sleep { ms = 20 } return 1");
    vmtest_begin(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_ASK);
    assert_string_equal(t.call->question, "sleep");
    assert_int_equal(t.call->n_args, 1);
    assert_int_equal((int)t.call->args[0].number, 20);
    char *text = call_traceback(t.call);
    assert_string_equal(text, "/srv/app/app.lua:2: in 'handler'");
    free(text);
    vmtest_answer(&t);
    assert_int_equal(t.event, CALL_DONE);
    vmtest_end(&t);
    gen_unref(g);
}

static void statement(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler("r.db:query('SELECT $1, $2, $3', 'a', nil, nil)");
    vmtest_begin(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_SQL);
    assert_string_equal(t.call->sql, "SELECT $1, $2, $3");
    assert_int_equal(t.call->n_params, 3);
    assert_string_equal(t.call->params[0], "a");
    assert_null(t.call->params[2]);
    gen_unref(g);   /* the call keeps it */
    vmtest_end(&t); /* deleted while it waits */
}

static struct effect *nth(struct call *c, int n) {
    struct list *it = c->effects.next;
    while (n-- > 0)
        it = it->next;
    assert_ptr_not_equal(it, &c->effects);
    return container_of(it, struct effect, node);
}

#define FOLLOW                                                                                     \
    "local op = base:mutation('jobs', { path = 'f.$id', handler = function() end }) "              \
    "local ask = base:query('jobs', { path = 'ask', handler = function() end }) "                  \
    "base:mutation('jobs', { path = 'op', input = z.any(), handler = function(r) "                 \
    "local s = r.scheduler "

static void effects(void **state) {
    struct gen *g =
        vmtest_app(FOLLOW "local a = s:enqueue(op, { params = { id = 'x.y' }, input = { 1 }, "
                          "headers = { Foo = 'bar' } }) "
                          "local b = s:runAt(1700000000123, 'other.mail.send', { id = 'mine' }) "
                          "s:runAfter({ hours = 1 }, 'jobs.f.$id', { params = { id = 5 } }) "
                          "s:publish('news', rbf.raw 'a\\0b', { stream = true }) "
                          "s:publish('news.x', { n = rbf.array {} }) s:setRetryDelay { seconds = 3 "
                          "} return { a, b } end })");
    struct vmtest t = {0};
    hdrs_add(&t.hdrs, "Traceparent", "00-1-2-03");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_DONE);
    struct effect *e = nth(t.call, 0);
    assert_int_equal(e->type, EFFECT_REQUEST);
    assert_string_equal(e->subject, "jobs.f.x%2Ey");
    assert_string_equal(e->data, "[1]");
    assert_string_equal(e->headers, "{\"Foo\":\"bar\",\"traceparent\":\"00-1-2-03\"}");
    assert_null(e->request_id);
    assert_int_equal(e->target_at, 0);
    assert_memory_equal(t.call->result + 2, e->id, 36);
    e = nth(t.call, 1);
    assert_string_equal(e->subject, "other.mail.send");
    assert_string_equal(e->request_id, "mine");
    assert_int_equal(e->target_at, 1700000000123);
    assert_string_equal(e->data, "null");
    char id[37];
    id_v5("mine", 4, id);
    assert_string_equal(e->id, id);
    e = nth(t.call, 2);
    assert_string_equal(e->subject, "jobs.f.5");
    assert_in_range(e->target_at - clock_db_ms(), 3590000, 3600000);
    e = nth(t.call, 3);
    assert_int_equal(e->type, EFFECT_MESSAGE);
    assert_int_equal(e->raw_len, 3);
    assert_memory_equal(e->raw, "a\0b", 3);
    assert_true(e->stream);
    e = nth(t.call, 4);
    assert_string_equal(e->data, "{\"n\":[]}");
    assert_null(e->headers);
    assert_int_equal(t.call->retry_delay_ms, 3000);
    vmtest_end(&t);
    gen_unref(g);
}

static void effect_fails(const char *code, const char *part) {
    char *body = xasprintf(FOLLOW "%s end })", code);
    struct gen *g = vmtest_app(body);
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_FAILED);
    if (!strstr(t.call->failure.internal, part))
        fail_msg("\"%s\" is not in \"%s\"", part, t.call->failure.internal);
    vmtest_end(&t);
    gen_unref(g);
    free(body);
}

static void refused_effects(void **state) {
    effect_fails("s.enqueue(op)", "use scheduler:enqueue(…), with a colon");
    effect_fails("s:enqueu(op)", "scheduler has no 'enqueu', did you mean 'enqueue'?");
    effect_fails("s:enqueue(nil)", "expected an operation or \"queue.path\", found nil");
    effect_fails("s:enqueue(ask)", "ask is a query");
    effect_fails("s:enqueue('jobs.ask')", "a query cannot be enqueued");
    effect_fails("s:enqueue(op)", "id");
    effect_fails("s:enqueue(op, { params = { idd = '1' } })",
                 "unknown key 'idd', did you mean 'id'?");
    effect_fails("s:enqueue('jobs.x', { params = { id = '1' } })", "path 'x' has no parameters");
    effect_fails("s:enqueue(op, { inputs = 1 })", "unknown key 'inputs', did you mean 'input'?");
    effect_fails("s:enqueue('jobs.x', { input = { f = print } })",
                 "input.f: a function cannot be sent");
    effect_fails("s:enqueue('jobs.x', { headers = { ['request-ID'] = 'x' } })",
                 "is reserved for the host");
    effect_fails("s:enqueue('jobs.x', { headers = { ['rbf-x'] = 'x' } })",
                 "is reserved for the host");
    effect_fails("s:enqueue('jobs.x', { headers = { ['A B'] = 'x' } })",
                 "header 'A B' cannot be sent");
    effect_fails("s:enqueue('jobs.x', { id = '' })", "id must be 1 to 200 bytes");
    effect_fails("s:runAfter(5, op)",
                 "must be a duration such as { seconds = 30 }, found the number 5");
    effect_fails("s:runAfter({ second = 5 }, op)", "unknown key 'second', did you mean 'seconds'?");
    effect_fails("s:runAt('tomorrow', op)", "must be ms since the epoch");
    effect_fails("s:publish('a b', 1)", "scheduler:publish: ");
    struct gen *g = vmtest_app(
        "local kept base:mutation('jobs', { path = 'op', handler = function(r) kept = r.scheduler "
        "end }) "
        "base:query('jobs', { path = 'q', handler = function(r) kept:publish('a', 1) end }) "
        "base:query('jobs', { path = 'nil', handler = function(r) r.scheduler:publish('a', 1) end "
        "})");
    struct vmtest t = {0};
    vmtest_expect(g, NULL, "null");
    vmtest_run(&t, g, "jobs.q", NULL);
    assert_non_null(strstr(t.call->failure.internal,
                           "queries have no scheduler; make this operation a mutation"));
    vmtest_end(&t);
    vmtest_run(&t, g, "jobs.nil", NULL);
    assert_non_null(strstr(t.call->failure.internal,
                           "queries have no scheduler; make this operation a mutation"));
    vmtest_end(&t);
    gen_unref(g);
}

static void coroutines(void **state) {
    vmtest_fails("local co = coroutine.create(function() rbf.fail { message = 'deep' } end) "
                 "coroutine.resume(co)",
                 FAIL_PERMANENT, "deep");
    vmtest_gives(
        "local co = coroutine.wrap(function(...) local x = coroutine.yield(...) error(x, 0) end) "
        "local a = co(1) local ok, e = pcall(co, 'bye') return { a, ok, e }",
        "[1,false,\"bye\"]");
    vmtest_gives("return { xpcall(function() error('x', 0) end, function(e) return e .. '!' end) }",
                 "[false,\"x!\"]");
    vmtest_gives(
        "return { pcall(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end) }",
        "[false,\"/srv/app/app.lua:1: coroutine.yield outside of a coroutine of your own: only the "
        "host "
        "may wait here\"]");
}

/* Handlers are interpreted, also what they load(): in compiled code the hook would never fire. */
static void endless(void **state) {
    static const char *const loops[] = {
        "\nwhile true do end",
        "\nload('while true do end')()",
        "\nwhile true do pcall(function() while true do end end) end",
        "\ncoroutine.wrap(function() while true do end end)()",
        "\nlocal t = setmetatable({}, { __index = function() while true do end end }) return t.x",
        "\nfor _ = 1, 1e9 do z.string():min(2):safeParse('ab') end",
        "\nerror(setmetatable({}, { __tostring = function() while true do end end }))",
    };
    alarm(60); /* else the test would hang */
    gen_limit(60, 0);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        struct gen *g = vmtest_handler(loops[i]);
        struct vmtest t = {0};
        vmtest_run(&t, g, "jobs.op", NULL);
        assert_int_equal(t.event, CALL_FAILED);
        assert_int_equal(t.call->failure.kind, FAIL_ERROR);
        assert_non_null(strstr(t.call->failure.internal,
                               "/srv/app/app.lua:2: stopped: it ran for 60 ms without waiting"));
        vmtest_end(&t);
        vmtest_run(&t, g, "jobs.op", NULL); /* the state is none the worse */
        assert_int_equal(t.event, CALL_FAILED);
        vmtest_end(&t);
        gen_unref(g);
    }
    alarm(0);
    gen_limit(1000, 0);
}

/* Short stretches, however many, are nobody's trouble; nor is the loading of an app. */
static void patient(void **state) {
    gen_limit(60, 0);
    struct gen *g = vmtest_handler("local n = 0 for _ = 1, 40 do local till = os.clock() + .01 "
                                   "while os.clock() < till do n = n + 1 end rbf.sleep { ms = 1 } "
                                   "end return n > 0");
    vmtest_expect(g, NULL, "true");
    gen_unref(g);
    struct err err = {0};
    alarm(60);
    struct tree *tree = vmtest_tree("app.lua", "local x = 1\nwhile x do end", NULL);
    assert_null(gen_load(tree, LUA_DIR, 1, &err));
    if (!strstr(err.msg, "app.lua:2: stopped: it ran for 600 ms"))
        fail_msg("%s", err.msg);
    tree_delete(tree);
    alarm(0);
    gen_limit(1000, 0);
}

/* A handler that eats too much fails, and its state is not to be used for long. */
static void memory(void **state) {
    static const char *const meals[] = {
        "local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000) .. i end",
        "return #('x'):rep(1e9)",
        "local t = 'x' for i = 1, 40 do t = t .. t end return #t",
        "local ok = pcall(string.rep, 'x', 1e9) error('not enough memory: ' .. tostring(ok))",
    };
    for (size_t i = 0; i < sizeof meals / sizeof *meals; i++) {
        gen_limit(1000, 20 << 20);
        struct gen *g = vmtest_handler(meals[i]);
        gen_limit(1000, 0);
        assert_false(g->spent);
        struct vmtest t = {0};
        vmtest_run(&t, g, "jobs.op", NULL);
        assert_int_equal(t.event, CALL_FAILED);
        assert_non_null(strstr(t.call->failure.internal, "not enough memory"));
        assert_true(g->spent);
        vmtest_end(&t);
        vmtest_run(&t, g, "jobs.op", NULL); /* fails again, and that is all */
        assert_int_equal(t.event, CALL_FAILED);
        vmtest_end(&t);
        gen_unref(g);
    }
}

/* What it ate is garbage once it is over: until there is a new state, others work in the old one.
 */
static void memory_spent(void **state) {
    gen_limit(1000, 20 << 20);
    struct gen *g = vmtest_app(
        "base:mutation('jobs', { path = 'op', input = z.any(), handler = function(r) local t = {} "
        "for i = 1, r.input do t[i] = ('x'):rep(1000) .. i end end })");
    gen_limit(1000, 0);
    struct vmtest t = {0};
    vmtest_run(&t, g, "jobs.op", "10000000");
    assert_int_equal(t.event, CALL_FAILED);
    vmtest_end(&t);
    assert_true(g->spent);
    for (int i = 0; i < 50; i++)
        vmtest_expect(g, "1000", "null");
    gen_unref(g);
}

/* Garbage is not what is meant; what is kept is. */
static void memory_kept(void **state) {
    gen_limit(1000, 20 << 20);
    struct gen *g = vmtest_app(
        "local kept = {} base:mutation('jobs', { path = 'op', input = z.any(), handler = "
        "function(r) "
        "local s = ('x'):rep(1e6) .. math.random() if r.input then kept[#kept + 1] = s end end })");
    gen_limit(1000, 0);
    for (int i = 0; i < 100; i++)
        vmtest_expect(g, "false", "null");
    assert_false(g->spent);
    for (int i = 0; i < 14; i++)
        vmtest_expect(g, "true", "null");
    assert_true(g->spent);
    gen_unref(g);
}

/* Two calls of one generation, one waiting while the other runs. */
static void interleaved(void **state) {
    struct gen *g =
        vmtest_handler("rbf.sleep { ms = 1 } r.scheduler:publish(r.input, 1) return r.input");
    struct vmtest a = {0}, b = {0};
    vmtest_begin(&a, g, "jobs.op", "\"a\"");
    vmtest_begin(&b, g, "jobs.op", "\"b\"");
    while (a.event == CALL_ASK)
        vmtest_answer(&a);
    while (b.event == CALL_ASK)
        vmtest_answer(&b);
    assert_string_equal(a.call->result, "\"a\"");
    assert_string_equal(nth(a.call, 0)->subject, "a");
    assert_string_equal(nth(b.call, 0)->subject, "b");
    vmtest_end(&a);
    vmtest_end(&b);
    assert_int_equal(g->vm->refs, 3);
    assert_int_equal(g->refs, 1);
    gen_unref(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request),     cmocka_unit_test(context),
        cmocka_unit_test(middleware),  cmocka_unit_test(middleware_fails),
        cmocka_unit_test(input),       cmocka_unit_test(output),
        cmocka_unit_test(failures),    cmocka_unit_test(failed_with),
        cmocka_unit_test(traceback),   cmocka_unit_test(statement),
        cmocka_unit_test(effects),     cmocka_unit_test(refused_effects),
        cmocka_unit_test(coroutines),  cmocka_unit_test(interleaved),
        cmocka_unit_test(memory),      cmocka_unit_test(memory_spent),
        cmocka_unit_test(memory_kept), cmocka_unit_test(endless),
        cmocka_unit_test(patient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
