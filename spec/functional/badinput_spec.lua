-- What users get wrong: each time one line that says what to do, and an exit code that is not 0.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local servers = require "spec.support.servers"
local proc = require "spec.support.proc"

-- An app with one file of operations.
local function app_with(text, name)
  local dir = proc.temp_dir "bad"
  proc.write_file(dir .. "/app.lua", [[
    local rbf = require "rbf"
    return { app = rbf.defineBackend { queues = { jobs = {} } } }
  ]])
  proc.write_file(dir .. "/" .. (name or "ops.lua"), text)
  return dir
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

-- It ended with an error, and one line holds all the words.
local function assert_refused(words, code, out, err)
  assert.not_equal(0, code, "exit code; it said: " .. out .. err)
  assert.truthy(code < 128, "it was killed: " .. err)
  assert.is_nil(err:find "stack traceback", err)
  local lines = lines_of(err)
  assert.equal(1, #lines, #lines .. " lines: " .. err)
  for _, line in ipairs(lines) do
    local all = true
    for _, word in ipairs(words) do
      all = all and line:find(word, 1, true) ~= nil
    end
    if all then
      return line
    end
  end
  error(("no line with %s in: %s"):format(table.concat(words, ", "), err), 2)
end

describe("bad input at the start:", function()
  local postgres, nats_server, db_url

  setup(function()
    postgres, nats_server = servers.postgres(), servers.nats()
    db_url = postgres:new_database()
    local code, _, err = host.rbf("db:init", "--apply", "--database-url", db_url)
    assert.equal(0, code, err)
  end)

  local function run(app, ...)
    return host.rbf("run", app, "--log-format", "json", "--subject-prefix", "bad.", ...)
  end

  local function run_here(app)
    return run(app, "--database-url", db_url, "--nats-url", nats_server.url)
  end

  it("no DATABASE_URL", function()
    assert_refused({ "DATABASE_URL", "--database-url" }, run("handlers", "--nats-url", nats_server.url))
  end)

  it("no NATS_URL", function()
    assert_refused({ "NATS_URL", "--nats-url" }, run("handlers", "--database-url", db_url))
  end)

  it("PostgreSQL not reachable", function()
    local line = assert_refused({ "127.0.0.1" }, run("handlers", "--nats-url", nats_server.url,
      "--database-url", "postgres://me:secret@127.0.0.1:1/none"))
    assert.is_nil(line:find("secret", 1, true), "the password is in the message")
  end)

  it("nats-server not reachable", function()
    assert_refused({ "127.0.0.1:1" },
      run("handlers", "--database-url", db_url, "--nats-url", "nats://127.0.0.1:1"))
  end)

  it("the same for each of several workers", function()
    assert_refused({ "127.0.0.1:1" },
      run("handlers", "--workers", "3", "--database-url", db_url, "--nats-url", "nats://127.0.0.1:1"))
  end)

  it("a database without the host's tables", function()
    assert_refused({ "db:migrate" },
      run("handlers", "--database-url", postgres:new_database(), "--nats-url", nats_server.url))
  end)

  it("a flag that does not exist", function()
    assert_refused({ "--workrs", "--workers" }, host.rbf("run", "handlers", "--workrs", "2"))
  end)

  it("a flag's value that is none", function()
    assert_refused({ "workers", "many" }, host.rbf("run", "handlers", "--workers", "many"))
  end)

  it("a command that does not exist", function()
    assert_refused({ "rnu", "run" }, host.rbf("rnu"))
  end)

  it("a folder that does not exist", function()
    assert_refused({ "/no/such/folder" }, run_here("/no/such/folder"))
  end)

  it("a folder without handlers", function()
    local dir = proc.temp_dir "empty"
    assert_refused({ dir }, run_here(dir))
  end)

  local HEAD = 'local app = require("app").app\n' -- line 1 of each file
  for _, case in ipairs {
    {
      "an unknown queue",
      [[return { a = app:mutation("jbos", { path = "a", handler = function() end }) }]],
      { "ops.lua:2", "jbos", "jobs" },
    },
    {
      "a path that exists twice",
      [[local a = app:mutation("jobs", { path = "a.b", handler = function() end })
        local b = app:mutation("jobs", { path = "a.b", handler = function() end })
        return { a = a, b = b }]],
      { "ops.lua:3", "a.b", "ops.lua:2" },
    },
    {
      "one path with two parameter names",
      [[local a = app:mutation("jobs", { path = "u.$id", handler = function() end })
        local b = app:mutation("jobs", { path = "u.$userId", handler = function() end })
        return { a = a, b = b }]],
      { "ops.lua:3", "u.$id", "u.$userId" },
    },
    {
      "a key of a definition that does not exist",
      [[return { a = app:mutation("jobs", { path = "a", handlr = function() end }) }]],
      { "ops.lua:2", "handlr", "did you mean 'handler'" },
    },
    {
      "a handler that is no function",
      [[return { a = app:mutation("jobs", { path = "a", handler = "no" }) }]],
      { "ops.lua:2", "handler", "function" },
    },
    {
      "a path that is none",
      [[return { a = app:mutation("jobs", { path = "a..b", handler = function() end }) }]],
      { "ops.lua:2", "a..b" },
    },
    {
      "no path",
      [[return { a = app:mutation("jobs", { handler = function() end }) }]], { "ops.lua:2", "path" },
    },
    {
      "two operations of one name",
      [[local a = app:mutation("jobs", { name = "same", path = "a", handler = function() end })
        local b = app:mutation("jobs", { name = "same", path = "b", handler = function() end })
        return { a = a, b = b }]],
      { "ops.lua:", "same" },
    },
    { "an error of syntax", "return {\n  a = = 1,\n}", { "ops.lua:3" } },
    { "an error while loading", "error 'no licence'", { "ops.lua:2", "no licence" } },
    { "a global that is written", "counter = 1\nreturn {}", { "ops.lua:2", "counter", "local" } },
    { "a module that does not exist", 'require "nowhere"', { "ops.lua:2", "nowhere" } },
  } do
    it("an app with " .. case[1], function()
      assert_refused(case[3], run_here(app_with(HEAD .. case[2])))
    end)
  end
end)

describe("bad input while running", function()
  local stage, running

  setup(function()
    stage = host.stage { app = "handlers", args = { "--unknown-grace", "100ms" } }
    running = stage:start()
  end)

  teardown(function()
    host.close(stage)
  end)

  it("of every kind leaves the host alive and every message accounted for", function()
    local requests = {}
    local function send(path, data, headers)
      requests[#requests + 1] = stage.client:start {
        subject = stage.prefix .. path, data = data, headers = headers,
      }
    end
    for _ = 1, 10 do
      for _, data in ipairs { "", "{", "[", "nul", '"\237\160\128"', "\0", ("["):rep(5000), '{"email":{}}' } do
        send("jobs.users.create", data)
      end
      send("jobs.users.create.more", "{}")
      send("jobs.users.get.%zz", "null")
      send("jobs.users.get.%ff", "null")
      send("events.email.sendWelcome", '{"userId":7}')
      send("jobs.users.create", "{}", { ["Content-Type"] = "text/html" })
      send("jobs.users.create", "{}", { ["Expires-At"] = "yesterday" })
      send("jobs.users.create", "{}", { ["Target-At"] = "-" })
      send("jobs.users.create", "{}", { ["RBF-Attempt"] = "many" })
    end
    assert.equal(0, stage.client:wait_all(requests, 30000), "requests without a reply")
    local by_status = {}
    for _, request in ipairs(requests) do
      local status = request.reply.status
      by_status[status] = (by_status[status] or 0) + 1
      assert.truthy(status >= 400 and status < 500, request.data:sub(1, 50) .. ": " .. request.reply.raw)
      assert.truthy(request.reply.body.code)
      assert.truthy(request.reply.body.message)
    end
    stage:settle { "jobs", "events" }
    assert.equal(0, stage:count "rbf_dead_letters")
    local text = {}
    for status, n in pairs(by_status) do
      text[#text + 1] = ("%d × %d"):format(n, status)
    end
    host.figures("bad input", "%d bad messages: %s", #requests, table.concat(text, ", "))
    local good = stage:call("jobs.users.create", { email = "ok@example.com", name = "Okay" })
    assert.equal(200, good.status)
    assert.equal(1, #running:log "worker ready")
  end)

  it("published over the server's limit costs only the publisher", function()
    local rude = nats.connect(stage.nats.url)
    pcall(rude.publish, rude, {
      subject = stage:subject("jobs", "users.create"), data = ("x"):rep(1024 * 1024 + 10),
    })
    rude:close()
    local good = stage:call("jobs.users.create", { email = "ok2@example.com", name = "Okay" })
    assert.equal(200, good.status)
  end)

  it("with secrets in URLs never shows them in the log", function()
    for _, line in ipairs(running:log()) do
      for _, value in pairs(line) do
        assert.is_nil(tostring(value):find "://[^/]*:[^/*]+@")
      end
    end
  end)
end)
