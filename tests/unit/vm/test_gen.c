/* SPDX-License-Identifier: MIT */
/* Loading: what is in a generation, and what the user reads when a file cannot be part of one. */
#include "vmtest.h"
#include <pthread.h>

#define APP                                                                                        \
    "local rbf = require 'rbf'\n"                                                                  \
    "return rbf.defineBackend { queues = { jobs = {}, events = { subject = 'ev', stream = 'EV',"   \
    " timeout = { seconds = 5 } } } }\n"
#define HANDLER "handler = function() end"

static void good(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua", APP, "mail/send.lua",
        "local app = require 'app'\n"
        "return { send = app:mutation('events', { path = 'mail.send.$to', " HANDLER " }) }",
        "users.lua",
        "local app, mail = require 'app', require 'mail.send'\n"
        "assert(mail == require 'mail/send')\n"
        "return { get = app:query('jobs', { path = 'users.get', timeout = { ms = 70 }, " HANDLER
        " }), again = mail.send }",
        NULL));
    assert_int_equal(g->n_queues, 2);
    assert_string_equal(g->queues[0].name, "events");
    assert_string_equal(g->queues[0].subject, "ev");
    assert_string_equal(g->queues[0].stream, "EV");
    assert_int_equal(g->queues[0].timeout_ms, 5000);
    assert_null(g->queues[1].stream);
    assert_int_equal(g->queues[1].timeout_ms, 25000);
    assert_int_equal(g->queues[1].ack_wait_ms, 30000);
    assert_int_equal(g->n_ops, 2);
    assert_string_equal(g->ops[0].name, "send"); /* of the file that defined it */
    assert_string_equal(g->ops[0].file, "mail/send.lua:2");
    assert_int_equal(g->ops[0].queue, 0);
    assert_int_equal(g->ops[0].timeout_ms, 5000);
    assert_int_equal(g->ops[1].type, OP_QUERY);
    assert_int_equal(g->ops[1].timeout_ms, 70);
    assert_int_equal(router_match(g->router, "ev.mail.send.jo", NULL), 0);
    assert_int_equal(router_match(g->router, "jobs.users.get", NULL), 1);
    assert_string_equal(g->options, "{}");
    assert_string_equal(g->version, "0123456789ab");
    struct buf b = {0};
    gen_describe(g, &b);
    assert_non_null(strstr(b.p, "{\"type\":\"query\",\"queue\":\"jobs\",\"path\":\"users.get\","
                                "\"name\":\"get\",\"file\":\"users.lua:3\",\"subject\":\"jobs\","
                                "\"example\":null}"));
    buf_free(&b);
    gen_unref(g);
}

static void main_lua(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua", APP, "main.lua",
        "return require('rbf').createBackend(require 'app', { db = 'postgres://x', workers = 2, "
        "context = { a = 1 }, queues = { jobs = { stream = 'J' } } })",
        "op.lua",
        "return { op = require('app'):mutation('jobs', { path = 'op', handler = function(r) return "
        "r.ctx.a end }) }",
        NULL));
    assert_string_equal(g->options, "{\"db\":\"postgres://x\",\"workers\":2}");
    assert_string_equal(g->queues[1].stream, "J");
    vmtest_expect(g, NULL, "1");
    gen_unref(g);
    assert_string_equal(
        vmtest_refused(vmtest_tree("main.lua", "return 7", NULL)),
        "/srv/app/main.lua: must return rbf.createBackend(app, {…}), found the number 7");
}

/* A file that returns its operation by a tail call is off the stack by then. */
static void tail_call(void **state) {
    struct gen *g = vmtest_load(vmtest_tree(
        "app.lua", APP, "op.lua",
        "return require('app'):mutation('jobs', { path = 'op',\n handler = function() end })",
        NULL));
    assert_string_equal(g->ops[0].file, "op.lua:2");
    assert_null(g->ops[0].name);
    gen_unref(g);
}

static void refused(const char *body, const char *expected) {
    char *text = xasprintf("local rbf = require 'rbf'\nlocal app = require 'app'\n%s", body);
    const char *found = vmtest_refused(vmtest_tree("app.lua", APP, "users.lua", text, NULL));
    free(text);
    if (strncmp(found, expected, strlen(expected)) != 0)
        fail_msg("found \"%s\"", found);
}

