--- cache = {…} of a query: what a definition may say.
local rbf = require("spec.rbf.fakehost")()

describe("cache = {…}", function()
  local app = rbf.defineBackend { queues = { jobs = {} } }
  local handler = function() end
  local key = function() return "k" end
  local n = 0

  local function define(kind, cache)
    n = n + 1
    return app[kind](app, "jobs", { path = "p" .. n, cache = cache, handler = handler })
  end

  local function refusal(kind, cache)
    local ok, message = pcall(define, kind, cache)
    assert.is_false(ok)
    return message
  end

  it("takes a key, and a ttl in seconds", function()
    assert.same({ key = key, ttl = 60000 }, define("query", { key = key }).cache)
    assert.same({ key = key, ttl = 1500 }, define("query", { key = key, ttl = 1.5 }).cache)
    assert.is_nil(define("query", nil).cache)
  end)

  local cases = {
    { "a mutation", "mutation", { key = key }, "cache is for queries; a mutation takes what it outdates away by r.cache:invalidate(key)" },
    { "what is no table", "query", 60, "cache must be a table, found the number 60" },
    { "an unknown key", "query", { key = key, tll = 1 }, "unknown key 'tll', did you mean 'ttl'?" },
    { "a key that is no function", "query", { key = "k" }, "cache.key must be a function that gives the key" },
    { "a ttl of nothing", "query", { key = key, ttl = 0 }, "cache.ttl must be a number of seconds above 0" },
    { "a ttl that is a duration", "query", { key = key, ttl = { seconds = 1 } }, "(write ttl = 60, not ttl = { seconds = 60 })" },
    { "a ttl for ever", "query", { key = key, ttl = math.huge }, "30 days at most" },
    { "a ttl that is no number", "query", { key = key, ttl = 0 / 0 }, "cache.ttl must be a number" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      local message = refusal(case[2], case[3])
      assert.truthy(message:find(case[4], 1, true), message)
      assert.truthy(message:find("spec/rbf/cache_spec.lua:", 1, true), message)
    end)
  end
end)
