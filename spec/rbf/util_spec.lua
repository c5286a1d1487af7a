local rbf = require("spec.rbf.fakehost")()
local util = require "rbf.util"
local errors = require "rbf.errors"

describe("did you mean", function()
  local names = { "handler", "input", "output", "path" }

  it("finds what a slip of the finger meant", function()
    assert.equal("handler", util.nearest("handlr", names))
    assert.equal("handler", util.nearest("hnadler", names))
    assert.equal("input", util.nearest("Input", names))
    assert.equal("output", util.nearest("ouput", names))
    assert.equal("path", util.nearest("paht", names))
  end)

  it("is silent when nothing is near", function()
    assert.is_nil(util.nearest("middleware", names))
    assert.equal("", util.did_you_mean("x", names))
  end)
end)

describe("durations", function()
  it("add their units up", function()
    assert.equal(500, util.duration({ ms = 500 }, "d"))
    assert.equal(90061001, util.duration({ days = 1, hours = 1, minutes = 1, seconds = 1, ms = 1 }, "d"))
    assert.equal(1500, util.duration({ seconds = 1.5 }, "d"))
    assert.has_error(function() util.duration({ days = 1e11 }, "d") end)
  end)

  it("are refused when they say nothing or too much", function()
    for _, bad in ipairs { 5, "5s", {}, { seconds = -1 }, { seconds = "1" }, { sec = 1 }, { ms = 1 / 0 } } do
      assert.has_error(function() util.duration(bad, "d") end)
    end
  end)
end)

describe("errors", function()
  local function raised(fn, ...)
    local ok, e = pcall(fn, ...)
    assert.is_false(ok)
    return e
  end

  it("of rbf.fail carry what the caller shall read", function()
    local e = raised(errors.fail, { status = 409, code = "TAKEN", message = "taken", details = { 1 } })
    local c = errors.classify(e)
    assert.same({ "permanent", 409, "TAKEN", "taken", "[1]" }, { c.kind, c.status, c.code, c.message, c.details })
  end)

  it("of rbf.fail have a code for each status", function()
    local codes = {
      [400] = "BAD_REQUEST", [401] = "UNAUTHORIZED", [403] = "FORBIDDEN", [404] = "NOT_FOUND", [409] = "CONFLICT",
      [422] = "UNPROCESSABLE_CONTENT", [429] = "TOO_MANY_REQUESTS", [418] = "BAD_REQUEST", [503] = "INTERNAL_SERVER_ERROR",
    }
    for status, code in pairs(codes) do
      assert.equal(code, raised(errors.fail, { status = status }).code)
    end
  end)

  it("keep the server's words from the caller", function()
    local c = errors.classify(errors.sql("duplicate key value violates constraint x", "23505"))
    assert.equal(409, c.status)
    assert.equal("CONFLICT", c.code)
    assert.not_matches("constraint", c.message)
    assert.matches("constraint x %(SQLSTATE 23505%)", c.internal)
    c = errors.classify(raised(function() rbf.z.object { secret = rbf.z.string() }:parse { secret = 1 } end))
    assert.same({ "error", 500, "Internal server error" }, { c.kind, c.status, c.message })
    assert.is_nil(c.details)
    c = errors.classify(errors.sql("division by zero", "22012"))
    assert.same({ "sql", 500, "Internal server error" }, { c.kind, c.status, c.message })
  end)

  it("of other kinds are hidden behind one sentence", function()
    local c = errors.classify "users.lua:3: boom"
    assert.same({ "error", 500, "Internal server error", "users.lua:3: boom" },
      { c.kind, c.status, c.message, c.internal })
  end)

  it("are explained where Lua's words do not help", function()
    assert.matches("cannot wait", errors.explain "x:1: attempt to yield across C-call boundary")
    assert.matches("queries have no scheduler",
      errors.explain "x:1: attempt to index field 'scheduler' (a nil value)")
    assert.equal("other", errors.explain "other")
  end)
end)