static void definitions(void **state) {
    refused("app:mutation('job', { path = 'a', " HANDLER " })",
            "/srv/app/users.lua:3: unknown queue 'job', did you mean 'jobs'? (defineBackend knows: "
            "events, jobs)");
    refused("app:mutation('jobs', { path = 'a', handlr = print })",
            "/srv/app/users.lua:3: app:mutation: unknown key 'handlr', did you mean 'handler'?");
    refused(
        "app:query('jobs', { path = 'a', handler = 'x' })",
        "/srv/app/users.lua:3: app:query 'a': handler must be a function, found the string \"x\"");
    refused("app:query('jobs', { path = 'a..b', " HANDLER " })", "/srv/app/users.lua:3: ");
    refused("app:query('jobs', { path = 'a', input = {}, " HANDLER " })",
            "/srv/app/users.lua:3: a: input must be a schema such as z.string(), found a table");
    refused("app.mutation('jobs', { path = 'a', " HANDLER " })",
            "/srv/app/users.lua:3: use app:mutation(…), with a colon");
    refused("app:mutaton('jobs', {})",
            "/srv/app/users.lua:3: an app has no 'mutaton', did you mean 'mutation'?");
    refused(
        "app:mutation('jobs', { path = 'a', timeout = 3, " HANDLER " })",
        "/srv/app/users.lua:3: a: timeout must be a duration such as { seconds = 30 }, found the "
        "number 3");
    refused("rbf.defineBackend { queues = { jobs = {} } }",
            "/srv/app/users.lua:3: queue 'jobs' is defined already");
    refused("rbf.defineBackend { queues = { other = { subject = 'ev' } } }",
            "/srv/app/users.lua:3: queues 'events' and 'other' have the same subject 'ev'");
    refused("rbf.defineBackend { queues = { other = { strem = 'x' } } }",
            "/srv/app/users.lua:3: queue 'other': unknown key 'strem', did you mean 'stream'?");
}

/* Their metamethods run where something protects and watches, or not at all. */
static void error_objects(void **state) {
    refused("error { code = 1 }",
            "/srv/app/users.lua: the error is a table where a string was expected");
    refused("error(setmetatable({}, { __tostring = function() error 'x' end }))",
            "/srv/app/users.lua: the error is a table where a string was expected");
    refused("error(setmetatable({}, { __tostring = function() return 'mine' end }))",
            "/srv/app/users.lua: mine");
    refused("rbf.fail { message = 'no' }", "/srv/app/users.lua:3: no");
    gen_limit(20, 0);
    refused("error(setmetatable({}, { __tostring = function() while true do end end }))",
            "/srv/app/users.lua:3: stopped: it ran for 200 ms");
    gen_limit(1000, 0);
}

static void duplicates(void **state) {
    refused("app:mutation('jobs', { path = 'a.b', " HANDLER " })\n"
            "app:query('jobs', { path = 'a.b', " HANDLER " })",
            "/srv/app/users.lua:4: path 'a.b' on queue 'jobs' is defined already, at users.lua:3");
    refused("app:mutation('jobs', { path = 'a.$x', " HANDLER " })\n"
            "app:query('jobs', { path = 'a.$y', " HANDLER " })",
            "/srv/app/users.lua:4: path 'a.$y' matches the same subjects as 'a.$x' (users.lua:3)");
    refused(
        "local b = app:mutation('jobs', { path = 'b', " HANDLER ", name = 'same' })\n"
        "return { same = app:query('jobs', { path = 'c', " HANDLER " }), b = b }",
        "/srv/app/users.lua: operation 'same' (c) is called 'same' as well as b at users.lua:3; "
        "give one of them a name");
}

static void broken(void **state) {
    refused("local x = = 1", "/srv/app/users.lua:3: unexpected symbol near '='");
    refused("local x = nil .. 'a'", "/srv/app/users.lua:3: attempt to concatenate a nil value");
    refused("error('just\\nso', 0)", "/srv/app/users.lua: just so");
    refused("\\27LJ", "/srv/app/users.lua:3: ");
    assert_non_null(strstr(vmtest_refused(vmtest_tree("a.lua", "\33LJ\2", NULL)), "a.lua"));
}

