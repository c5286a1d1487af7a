local testing = require "rbf.testing"
local notes = require "notes"

local t = testing.load()

local function keys()
  local list = {}
  for i, row in ipairs(t:query(notes.list)) do list[i] = row.key end
  return list
end

describe("the scheduler", function()
  it("keeps what was scheduled", function()
    local id = assert(t:mutate(notes.plan))
    assert.scheduled(notes.add, { input = { key = "delayed" } }, { after = { hours = 1 } })
    assert.scheduled(notes.add, { input = { key = match.is_string() }, headers = { ["X-From"] = "plan" } })
    assert.scheduled(notes.add, { input = match._, id = id }, { at = t:now() + 3600000 })
    assert.scheduled("jobs.notes.name.$name", { params = { name = "now" } })
    assert.not_scheduled(notes.add, { input = { key = "other" } })
    assert.not_scheduled(notes.add, { input = {} })
    assert.not_scheduled(notes.add, nil, { after = { hours = 2 } })
    assert.not_scheduled(notes.list)
    assert.published("news.notes", { planned = true })
    assert.not_published("news.notes", { planned = false })
    assert.equal(3, #t.scheduled)
  end)

  it("starts each spec with nothing", function()
    assert.nothing_scheduled()
    assert.same({}, t.pending)
  end)

  it("takes an id once", function()
    assert(t:mutate(notes.plan))
    t.db:exec("DELETE FROM names")
    assert(t:mutate(notes.plan))
    assert.equal(5, #t.scheduled)
    t:drain()
    t.db:exec("DELETE FROM names")
    assert(t:mutate(notes.plan))
    assert.equal(7, #t.scheduled)
  end)

  it("cancels", function()
    local id = assert(t:mutate(notes.plan))
    local _, err = t:mutate(notes.unplan, { input = { id = id, fail = true } })
    assert.equal(500, err.status)
    assert.scheduled(notes.add)
    t:advance { minutes = 59 }
    assert.is_true(t:mutate(notes.unplan, { input = { id = id } }))
    assert.is_false(t:mutate(notes.unplan, { input = { id = id } }))
    assert.not_scheduled(notes.add, { input = { key = "delayed" } })
    t:advance { hours = 1 }
    t:drain()
    assert.equal(0, #t.pending)
    assert.not_equal("delayed", keys()[1])
  end)

  it("does not cancel what is due", function()
    local id = assert(t:mutate(notes.plan))
    t:advance { hours = 1 }
    assert.is_false(t:mutate(notes.unplan, { input = { id = id } }))
  end)
end)

describe("the cache", function()
  local function n() return t:query(notes.cached).n end

  it("keeps answers until they expire or are invalidated", function()
    assert.same({}, t.cache)
    assert.equal(0, n())
    assert.same({ notes = { n = 0 } }, t.cache)
    t.db:insert("notes", { key = "beside" })
    assert.equal(0, n())
    t:advance { seconds = 59 }
    assert.equal(0, n())
    t:advance { seconds = 1 }
    assert.is_nil(t.cache.notes)
    assert.equal(1, n())
    t:mutate(notes.change, { input = { key = "bad" } })
    t.db:insert("notes", { key = "beside 2" })
    assert.equal(1, n())
    assert(t:mutate(notes.change, { input = { key = "good" } }))
    assert.equal(3, n())
  end)

  it("begins empty", function() assert.same({}, t.cache) end)
end)

describe("drain", function()
  it("runs what is due, and retries by their policy", function()
    t:setTime(1767225600000)
    assert(t:mutate(notes.plan))
    local outcomes = t:drain()
    assert.equal(3, #outcomes)
    assert.equal("jobs.notes.name.$name", outcomes[1].path)
    assert.is_false(outcomes[2].ok)
    assert.equal(500, outcomes[2].err.status)
    assert.equal(2, outcomes[3].result)
    assert.equal(1767225600000 + 10000, t:now())
    assert.same({}, keys())
    assert.equal(1, #t.pending)
  end)

  it("leaves delayed tasks until the clock is there", function()
    t:setTime(1767225600000)
    assert(t:mutate(notes.plan))
    t:drain()
    t:advance { minutes = 59 }
    t:drain()
    assert.same({}, keys())
    t:advance { minutes = 1 }
    t:drain()
    assert.same({ "delayed", "hourly" }, keys())
  end)

  it("gives up when the attempts are used up", function()
    t:setTime(1767225600000)
    local _, err = t:mutate(notes.flaky, { input = { fail = 9 }, attempt = 3 })
    assert.is_nil(err.retry_ms)
    _, err = t:mutate(notes.flaky, { input = { fail = 9 }, attempt = 2 })
    assert.equal(60000, err.retry_ms)
  end)

  it("fires crons that the clock passes", function()
    t:setTime(1767225600000) -- a full hour
    t:advance { hours = 3 }
    assert.equal(3, #t.pending)
    assert.scheduled(notes.add, { input = { key = "hourly" } }, { at = 1767225600000 + 7200000 })
    local outcomes = t:drain()
    assert.equal(3, #outcomes)
    assert.equal(2, #t.dead) -- the key is taken by then
    assert.same({ "hourly" }, keys())
  end)
end)

describe("rbf.http", function()
  it("gets the answers of the spec", function()
    t.http:reply { method = "POST", url = "https://api.example.com/.*", json = { fine = true } }
    assert.same({ fine = true }, t:mutate(notes.asks, { input = { url = "https://api.example.com/pay" }, requestId = "one" }))
    assert.equal(1, #t.http.calls)
    assert.equal('{"a":1}', t.http.calls[1].body)
    assert.equal("one/1", t.http.calls[1].headers["Idempotency-Key"])
  end)

  it("fails as the spec says", function()
    t.http:reply { fails = "connection refused" }
    local _, err = t:mutate(notes.asks, { input = { url = "https://api.example.com/" } })
    assert.matches("connection refused", err.internal)
  end)

  it("fails the spec for what nobody expected", function()
    t.http:reply { url = "https://other.example.com/", times = 1 }
    for _, catch in ipairs { false, true } do
      local ok, why = pcall(t.mutate, t, notes.asks, { input = { url = "https://api.example.com/", catch = catch } })
      assert.is_false(ok)
      assert.matches("notes.lua:%d+: unexpected request POST https://api.example.com/", why)
    end
  end)
end)
