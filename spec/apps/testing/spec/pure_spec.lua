-- No database is started for these.
local rbf = require "rbf"
local notes = require "notes"
local helper = require "spec.helper"

describe("without a database", function()
  it("calls a middleware as a function", function()
    local r = { ctx = { token = "x" }, msg = { headers = { authorization = "Bearer x" } } }
    assert.same({ ctx = { user = "me" } }, notes.auth(r))
    r.msg.headers.authorization = "Bearer y"
    local ok, e = pcall(notes.auth, r)
    assert.is_false(ok)
    assert.equal(401, e.status)
    assert.error_matches(function() notes.auth(r) end, "who are you")
  end)

  it("has what its annotations name", function()
    local f = assert(io.open "lua/rbf/meta/testing.lua")
    local text, t, n = f:read "*a", require("rbf.testing").load(), 0
    f:close()
    for name in text:gmatch "\nfunction T:([%w_]+)" do
      assert.is_function(t[name], name)
      n = n + 1
    end
    assert.equal(9, n)
    assert.is_function(t.http.reply)
  end)

  it("checks a schema", function()
    assert.is_true(notes.add.input:safeParse({ key = helper.key }).success)
    assert.is_false(notes.add.input:safeParse({}).success)
    assert.same({ 1 }, rbf.json.decode "[1]")
  end)
end)