static void modules(void **state) {
    refused("require 'ap'",
            "/srv/app/users.lua:3: no module 'ap' in the app's folder (looked for ap.lua, "
            "ap/init.lua), did you mean 'app'?");
    refused("require 'io'", "/srv/app/users.lua:3: no module 'io': handlers have no files");
    refused("require 'ffi'", "/srv/app/users.lua:3: no module 'ffi': handlers cannot call C");
    refused("require 'rbf.run'", "/srv/app/users.lua:3: 'rbf.run' is private to the framework");
    refused(
        "assert(require('cjson').null == rbf.null and require 'bit' and require 'table.new' and "
        "require 'rbf.z' == rbf.z) error('fine', 0)",
        "/srv/app/users.lua: fine");
    assert_string_equal(vmtest_refused(vmtest_tree("a.lua", "local b = require 'b'", "b.lua",
                                                   "\nlocal a = require 'a'", NULL)),
                        "/srv/app/b.lua:2: files require each other: a.lua → b.lua → a.lua; "
                        "require one of them inside "
                        "the handler's function");
}

static void globals(void **state) {
    refused("helper = 1",
            "/srv/app/users.lua:3: global 'helper' is not allowed; write 'local helper'");
    refused("function print() end", "/srv/app/users.lua:3: global 'print' is not allowed");
    refused("return stirng.rep('a', 2)",
            "/srv/app/users.lua:3: undefined global 'stirng', did you mean 'string'?");
    refused(
        "assert(not io and not ffi and jit and not setfenv and not package and not debug.getinfo "
        "and "
        "not os.execute and not os.exit and not os.getenv and not string.dump) error('fine', 0)",
        "/srv/app/users.lua: fine");
    refused("local f, why = load('\\27LJ') error(tostring(f) .. why, 0)",
            "/srv/app/users.lua: nilattempt to load chunk with wrong mode");
    refused("load('x = 1')()", "/srv/app/users.lua:3: global 'x' is not allowed");
}

/* Lua cuts long chunk names; what users read is whole. */
static void long_path(void **state) {
    struct tree *t = vmtest_tree("quite/long/path/below/a/folder/that/is/deep/enough.lua",
                                 "\nlocal x = nil + 1", NULL);
    assert_string_equal(vmtest_refused(t),
                        "/srv/app/quite/long/path/below/a/folder/that/is/deep/enough.lua:2: "
                        "attempt to perform arithmetic on a nil value");
    t = vmtest_tree("quite/long/path/below/a/folder/that/is/deep/enough.lua", "\nlocal x = = 1",
                    NULL);
    assert_string_equal(vmtest_refused(t),
                        "/srv/app/quite/long/path/below/a/folder/that/is/deep/enough.lua:2: "
                        "unexpected symbol near '='");
}

static void note_buried(struct gen *g, void *arg) {
    struct gen **buried = arg;
    assert_null(*buried);
    *buried = g;
}

static void *delete_there(void *arg) {
    gen_delete(arg);
    return NULL;
}

/* Who gives back the last reference only hands it on; any thread may close the state. */
static void buried(void **state) {
    struct gen *g = vmtest_load(vmtest_tree("app.lua", APP, NULL)), *got = NULL;
    pthread_t thread;
    gen_bury(g, note_buried, &got);
    gen_unref(gen_ref(g));
    assert_null(got);
    gen_unref(g);
    assert_ptr_equal(got, g);
    assert_int_equal(pthread_create(&thread, NULL, delete_there, g), 0);
    pthread_join(thread, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),          cmocka_unit_test(main_lua),
        cmocka_unit_test(tail_call),     cmocka_unit_test(definitions),
        cmocka_unit_test(error_objects), cmocka_unit_test(duplicates),
        cmocka_unit_test(broken),        cmocka_unit_test(modules),
        cmocka_unit_test(globals),       cmocka_unit_test(long_path),
        cmocka_unit_test(buried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
