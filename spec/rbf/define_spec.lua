local fresh = require "spec.rbf.fakehost"

describe("defining", function()
  local rbf, z, base
  local function handler() end

  before_each(function()
    rbf = fresh()
    z = rbf.z
    base = rbf.defineBackend { queues = { jobs = {}, events = { timeout = { minutes = 1 } } } }
  end)

  --- The message of what fn raises, which must blame this file.
  local function refusal(fn)
    local ok, why = pcall(fn)
    assert.is_false(ok)
    assert.matches("define_spec%.lua:%d+: ", why)
    return (why:gsub("^.-:%d+: ", ""))
  end

  it("gives operations that know where they are from", function()
    local op = base:mutation("jobs", { path = "users.create", handler = handler })
    assert.equal("mutation jobs.users.create", tostring(op))
    assert.matches("define_spec%.lua:%d+$", op.file)
  end)

  it("chains middleware without changing the app", function()
    local a = base:middleware(handler)
    local b = a:middleware(handler)
    assert.equal(0, #base.chain)
    assert.equal(1, #a.chain)
    assert.equal(2, #b.chain)
  end)

  it("keeps an example that its schema takes, as JSON", function()
    local op = base:mutation("jobs", {
      path = "a", handler = handler, input = z.object { n = z.number() }, example = { n = 1 },
    })
    assert.equal('{"n":1}', op.example)
    assert.matches("^'b': example does not fit its own input schema: .*n: ", refusal(function()
      base:mutation("jobs", {
        path = "b", handler = handler, input = z.object { n = z.number() }, example = { n = "1" },
      })
    end))
  end)

  it("reads queue options", function()
    local queues = require("rbf.registry").queues
    assert.equal(60000, queues.events.timeout)
    assert.equal(25000, queues.jobs.timeout)
    assert.equal("jobs", queues.jobs.subject)
  end)

  it("merges an operation's retry policy over its queue's", function()
    local retry = require "rbf.retry"
    local queue = retry.read({ maxAttempts = 3, initial = { seconds = 1 }, jitter = 0 }, "retry")
    local op = retry.read({ backoff = { { ms = 5 }, { seconds = 2 } } }, "retry")
    assert.same({ maxAttempts = 3, initial = 1000, jitter = 0, backoff = "list", list = { 5, 2000 } },
      retry.merge(queue, op))
    assert.equal(queue, retry.merge(queue, nil))
    assert.is_nil(retry.merge(nil, nil))
  end)

  local function retrying(policy)
    return function() base:mutation("jobs", { path = "a", handler = handler, retry = policy }) end
  end

  local cases = {
    { "a retry policy with an unknown key", retrying { maxAttemps = 3 },
      "a: retry: unknown key 'maxAttemps', did you mean 'maxAttempts'? (known: backoff, initial, jitter, max, maxAttempts)" },
    { "too few attempts", retrying { maxAttempts = 0 },
      "a: retry: maxAttempts must be a whole number from 1 to 100000, found the number 0" },
    { "an unknown backoff", retrying { backoff = "exponentail" },
      'a: retry: backoff must be "exponential", "fixed" or a list of durations such as '
        .. '{ { seconds = 1 }, { minutes = 1 } }, found the string "exponentail", did you mean \'exponential\'?' },
    { "a list without durations", retrying { backoff = {} },
      "a: retry: backoff is an empty list: name at least one duration" },
    { "waits that grow downwards", retrying { initial = { seconds = 2 }, max = { seconds = 1 } },
      "a: retry: initial (2000 ms) is longer than max (1000 ms)" },
    { "jitter in ms", retrying { jitter = 100 },
      "a: retry: jitter is the share of a wait that is drawn at random, from 0 to 1, found the number 100" },
    { "a query with a retry policy", function() base:query("jobs", { path = "a", handler = handler, retry = {} }) end,
      "app:query 'a': a failing query is answered at once, and has no retry policy" },
    { "an unknown queue", function() base:query("evnts", { path = "a", handler = handler }) end,
      "unknown queue 'evnts', did you mean 'events'? (defineBackend knows: events, jobs)" },
    { "an unknown key", function() base:query("jobs", { path = "a", handler = handler, imput = z.any() }) end,
      "app:query: unknown key 'imput', did you mean 'input'? "
        .. "(known: cache, example, group, handler, input, jit, name, output, path, retry, timeout)" },
    { "no path", function() base:query("jobs", { handler = handler }) end,
      "app:query: path must be a string, found nil" },
    { "a bad path", function() base:query("jobs", { path = "a.*", handler = handler }) end,
      "path 'a.*' has a bad token '*'" },
    { "no handler", function() base:query("jobs", { path = "a" }) end,
      "app:query 'a': handler must be a function, found nil" },
    { "no definition", function() base:mutation("jobs") end,
      "app:mutation: the definition must be a table, found nil" },
    { "a dot for a colon", function() base.middleware(handler) end,
      "use app:middleware(…), with a colon, on what rbf.defineBackend gave" },
    { "middleware that is no function", function() base:middleware(7) end,
      "app:middleware's argument must be a function or { before =, after =, onError = }, found the number 7" },
    { "middleware of nothing", function() base:middleware {} end,
      "app:middleware's argument is empty: give it a before, an after or an onError" },
    { "a hook of another name", function() base:middleware { onerror = handler } end,
      "app:middleware's argument: unknown key 'onerror', did you mean 'onError'? (known: after, before, onError)" },
    { "a hook that is no function", function() base:middleware { after = true } end,
      "app:middleware's argument: after must be a function, found the boolean true" },
    { "a queue's bad middleware", function() rbf.defineBackend { queues = { a = { middleware = { befor = handler } } } } end,
      "queue 'a': middleware: unknown key 'befor', did you mean 'before'? (known: after, before, onError)" },
    { "modules that are no list", function() rbf.defineBackend { queues = { a = {} }, modules = { lfs = true } } end,
      "rbf.defineBackend: modules must be a list of names such as { \"openssl.hmac\" }, found the string \"lfs\"" },
    { "a module that is no name", function() rbf.createBackend(base, { modules = { "a/b" } }) end,
      "rbf.createBackend: modules must be a list of names such as { \"openssl.hmac\" }, found the string \"a/b\"" },
    { "no queues", function() rbf.defineBackend { queues = {} } end,
      "rbf.defineBackend: queues is empty, name at least one: queues = { jobs = {} }" },
    { "a queue's bad name", function() rbf.defineBackend { queues = { ["a.b"] = {} } } end,
      "a queue's name must be of letters, digits, '_' and '-', found the string \"a.b\"" },
    { "a queue on the hosts' own subjects", function() rbf.defineBackend { queues = { _RBF = {} } } end,
      "a queue's name must not begin with '_': such subjects are the hosts' and the clients' own; found the string \"_RBF\"" },
    { "a subject of the hosts' own", function() rbf.defineBackend { queues = { a = { subject = "rpc.a" } } } end,
      "queue 'a': subject must not begin with 'rpc', which the request-reply gateway uses; name it otherwise" },
    { "a queue's bad number", function() rbf.defineBackend { queues = { a = { concurrency = 0 } } } end,
      "queue 'a': concurrency must be a whole number from 1 on, found the number 0" },
    { "a group of nobody", function() rbf.defineBackend { queues = { a = { group = 0 } } } end,
      "queue 'a': group must be a whole number from 1 on, found the number 0" },
    { "a group that no transaction should take", function()
      base:mutation("jobs", { path = "a", handler = handler, group = 5000 })
    end, "a: group must be at most 1000, found 5000" },
    { "a group of queries", function() base:query("jobs", { path = "a", handler = handler, group = 2 }) end,
      "app:query 'a': only mutations share a transaction; take `group` away" },
    { "a queue that is not the app's", function()
      rbf.defineBackend { queues = { mine = {} } }:query("jobs", { path = "a", handler = handler })
    end, "queue 'jobs' belongs to another defineBackend" },
    { "settings that are no scalars", function() rbf.createBackend(base, { db = {} }) end,
      "rbf.createBackend: db must be a string, number or boolean, found a table" },
    { "options of an unknown queue", function() rbf.createBackend(base, { queues = { job = {} } }) end,
      "rbf.createBackend: unknown queue 'job', did you mean 'jobs'?" },
    { "a function that rbf does not have", function() rbf.defineBackands {} end,
      "rbf has no 'defineBackands', did you mean 'defineBackend'?" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      assert.equal(case[3], refusal(case[2]))
    end)
  end

  it("names both places of a duplicate", function()
    base:mutation("jobs", { path = "users.$id", handler = handler })
    base:mutation("events", { path = "users.$id", handler = handler })
    assert.matches("^path 'users.%$id' on queue 'jobs' is defined already, at .*define_spec.lua:%d+$",
      refusal(function() base:query("jobs", { path = "users.$id", handler = handler }) end))
    assert.matches("^path 'users.%$user' matches the same subjects as 'users.%$id' %(",
      refusal(function() base:query("jobs", { path = "users.$user", handler = handler }) end))
  end)

  it("merges createBackend's context over the app's", function()
    local app = rbf.defineBackend { queues = { x = {} }, context = { a = 1, b = 2 } }
    rbf.createBackend(app, { context = { b = 3 } })
    assert.same({ a = 1, b = 3 }, app.backend.context)
  end)
end)
