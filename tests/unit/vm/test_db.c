/* SPDX-License-Identifier: MIT */
/* Statements and results, on a real server, inside a transaction as the host would have it. */
#include "../pg/pgserver.h"
#include "vmtest.h"

static struct pgserver server;

static void sql(const char *text) {
    PGresult *r = PQexec(pg, text);
    if (PQresultStatus(r) == PGRES_FATAL_ERROR)
        fail_msg("%s: %s", text, PQerrorMessage(pg));
    PQclear(r);
}

static int begin(void **state) {
    sql("BEGIN");
    return 0;
}

static int rollback(void **state) {
    sql("ROLLBACK");
    return 0;
}

static void types(void **state) {
    vmtest_gives(
        "return r.db:one [[SELECT 7::int2 AS a, -8::int4 AS b, 9007199254740992::int8 AS c,"
        " 1.5::float8 AS d, true AS e, '{\"x\":[],\"y\":{},\"z\":null}'::jsonb AS f,"
        " NULL::text AS g, 12.50::numeric AS h, 'x'::text AS i]]",
        "{\"a\":7,\"b\":-8,\"c\":9007199254740992,\"d\":1.5,\"e\":true,"
        "\"f\":{\"x\":[],\"y\":{},\"z\":null},\"h\":\"12.50\",\"i\":\"x\"}");
    vmtest_gives(
        "local row = r.db:one [[SELECT '\\x00ff'::bytea AS b]]; return { #row.b, row.b:byte(2) }",
        "[2,255]");
    vmtest_gives(
        "return r.db:one [[SELECT '{1,NULL,3}'::int[] AS a, '{{a,\"b,\"},{c,d}}'::text[] AS b,"
        " '{}'::bool[] AS c]]",
        "{\"a\":[1,null,3],\"b\":[[\"a\",\"b,\"],[\"c\",\"d\"]],\"c\":[]}");
    vmtest_fails("return r.db:one 'SELECT 9007199254740993::int8 AS big'", FAIL_ERROR,
                 "column 'big' holds 9007199254740993, beyond the ±2^53 that a Lua number holds "
                 "exactly; select it as text: big::text");
    vmtest_fails("return r.db:one [[SELECT '9007199254740993'::jsonb AS big]]", FAIL_ERROR,
                 "column 'big': ");
}

static void parameters(void **state) {
    vmtest_gives(
        "return r.db:one('SELECT $1::int8 AS a, $2::float8 AS b, $3::bool AS c, $4::text AS d,"
        " $5::jsonb AS e, $6::text IS NULL AS f, $7::text IS NULL AS g',"
        " 1e15, 0.1, false, 'é', { list = rbf.array{} }, rbf.null, nil)",
        "{\"a\":1000000000000000,\"b\":0.1,\"c\":false,\"d\":\"é\","
        "\"e\":{\"list\":[]},\"f\":true,\"g\":true}");
    vmtest_fails("r.db:query('SELECT $1', print)", FAIL_ERROR,
                 "parameter $1: a function cannot be sent to PostgreSQL");
    vmtest_fails("r.db:query('SELECT $1, $2', 1, 'a\\0b')", FAIL_ERROR,
                 "parameter $2 holds a NUL byte");
    vmtest_fails("r.db:query('SELECT $1', { f = print })", FAIL_ERROR,
                 "$1.f: a function cannot be sent as JSON");
}

static void verbs(void **state) {
    sql("CREATE TABLE t (id int PRIMARY KEY, name text DEFAULT 'anon', note text)");
    vmtest_gives("return r.db:query 'SELECT 1 AS n WHERE false'", "[]");
    vmtest_gives("return { none = r.db:one 'SELECT 1 AS n WHERE false' }", "{}");
    vmtest_gives("return r.db:exec('INSERT INTO t (id) SELECT generate_series(1, $1)', 5)", "5");
    vmtest_gives("return #r.db:query('DELETE FROM t RETURNING *')", "5");
    vmtest_fails("r.db:one 'SELECT generate_series(1, 2)'", FAIL_ERROR, "db:one found 2 rows");
    vmtest_fails("r.db.query('SELECT 1')", FAIL_ERROR, "use db:query(…), with a colon");
    vmtest_fails("r.db:querry('SELECT 1')", FAIL_ERROR,
                 "db has no 'querry', did you mean 'query'?");
    vmtest_fails("r.db:exec ' commit'", FAIL_ERROR, "COMMIT: the host begins and ends");
}

