-- db:findMany and the others, and parameters of all kinds, in a host on a real server.
local cjson = require "cjson"
local host = require "spec.support.host"

describe("db", function()
  local stage, running

  lazy_setup(function()
    stage = host.stage {
      app = "spec/apps/db", args = { "--max-attempts", "1", "--retry-initial", "10ms" },
    }
    running = stage:start()
  end)

  lazy_teardown(function()
    host.close(stage)
  end)

  before_each(function()
    stage.db:exec [[
      TRUNCATE people, values_, "Odd ""one"."select" RESTART IDENTITY;
      INSERT INTO people (email, name, age, city) VALUES
        ('a@x', 'Ann', 30, 'Rom'), ('b@x', 'Bob', 20, 'Ulm'), ('c@x', 'Cy', NULL, 'Rom'), ('d@y', 'Dee', 40, NULL)]]
  end)

  local function call(path, code)
    return stage:call("jobs." .. path, cjson.encode { code = code })
  end

  local function gives(path, code)
    local reply = call(path, code)
    assert.equal(200, reply.status, code .. "\n" .. reply.raw .. "\n" .. running:tail(4))
    return reply.body
  end

  --- What `run` asks fails with status, and the log then says `part`.
  local function logged(part, status, run)
    local function says(line)
      return type(line.error) == "string" and line.error:find(part, 1, true)
    end
    local before = #running:log(says)
    local reply = run()
    assert.equal(status, reply.status, reply.raw)
    running:await_log(says, 3000, before + 1)
  end

  local function fails(path, code, part, status)
    logged(part, status or 500, function()
      return call(path, code)
    end)
  end

  local function emails(where, more)
    local rows = gives("read", ('return db:findMany("people", { where = %s, columns = "email", orderBy = "id"%s })')
      :format(where, more or ""))
    local list = {}
    for i, row in ipairs(rows) do list[i] = row.email:sub(1, 1) end
    return table.concat(list)
  end

  it("passes on what PostgreSQL thinks was meant", function()
    fails("read", 'return db:findMany("people", { where = { citty = "Rom" } })',
      'column "citty" does not exist; Perhaps you meant to reference the column "people.city".')
  end)

  describe("finds by", function()
    local cases = {
      { 'rbf.all', "abcd" },
      { '{ city = "Rom" }', "ac" },
      { '{ city = "Rom", age = 30 }', "a" },
      { '{ age = rbf.op.ne(30) }', "bd" },
      { '{ age = rbf.op.gt(20) }', "ad" },
      { '{ age = rbf.op.gte(20) }', "abd" },
      { '{ age = rbf.op.lt(30) }', "b" },
      { '{ age = rbf.op.lte(30) }', "ab" },
      { '{ age = rbf.op.between(20, 30) }', "ab" },
      { '{ age = rbf.op.isNull() }', "c" },
      { '{ city = rbf.op.isNotNull() }', "abc" },
      { '{ name = rbf.op.like "%e%" }', "d" },
      { '{ name = rbf.op.ilike "%N" }', "a" },
      { '{ name = rbf.op.ilike "B%" }', "b" },
      { '{ id = rbf.op.in_ { 1, 3, 99 } }', "ac" },
      { '{ email = rbf.op["in"] { "a@x", "it\'s \\"{},\\\\ odd" } }', "a" },
      { '{ id = rbf.op.in_ {} }', "" },
      { '{ id = rbf.op.notIn { 1, 3 } }', "bd" },
      { 'rbf.op.or_({ city = "Ulm" }, { age = rbf.op.gt(30) })', "bd" },
      { 'rbf.op.and_({ city = "Rom" }, rbf.op.not_ { age = rbf.op.isNull() })', "a" },
      { '{ age = rbf.op.or_(rbf.op.lt(25), rbf.op.gt(35)) }', "bd" },
      { '{ email = "a@x\' OR true --" }', "" },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        assert.equal(case[2], emails(case[1]))
      end)
    end
  end)

  it("finds in order, in parts", function()
    assert.equal("bc", emails("rbf.all", ", limit = 2, offset = 1"))
    local rows = gives("read", [[return db:findMany("people", {
      where = rbf.all, columns = { "name", "age" }, orderBy = { { city = "desc nulls last" }, { age = "asc nulls first" } } })]])
    assert.same({ { name = "Bob", age = 20 }, { name = "Cy" }, { name = "Ann", age = 30 }, { name = "Dee", age = 40 } }, rows)
  end)

  it("finds the first, or nil", function()
    assert.same({ first = { id = 4, email = "d@y", name = "Dee", age = 40 } }, gives("read", [[return {
      first = db:findFirst("people", { where = { age = rbf.op.gt(20) }, orderBy = { age = "desc" } }),
      none = db:findFirst("people", { where = { id = 99 } }) }]]))
  end)

  it("updates and deletes, and gives the rows back", function()
    assert.same({ { id = 2, email = "b@x", name = "Bob", age = 21 } },
      gives("write", 'return db:update("people", { age = 21, city = rbf.null }, { where = { id = 2 } })'))
    assert.same({ { id = 2, email = "b@x", name = "Bob", age = 21 } },
      gives("write", 'return db:delete("people", { where = { email = "b@x" } })'))
    assert.equal("[]", call("write", 'return db:delete("people", { where = { email = "b@x" } })').raw)
    assert.equal(3, gives("write", 'return #db:update("people", { city = "Bonn" }, { where = rbf.all })'))
    assert.equal(3, stage.db:value "SELECT count(*) FROM people WHERE city = 'Bonn'")
    assert.equal(3, gives("write", 'return #db:delete("people", { where = rbf.all })'))
  end)

  it("inserts with conflicts", function()
    assert.same({ city = "Kiel", email = "e@y", id = 5, name = "anon" },
      gives("write", 'return db:insert("people", { email = "e@y", city = "Kiel" }, { onConflict = "ignore" })'))
    assert.same({}, gives("write", [[return { row = db:insert("people", { email = "e@y" }, { onConflict = "ignore" }) }]]))
    local rows = gives("write", [[return db:insert("people", { { email = "e@y", name = "Eve" }, { email = "f@y", name = "Flo" } },
      { onConflict = { columns = "email", update = { "name", age = 1 } } })]])
    assert.same({ "Eve", 1, "Kiel", "Flo" }, { rows[1].name, rows[1].age, rows[1].city, rows[2].name })
    assert.equal("Ida", gives("write", [[return db:insert("people", { email = "f@y", name = "Ida", age = 7 },
      { onConflict = { constraint = "people_email_key", update = rbf.all } }).name]]))
    assert.equal(409, call("write", 'db:insert("people", { email = "f@y" })').status)
  end)

  it("quotes names", function()
    local rows = gives("write", [[
      db:insert('Odd "one.select', { { from = 1, ['a "b'] = "x" }, { from = 2 } })
      db:update('Odd "one.select', { ['a "b'] = "y" }, { where = { from = 2 } })
      return db:findMany('Odd "one.select', { where = { ['a "b'] = rbf.op.in_ { "x", "y" } },
        columns = { "from", 'a "b' }, orderBy = { from = "desc" } })]])
    assert.same({ { from = 2, ['a "b'] = "y" }, { from = 1, ['a "b'] = "x" } }, rows)
  end)

  describe("never widens what is found:", function()
    it("a missing header is refused", function()
      logged("db.lua:20: db:delete: where is empty (was a value in it nil?)", 500, function()
        return stage:call "jobs.forget"
      end)
      assert.equal(4, stage:count "people")
      assert.equal(1, stage:call("jobs.forget", nil, { headers = { ["X-Email"] = "a@x" } }).body)
    end)

    it("beside another column as well, with rbf.op.eq", function()
      logged("db.lua:26: rbf.op.eq: the value is nil", 500, function()
        return stage:call "jobs.forgetOp"
      end)
      assert.equal(4, stage:count "people")
    end)
  end)

  describe("sends", function()
    local cases = {
      { "texts", '{ "a b", "", "NULL", "q\\"", "b\\\\s", "{x,y}", "ä", rbf.null }',
        [[{"a b","","NULL","q\"","b\\s","{x,y}",ä,NULL}]], "text[]" },
      { "texts", '{ { "a", "b" }, { "c", "d" } }', "{{a,b},{c,d}}", "text[]" },
      { "texts", "{}", "{}", "text[]" },
      { "texts", '"{a,b}"', "{a,b}", "text[]" },
      { "ints", "{ 1, -2, rbf.null }", "{1,-2,NULL}", "int[]" },
      { "bigs", "{ 9007199254740991 }", "{9007199254740991}", "int8[]" },
      { "uuids", '{ "00000000-0000-0000-0000-00000000000a" }', "{00000000-0000-0000-0000-00000000000a}", "uuid[]" },
      { "bools", "{ true, false }", "{t,f}", "bool[]" },
      { "floats", "{ 0.1, 1e300, -1/0 }", "{0.1,1e300,-Infinity}", "float8[]" },
      { "blobs", '{ "\\0\\255", "\\\\x41", "" }', [[{"\\x00ff","\\x5c783431","\\x"}]], "bytea[]" },
      { "docs", '{ { a = 1 }, { 1, 2 }, "x", true, rbf.array {} }', [[{"{\"a\": 1}","[1, 2]","\"x\"","true","[]"}]], "jsonb[]" },
      { "moods", '{ "sad", "glad" }', "{sad,glad}", "mood[]" },
      { "labels", '{ "a", "b" }', "{a,b}", "text[]" },
      { "days", '{ "2024-02-29T12:00:00Z" }', "{2024-02-29 12:00:00+00}", "timestamptz[]" },
      { "points", '{ "(1,2)" }', '{"(1,2)"}', "text[]" },
      { "doc", '{ list = { 1, 2 }, none = rbf.array {}, no = rbf.null }', '{"list":[1,2],"none":[],"no":null}', "jsonb" },
      { "doc", "{ 1, { 2 } }", "[1,[2]]", "jsonb" },
      { "doc", "true", "true", "jsonb" },
      { "doc", "1.5", "1.5", "jsonb" },
      { "doc", "rbf.json.encode('a\\\\b')", [["a\\b"]], "jsonb" },
      { "doc2", "{ 1 }", "[1]", "json" },
      { "doc3", "{ a = { 1 } }", '{"a":[1]}', "jsonb" },
      { "blob", '"\\0\\1\\254\\255"', "\\x0001feff", "bytea" },
      { "blob", '"plain"', "\\x706c61696e", "bytea" },
      { "blob", [['\\x41']], "\\x5c783431", "bytea" },
      { "hash", '"\\255"', "\\xff", "bytea" },
      { "plain", [['back\\slash \'quoted\'']], "back\\slash 'quoted'", "text" },
      { "mood", '"ok"', "ok", "mood" },
      { "num", '"123456789012345678901234567890.5"', "123456789012345678901234567890.5", "numeric" },
      { "at", '"2024-02-29T13:00:00+01:00"', "2024-02-29 12:00:00+00", "timestamptz" },
      { "flag", "false", "f", "bool" },
    }
    for _, case in ipairs(cases) do
      it(("%s as %s"):format(case[2], case[1]), function()
        local code = ('return db:insert("values_", { %s = %s, id = 1 }).id'):format(case[1], case[2])
        assert.equal(1, gives("write", code))
        assert.equal(1, stage.db:value(("SELECT (%s::%s::text = $1::%s::text)::int FROM values_")
          :format(case[1], case[4], case[4]), case[3]),
          stage.db:value(("SELECT %s::text FROM values_"):format(case[1])))
        -- and the same value finds it
        assert.equal(1, gives("write", ('return #db:update("values_", { %s = %s }, { where = { id = rbf.op.in_ { 1 } } })')
          :format(case[1], case[2])))
      end)
    end

    it("what it reads", function()
      gives("write", [[db:insert("values_", { texts = { "a", rbf.null }, docs = { { a = {} } }, blob = "\0\255", doc = { x = rbf.array {} },
        bools = { true }, num = "1.50", at = "2024-01-01T00:00:00Z", days = { "2024-01-01" }, big = -9007199254740991 })]])
      local code = [[
        local row = db:one "SELECT texts, docs, blob, doc, bools, num, at, days, big FROM values_ WHERE id = 1"
        return db:update("values_", row, { where = { id = 1 } })[1] and { n = #row.blob, row = (function() row.blob = nil return row end)() }]]
      assert.same({ n = 2, row = {
        texts = { "a", cjson.null }, docs = { { a = {} } }, doc = { x = {} }, bools = { true }, num = "1.50",
        at = "2024-01-01 00:00:00+00", days = { "2024-01-01 00:00:00+00" }, big = -9007199254740991,
      } }, gives("write", code))
      assert.equal(1, stage.db:value [[SELECT (blob = '\x00ff' AND doc = '{"x": []}')::int FROM values_]])
    end)

    it("arrays of the app's own types, and reads them", function()
      local row = gives("write", [[
        db:insert("values_", { moods = { "sad", "ok" }, mood = "glad", labels = { "x" } })
        db:exec "CREATE DOMAIN small AS int CHECK (VALUE < 10)"
        local row = db:one("SELECT moods, mood, labels, $1::small[] AS n, $2::digest[] AS h, '{}'::mood[] AS none, "
          .. "NULL::mood[] AS absent FROM values_", { 1, 2 }, { "\0" })
        row.h[1] = #row.h[1]
        db:exec "DROP DOMAIN small"
        return row]])
      assert.same({ moods = { "sad", "ok" }, mood = "glad", labels = { "x" }, n = { 1, 2 }, h = { 1 }, none = {} }, row)
      assert.same({ { moods = { "sad", "ok" } } },
        gives("read", [[return db:findMany("values_", { where = rbf.all, columns = "moods" })]]))
    end)

    it("arrays and jsonb to compare with, and lists of any length", function()
      assert.same({ 1, 1, 0, 2 }, gives("write", [[
        db:insert("values_", { { ints = { 1, 2 } }, { doc = { a = 1 } } })
        local function count(where) return #db:findMany("values_", { where = where }) end
        local ids = {}
        for i = 1, 70000 do ids[i] = i end
        return { count { ints = rbf.op.eq { 1, 2 } }, count { doc = rbf.op.eq { a = 1 } },
          count { ints = rbf.op.eq { 2, 1 } }, count { id = rbf.op.in_(ids) } }]]))
    end)

    it("what fails inside a savepoint, and goes on", function()
      assert.same({ false, "22P02", false, "23505", 4 }, gives("write", [[
        local ok, e = db:savepoint(function() db:insert("values_", { ints = { "no number" } }) end)
        local unique, dup = db:savepoint(function()
          db:delete("people", { where = { id = rbf.op.in_ { 1, 2 } } })
          db:insert("people", { email = "c@x" })
        end)
        return { ok, e.sqlstate, unique, dup.sqlstate, #db:findMany("people", { where = rbf.all }) }]]))
    end)

    it("the same statement with other values", function()
      for i = 1, 3 do
        assert.equal(i, gives("read", ("return #db:one('SELECT $1::int[] AS a', { 1, %s }).a"):format(("2,"):rep(i - 1))))
      end
      assert.same({ "{}", "x", true }, gives("read", [[
        local function ask(v) return db:one("SELECT $1::text AS t", v).t end
        return { ask {}, ask "x", ask("\\") == "\\" }]]))
    end)

    it("arrays to a type that came about in the same transaction", function()
      assert.equal(2, gives("write", [[
        db:exec "CREATE TYPE late AS ENUM ('a', 'b')"
        local n = db:one("SELECT cardinality($1::late[]) AS n", { "a", "b" }).n
        db:exec "DROP TYPE late"
        return n]]))
    end)

    it("nothing that does not fit", function()
      fails("read", "db:one('SELECT $1::int[]', { a = 1 })", "parameter $1 is an array: give it a list, found the key 'a'")
      fails("read", "db:one('SELECT $1::int[]', { 1, nil, 3 })", "parameter $1 is a list with holes; fill them with rbf.null")
      fails("read", "db:one('SELECT $1::bytea', { 1 })", "parameter $1 is a bytea: give it a string of bytes")
      fails("read", "db:one('SELECT $1::text', 'a\\0b')", "parameter $1 holds a NUL byte, which PostgreSQL's text types cannot hold")
      fails("read", "db:one('SELECT $1::text[]', { 'a\\0b' })", "parameter $1 holds a NUL byte")
      fails("read", "db:one('SELECT $1::jsonb', 'plain')", "a string for json or jsonb is JSON text", 400)
      fails("read", "db:one('SELECT 1\\0')", "the statement holds a NUL byte")
      fails("read", "db:one('SELECT $1::int[], $2', {})", "bind message supplies 1 parameters")
      fails("read", "db.findMany('people', { where = rbf.all })", "use db:findMany(…), with a colon")
      fails("read", "db:findMany('people', { were = rbf.all })", "unknown key 'were', did you mean 'where'?")
      fails("read", "db:findMany('people', { where = { agee = 1 } })", 'column "agee" does not exist')
      fails("read", "db:one('SELECT $1::nonsense', {})", 'type "nonsense" does not exist')
    end)
  end)

  it("never rounds: beyond 2^53 is refused with the cure", function()
    fails("read", "return db:one 'SELECT 9007199254740993::int8 AS huge'", "select it as text: huge::text")
    fails("read", "return db:one 'SELECT ARRAY[9007199254740993]::int8[] AS huge'", "select it as text: huge::text")
    assert.equal("9007199254740993", gives("read", "return db:one('SELECT 9007199254740993::int8::text AS huge').huge"))
  end)

  it("says in a query that queries are read-only", function()
    for _, code in ipairs {
      'db:insert("people", { email = "new" })', 'db:update("people", { age = 1 }, { where = rbf.all })',
      'db:delete("people", { where = rbf.all })', 'db:exec "CREATE TABLE t ()"', 'db:one "SELECT nextval(\'people_id_seq\')"',
    } do
      fails("read", code, "in a read-only transaction; queries are read-only: make this operation a mutation (SQLSTATE 25006)")
    end
    assert.equal(4, stage:count "people")
  end)

  it("explains what a statement cannot be, and goes on", function()
    fails("write", 'db:exec "INSERT INTO parents VALUES (1); SELECT 2"', "send one statement a call")
    fails("write", 'db:exec "LISTEN news"', "LISTEN: no handler lives long enough to be notified")
    fails("write", 'db:exec "COPY people TO STDOUT"', "COPY from or to the client is not possible here")
    fails("write", 'db:exec "/* so */ copy people from stdin"', "COPY from or to the client is not possible here")
    fails("write", 'db:exec "WITH x AS (SELECT 1) SELECT 1; COMMIT"', "send one statement a call")
    assert.equal(0, stage:count "parents")
    assert.equal(1, gives("write", "db:exec \"NOTIFY news, 'x'\" return 1"))
    assert.equal(1, #running:log "worker ready")
  end)
end)
