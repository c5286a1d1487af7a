-- Queries that end after one statement: COMMIT travels with it, until one wants a second.
local cjson = require "cjson"
local host = require "spec.support.host"

local ONES = 20 -- more than a host wants to see before it believes (core/query.c)

describe("a query that ends after one statement", function()
  local stage, running

  before_each(function()
    stage = host.stage { app = "spec/apps/db" }
    running = stage:start()
    stage.db:exec "INSERT INTO people (email, name) VALUES ('a@x', 'Ann')"
    for _ = 1, ONES do
      assert.equal(1, stage:call("jobs.read", cjson.encode { code = 'return #db:query "SELECT 1"' }).body)
    end
  end)

  after_each(function()
    assert.same({}, running:log(function(line) return line.msg and line.msg:find("a bug", 1, true) ~= nil end))
    host.close(stage)
  end)

  local function read(code)
    return stage:call("jobs.read", cjson.encode { code = code })
  end

  local function begun()
    return #running:log(function(line) return line.msg == "begun" end)
  end

  it("is run again as usual where it wants a second: both see one moment, and nothing can be written", function()
    local two = [[rbf.log:info "begun"
      local a = db:one "SELECT now()::text AS at, pg_backend_pid() AS pid"
      local b = db:one("SELECT now()::text AS at, pg_backend_pid() AS pid, $1::int AS n", 7)
      return { a.at == b.at, a.pid == b.pid, b.n, db:one("SHOW transaction_read_only").transaction_read_only }]]
    assert.same({ true, true, 7, "on" }, read(two).body)
    running:await_log(function(line) return line.msg == "begun" end, 3000, 2)
    assert.equal(2, begun()) -- it had been believed
    assert.same({ true, true, 7, "on" }, read(two).body)
    running:await_log(function(line) return line.msg == "begun" end, 3000, 3)
    assert.equal(3, begun()) -- and is not any more
    for _ = 1, ONES do assert.equal(1, read('return #db:query "SELECT 1"').body) end
    read(two)
    running:await_log(function(line) return line.msg == "begun" end, 3000, 4)
    assert.equal(4, begun()) -- nor so soon again
  end)

  it("asks for types, and is still one", function()
    local code = [[rbf.log:info "begun" return #db:query("SELECT 1 WHERE 1 = ANY($1::int[])", rbf.array { 1 })]]
    for i = 1, 3 do
      assert.equal(1, read(code).body)
      running:await_log(function(line) return line.msg == "begun" end, 3000, i)
    end
    assert.equal(3, begun())
  end)

  it("fails as before", function()
    local cases = {
      { 'return db:one "SELECT nothing FROM nowhere"', 500 },
      { 'return db:one "INSERT INTO people (email, name) VALUES (\'b@x\', \'B\') RETURNING 1"', 500 },
      { 'pcall(db.one, db, "SELECT 1 / 0") return 1', 500 }, -- swallowed: its transaction failed all the same
      { 'db:one "SELECT 1" error "after it"', 500 },
      { 'db:one "SELECT 1" rbf.fail { status = 418, code = "TEA", message = "pot" }', 418 },
    }
    for _, case in ipairs(cases) do
      local reply = read(case[1])
      assert.equal(case[2], reply.status, case[1] .. reply.raw)
      assert.equal(1, read('return #db:query "SELECT 1"').body)
    end
    assert.equal(1, stage.db:value "SELECT count(*) FROM people")
  end)

  it("undoes a part by a savepoint", function()
    local code = [[local ok = db:savepoint(function() db:one "SELECT 1 / 0" end)
      return { ok, #db:query "SELECT 1" }]]
    assert.same({ false, 1 }, read(code).body)
  end)
end)
