local testing = require "rbf.testing"
local notes = require "notes"

local t = testing.load { commit = true }

describe("with real commits", function()
  it("commits", function()
    local before = t.db:one("SELECT txid_current() AS id").id
    assert(t:mutate(notes.add, { input = { key = "k" } }))
    assert.not_equal(before, t.db:one("SELECT txid_current() AS id").id)
    local _, err = t:mutate(notes.add, { input = { key = "k" } })
    assert.same({ 409, "CONFLICT" }, { err.status, err.code })
    assert.same({ { key = "k" } }, t:query(notes.list))
    _, err = t:mutate(notes.both)
    assert.equal(500, err.status)
    assert.equal("25006", select(2, t:query(notes.writes)).sqlstate)
  end)

  it("begins with an empty database", function()
    assert.same({}, t:query(notes.list))
    assert(t:mutate(notes.plan))
    t:drain()
    assert.equal("now", t.db:one("SELECT name FROM names").name)
  end)
end)
