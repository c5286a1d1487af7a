local testing = require "rbf.testing"
local notes = require "notes"

describe("a real host", function()
  local h

  setup(function() h = testing.host() end)

  it("runs mutations and what they schedule, once for each request id", function()
    assert(h:mutate(notes.plan, { requestId = "plan" }))
    local _, err = h:mutate(notes.add, { input = {} })
    assert.equal(400, err.status)
    assert.same({ "key" }, err.issues[1].path)
    assert.equal("one", assert(h:mutate(notes.name, { params = { name = "one" }, requestId = "one" })).name)
    assert.equal("one", assert(h:mutate(notes.name, { params = { name = "one" }, requestId = "one" })).name)
    -- the follow-up took the name "now"
    h:eventually(function() return select(2, h:mutate(notes.name, { params = { name = "now" } })) end)
  end)

  it("says what never became true", function()
    assert.error_matches(function() h:eventually(function() end, 100) end, "h:eventually: nothing true within 100 ms")
  end)

  it("answers queries", function()
    assert.same({ user = "me" }, h:query(notes.mine, { headers = { Authorization = "Bearer secret" } }))
    assert.equal(401, select(2, h:query(notes.mine)).status)
  end)
end)
