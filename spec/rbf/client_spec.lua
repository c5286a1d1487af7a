local fresh = require "spec.rbf.fakehost"

describe("backend", function()
  local rbf, host, asked, answers

  before_each(function()
    rbf = fresh()
    host = package.loaded["rbf.host"]
    local app = rbf.defineBackend { queues = { jobs = {}, slow = { subject = "s.low" } } }
    local function handler() end
    app:mutation("jobs", { path = "users.create", name = "createUser", handler = handler })
    app:query("slow", { path = "users.get.$id", name = "getUser", handler = handler })
    asked, answers = {}, {}
    host.uuid = function() return "fresh" end
    host.decode = require("cjson").decode
    host.headers = function() return "{}" end
    host.subject = function(queue, path, params)
      return queue .. "." .. path:gsub("%$(%w+)", params)
    end
    host.ask = function(question, ...)
      if question == "client.send" then
        asked[#asked + 1] = { ... }
        return true, #asked
      end
      return true, unpack(answers[...], 1, 4)
    end
  end)

  after_each(function()
    for _, name in ipairs { "uuid", "decode", "headers", "subject", "ask" } do host[name] = nil end
  end)

  it("says what to send, with defaults", function()
    answers[1] = { 200, '{"id":1}' }
    assert.same({ id = 1 }, rbf.backend.mutations.createUser { input = { 1 } })
    assert.same({ "mutation", "jobs.users.create", nil, "fresh", "[1]", 30000, 2 }, asked[1])
    answers[2] = { 200, "null" }
    assert.is_nil(rbf.backend.queries.getUser {
      params = { id = 7 }, headers = { a = "b" }, timeout = { seconds = 1 }, retries = 0, requestId = "mine",
    })
    assert.same({ "query", "s.low.users.get.7", "{}", "mine", "null", 1000, 0 }, asked[2])
  end)

  it("raises what came instead of a result, at the caller's line", function()
    local cases = {
      { { 409, '{"code":"TAKEN","message":"taken","issues":[]}' }, 409, "TAKEN", "taken (409 TAKEN)", {} },
      { { 404, '{}' }, 404, "INTERNAL_SERVER_ERROR", "no message (404 INTERNAL_SERVER_ERROR)" },
      { { 500, '"odd"' }, 500, "INTERNAL_SERVER_ERROR", "no message (500 INTERNAL_SERVER_ERROR)" },
      { { 504, nil, "TIMEOUT", "too late" }, 504, "TIMEOUT", "too late (504 TIMEOUT)" },
    }
    for i, case in ipairs(cases) do
      answers[i] = case[1]
      local ok, e = pcall(rbf.backend.mutations.createUser)
      assert.is_false(ok)
      assert.same({ case[2], case[3], case[5], "fresh" }, { e.status, e.code, e.issues, e.requestId })
      assert.equal(rbf.Error, getmetatable(e))
      assert.equal(case[4], tostring(e):match "^.*client_spec%.lua:%d+: (.*)$")
    end
  end)

  it("sends without waiting, and waits once", function()
    local first, second = rbf.backend.mutations.createUser:send(), rbf.backend.mutations.createUser:send()
    assert.equal(2, #asked)
    answers[2] = { 200, "2" }
    assert.equal(2, second:wait())
    answers[2] = nil
    assert.equal(2, second:wait())
    answers[1] = { 409, '{"code":"TAKEN","message":"taken"}' }
    assert.matches("1 of the requests that were sent and not waited for failed; this one: .*taken",
      require("rbf.client").finish())
    assert.is_nil(require("rbf.client").finish())
    assert.has_error(function() first:wait() end)
  end)

  local cases = {
    { "an unknown name", function(b) b.mutations.creatUser() end,
      "backend.mutations: no mutation 'creatUser', did you mean 'createUser'? (the app has: createUser)" },
    { "the other kind", function(b) b.mutations.getUser() end, "'getUser' is a query: use backend.queries.getUser" },
    { "an unknown key", function(b) b.queries.getUser { param = {} } end,
      "backend.queries.getUser: unknown key 'param', did you mean 'params'? "
      .. "(known: headers, input, params, requestId, retries, timeout)" },
    { "an unknown param", function(b) b.queries.getUser { params = { idd = 1 } } end,
      "params of users.get.$id: unknown key 'idd', did you mean 'id'? (known: id)" },
    { "params without any", function(b) b.mutations.createUser { params = { id = 1 } } end,
      "backend.mutations.createUser: path 'users.create' has no parameters" },
    { "a number as timeout", function(b) b.mutations.createUser { timeout = 3 } end,
      "backend.mutations.createUser: timeout must be a duration such as { seconds = 30 }, found the number 3" },
    { "odd retries", function(b) b.mutations.createUser { retries = 1.5 } end,
      "backend.mutations.createUser: retries must be a whole number from 0 to 1000, found the number 1.5" },
    { "an empty request id", function(b) b.mutations.createUser { requestId = "" } end,
      "backend.mutations.createUser: requestId must be 1 to 200 bytes of printable UTF-8" },
    { "something else than options", function(b) b.mutations.createUser "x" end,
      "backend.mutations.createUser's argument must be a table, found the string \"x\"" },
    { "a method that is none", function(b) b.mutations.createUser.sned {} end,
      "backend.mutations.createUser is called, as in backend.mutations.createUser { input = … }, or sent; "
      .. "it has no 'sned', did you mean 'send'?" },
    { "a dot where a colon belongs", function(b) b.mutations.createUser.send {} end,
      "use send with a colon: backend.mutations.NAME:send { … }" },
    { "an assignment", function(b) b.mutations.createUser = 1 end,
      "backend.mutations cannot be changed: app:mutation defines operations" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      local ok, why = pcall(case[2], rbf.backend)
      assert.is_false(ok)
      assert.equal(case[3], (why:gsub("^.-client_spec%.lua:%d+: ", "")))
      assert.equal(0, #asked)
    end)
  end

  it("says where it works, when nobody can wait", function()
    host.ask = function() return nil end
    assert.error_matches(function() rbf.backend.mutations.createUser() end,
      "backend.mutations.createUser works in a script that `rbf exec` runs, and not in a callback of C code")
    host.ask = function() return false, "no" end
    assert.error_matches(function() rbf.backend.mutations.createUser() end, "backend.mutations.createUser: no")
  end)
end)