static void insert(void **state) {
    sql("CREATE TABLE \"Odd \"\"name\" (id serial, name text DEFAULT 'anon', note text)");
    vmtest_gives("return r.db:insert('Odd \"name', { note = 'x' })",
                 "{\"id\":1,\"name\":\"anon\",\"note\":\"x\"}");
    vmtest_gives("return r.db:insert('public.Odd \"name', { { name = 'a' }, { note = 'b', name = "
                 "rbf.null } })",
                 "[{\"id\":2,\"name\":\"a\"},{\"id\":3,\"note\":\"b\"}]");
    vmtest_gives("return r.db:insert('Odd \"name', {})", "{\"id\":4,\"name\":\"anon\"}");
    vmtest_gives("return r.db:insert('Odd \"name', rbf.array {})", "[]");
    vmtest_gives("local rows = {} for i = 1, 20000 do rows[i] = { id = i, name = 'n' } end "
                 "return #r.db:insert('Odd \"name', rows)",
                 "20000");
    vmtest_fails("r.db:insert('Odd \"name', { { 1 } })", FAIL_ERROR,
                 "a column's name must be a string");
}

static void errors(void **state) {
    sql("CREATE TABLE u (id int PRIMARY KEY)");
    vmtest_fails("r.db:exec 'INSERT INTO u VALUES (1), (1)'", FAIL_SQL,
                 "/srv/app/app.lua:1: duplicate key");
    sql("ROLLBACK");
    sql("BEGIN");
    struct vmtest t = {0};
    struct gen *g = vmtest_handler("pcall(r.db.exec, r.db, 'SELECT 1/0') return 'swallowed'");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_FAILED); /* the transaction is lost all the same */
    assert_int_equal(t.call->failure.kind, FAIL_SQL);
    assert_string_equal(t.call->failure.sqlstate, "22012");
    assert_int_equal(t.statements, 1);
    vmtest_end(&t);
    gen_unref(g);
    sql("ROLLBACK");
    sql("BEGIN");
    vmtest_fails("pcall(r.db.exec, r.db, 'SELECT 1/0') r.db:exec 'SELECT 1'", FAIL_ERROR,
                 "the transaction failed at an earlier statement (/srv/app/app.lua:1: division by");
}

static void mapped(void **state) {
    struct vmtest t = {0};
    struct gen *g = vmtest_handler("r.db:one([[SELECT $1::uuid]], 'no uuid')");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.call->failure.status, 400);
    assert_string_equal(t.call->failure.code, "BAD_REQUEST");
    assert_string_equal(t.call->failure.sqlstate, "22P02");
    assert_null(strstr(t.call->failure.message, "uuid")); /* the server's words are for the log */
    vmtest_end(&t);
    gen_unref(g);
}

static void savepoint(void **state) {
    sql("CREATE TABLE s (id int PRIMARY KEY)");
    vmtest_gives(
        "local db, s = r.db, r.scheduler "
        "local ok, a, b = db:savepoint(function() db:insert('s', { id = 1 }) return 'a', 'b' end) "
        "local bad, e = db:savepoint(function() "
        "  db:insert('s', { id = 2 }) s:publish('gone', 1) db:insert('s', { id = 1 }) end) "
        "local worse, plain = db:savepoint(function() db:insert('s', { id = 3 }) error('mine', 0) "
        "end) "
        "return { ok, a, b, bad, e.sqlstate, worse, plain, db:one('SELECT count(*) AS n FROM s').n "
        "}",
        "[true,\"a\",\"b\",false,\"23505\",false,\"mine\",1]");
    vmtest_gives(
        "local db = r.db " /* nested; the inner failure leaves the outer's work */
        "local ok = db:savepoint(function() db:insert('s', { id = 10 }) "
        "  db:savepoint(function() db:insert('s', { id = 11 }) db:exec 'SELECT 1/0' end) end) "
        "return db:query('SELECT id FROM s WHERE id >= 10 ORDER BY id')",
        "[{\"id\":10}]");
    vmtest_gives(
        "local ok, e = r.db:savepoint(function() pcall(r.db.exec, r.db, 'SELECT 1/0') end) "
        "return { ok, e.sqlstate, r.db:one('SELECT 1 AS n').n }",
        "[false,\"22012\",1]");
    vmtest_fails("r.db:savepoint(function() rbf.fail { status = 404, message = 'x' } end)",
                 FAIL_PERMANENT, "x");
    vmtest_fails("r.db:savepoint(function() r.db:exec 'SELECT nonsense' end)", FAIL_SQL,
                 "\"nonsense\" does not exist");
}

