local rbf = require "rbf"
local testing = require "rbf.testing"
local notes = require "notes"

local t = testing.load()

local function count() return t.db:one("SELECT count(*) AS n FROM names").n end

describe("a mutation", function()
  it("gives its result", function()
    assert.equal("a b.c", assert(t:mutate(notes.name, { params = { name = "a b.c" } })).name)
    assert.equal("a b.c", t.db:one("SELECT name FROM names").name)
  end)

  it("is called by its path, as defined or filled in", function()
    assert.equal("x", assert(t:mutate("jobs.notes.name.$name", { params = { name = "x" } })).name)
    assert.equal("y", assert(t:mutate "jobs.notes.name.y").name)
    assert.equal(1, assert(t:mutate("slow.flaky", { input = { fail = 0 } })))
    assert.equal(2, count())
  end)

  it("that fails leaves nothing, and what was there before stays", function()
    assert(t:mutate "jobs.notes.name.before")
    local result, err = t:mutate(notes.both)
    assert.is_nil(result)
    assert.equal(500, err.status)
    assert.equal("INTERNAL_SERVER_ERROR", err.code)
    assert.matches("notes.lua:%d+: then it broke", err.internal)
    assert.matches("notes.lua:%d+: then it broke", tostring(err))
    assert.equal(1, count())
    assert.nothing_scheduled()
  end)

  it("gets the host's answer to a unique violation", function()
    assert(t:mutate "jobs.notes.name.x")
    local _, err = t:mutate "jobs.notes.name.x"
    assert.same({ 409, "CONFLICT", "23505" }, { err.status, err.code, err.sqlstate })
  end)

  it("fails at its end when a deferred constraint does", function()
    assert(t:mutate(notes.add, { input = { key = "k" } }))
    local _, err = t:mutate(notes.add, { input = { key = "k" } })
    assert.same({ 409, "CONFLICT", "23505" }, { err.status, err.code, err.sqlstate })
    assert.same({ { key = "k" } }, t:query(notes.list))
    -- and constraints are deferred again
    t.db:exec("INSERT INTO notes (key) VALUES ('again'), ('again')")
    assert.has_error(function() t.db:exec "SET CONSTRAINTS ALL IMMEDIATE" end)
  end)

  it("cannot swallow an SQL error", function()
    local _, err = t:mutate(notes.swallows)
    assert.equal("23505", err.sqlstate)
    assert.equal(0, count())
  end)

  it("says what is wrong with its input", function()
    local _, err = t:mutate(notes.add, { input = { key = 1 } })
    assert.same({ 400, "BAD_REQUEST" }, { err.status, err.code })
    assert.same({ "key" }, err.issues[1].path)
  end)

  it("is stopped when it never ends", function()
    local _, err = t:mutate(notes.endless)
    assert.equal(500, err.status)
    assert.matches("notes.lua", err.internal)
  end)

  it("has its onError hooks", function()
    local _, err = t:mutate(notes.maps)
    assert.same({ 410, "TAKEN" }, { err.status, err.code })
  end)

  it("leaves no settings to what follows", function()
    assert.equal("pg_catalog", assert(t:mutate(notes.role)).path)
    assert.equal(0, count())
  end)
end)

describe("a query", function()
  it("is read-only", function()
    local _, err = t:query(notes.writes)
    assert.equal("25006", err.sqlstate)
    assert(t:mutate "jobs.notes.name.after")
  end)

  it("goes through the middleware", function()
    local _, err = t:query(notes.mine)
    assert.equal(401, err.status)
    assert.same({ user = "me" }, t:query(notes.mine, { headers = { Authorization = "Bearer secret" } }))
    local known = t:with_headers { Authorization = "Bearer other" }:with_context { token = "other" }
    assert.same({ user = "me" }, known:query(notes.mine))
    assert.equal(401, select(2, t:query(notes.mine, { headers = { Authorization = "Bearer other" } })).status)
  end)
end)

describe("isolation", function()
  setup(function() t.db:insert("names", { name = "set up" }) end)

  for i = 1, 2 do
    it("gives each spec what setup made: " .. i, function()
      assert.equal(1, count())
      assert(t:mutate "jobs.notes.name.mine")
      assert.equal(2, count())
    end)
  end

  describe("inside", function()
    before_each(function() t.db:insert("names", { name = "each" }) end)
    it("adds up", function() assert.equal(2, count()) end)
    it("does not pile up", function() assert.equal(2, count()) end)
  end)

  it("holds in a coroutine of the spec's, too", function()
    local results = {}
    local co = coroutine.wrap(function()
      results[1] = assert(t:mutate "jobs.notes.name.mine").name
      coroutine.yield(1)
      results[2] = count()
    end)
    assert.equal(1, co())
    co()
    assert.same({ "mine", 2 }, results)
  end)

  it("survives a statement that fails", function()
    assert.has_error(function() t.db:insert("names", { name = "set up" }) end)
    assert.equal(1, count())
  end)
end)

describe("and after that", function()
  it("nothing is left", function() assert.equal(0, count()) end)
end)

describe("a connection that breaks", function()
  local function kill() t.db:query "SELECT pg_terminate_backend(pg_backend_pid())" end

  it("fails the spec", function() assert.has_error(kill) end)
  it("and no other", function() assert.equal(0, count()) end)
end)

describe("factories", function()
  it("insert rows", function()
    local note = t:factory("notes", function(n) return { key = "key " .. n, owner = "f" } end)
    assert.equal("key 1", note().key)
    assert.equal("me", note({ owner = "me" }).owner)
  end)
end)

describe("time and ids", function()
  local ids = {}

  for i = 1, 2 do
    it("are the spec's own", function()
      t:setTime(1767225600000)
      local made = assert(t:mutate "jobs.notes.name.n")
      assert.equal(1767225600000, made.at)
      assert.equal(made.at, rbf.now())
      ids[i] = made.id
      if i == 2 then assert.equal(ids[1], ids[2]) end
      t:advance { minutes = 1 }
      assert.equal(made.at + 60000, rbf.now())
      assert.not_equal(made.id, rbf.uuid())
    end)
  end

  it("stand still", function()
    local before = rbf.now()
    t.db:query("SELECT pg_sleep(0.02)")
    assert.equal(before, rbf.now())
    assert.is_true(math.abs(before - os.time() * 1000) < 600000)
  end)
end)