static void savepoint_effects(void **state) {
    struct vmtest t = {0};
    struct gen *g =
        vmtest_handler("r.scheduler:publish('kept.a', 1) "
                       "r.db:savepoint(function() r.scheduler:publish('gone', 1) error 'x' end) "
                       "r.scheduler:publish('kept.b', 2)");
    vmtest_run(&t, g, "jobs.op", NULL);
    assert_int_equal(t.event, CALL_DONE);
    struct effect *a = container_of(t.call->effects.next, struct effect, node);
    struct effect *b = container_of(a->node.next, struct effect, node);
    assert_string_equal(a->subject, "kept.a");
    assert_string_equal(b->subject, "kept.b");
    assert_ptr_equal(b->node.next, &t.call->effects);
    assert_int_equal(t.statements, 3); /* SAVEPOINT, ROLLBACK TO, RELEASE: none is left open */
    vmtest_end(&t);
    gen_unref(g);
}

static void coroutines(void **state) {
    vmtest_gives(
        "local gen = coroutine.wrap(function() "
        "  for i = 1, 3 do coroutine.yield(r.db:one('SELECT $1::int * 10 AS n', i).n) end end) "
        "return { gen(), gen(), gen() }",
        "[10,20,30]");
    vmtest_gives("local inner = coroutine.create(function() "
                 "  local co = coroutine.create(function(a) "
                 "    local n = r.db:one('SELECT $1::int AS n', a).n; local b = coroutine.yield(n) "
                 "return b end) "
                 "  local _, n = coroutine.resume(co, 5) "
                 "  local _, b = coroutine.resume(co, 'back') return n, b end) "
                 "return { coroutine.resume(inner) }",
                 "[true,5,\"back\"]");
    vmtest_gives("local t = setmetatable({}, { __index = function(_, k) "
                 "  return r.db:one('SELECT $1::int AS n', k).n end }) return t[4]",
                 "4");
    vmtest_gives("return { pcall(function() return r.db:one('SELECT 6 AS n').n end) }", "[true,6]");
    vmtest_fails("table.sort({ 2, 1 }, function(a, b) return r.db:one('SELECT 1 AS n').n < a end)",
                 FAIL_ERROR, "cannot be asked inside a callback of table.sort");
    vmtest_gives(
        "local s = ('x'):gsub('x', function() "
        "  local co = coroutine.wrap(function() return (pcall(r.db.query, r.db, 'SELECT 1')) end) "
        "  return tostring(co()) end) return s",
        "\"false\"");
}

static void signup(void **state) {
    struct err err;
    struct tree *tree = tree_read(RBF_SHARE "/handlers", &err);
    assert_non_null(tree);
    struct gen *g = vmtest_load(tree);
    struct vmtest t = {0};
    sql("CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text UNIQUE, "
        "name text,"
        " created_at timestamptz DEFAULT now())");
    vmtest_run(&t, g, "jobs.users.create", "{\"email\":\"a@b.de\",\"name\":\"Jo\"}");
    assert_int_equal(t.event, CALL_DONE);
    assert_non_null(strstr(t.call->result, "{\"email\":\"a@b.de\",\"id\":\""));
    assert_null(strstr(t.call->result, "created_at")); /* not in the output schema */
    struct effect *e = container_of(t.call->effects.next, struct effect, node);
    assert_int_equal(e->type, EFFECT_REQUEST);
    assert_string_equal(e->subject, "events.email.sendWelcome");
    assert_memory_equal(e->data, "{\"userId\":\"", 11);
    vmtest_end(&t);
    vmtest_run(&t, g, "jobs.users.create", "{\"email\":\"a@b.de\",\"name\":\"Jo\"}");
    assert_int_equal(t.call->failure.kind, FAIL_PERMANENT);
    assert_int_equal(t.call->failure.status, 409);
    assert_string_equal(t.call->failure.code, "EMAIL_TAKEN");
    vmtest_end(&t);
    gen_unref(g);
}

static int start(void **state) {
    pgserver_start(&server);
    pg = PQconnectdb(server.url);
    return PQstatus(pg) == CONNECTION_OK ? 0 : -1;
}

static int stop(void **state) {
    PQfinish(pg);
    pgserver_stop(&server);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, rollback)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(types),      TEST(parameters), TEST(verbs),     TEST(insert),
        TEST(errors),     TEST(mapped),     TEST(savepoint), TEST(savepoint_effects),
        TEST(coroutines), TEST(signup),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
