-- Messages, errors and statements that try to make the host loop, block, or lose something.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("the host survives", function()
  local stage, running

  before_each(function()
    stage = host.stage {
      app = "spec/apps/hostile",
      args = { "--max-attempts", "2", "--retry-initial", "10ms", "--unknown-grace", "0ms",
        "--connections", "4" },
    }
    running = stage:start()
  end)

  after_each(function()
    stage:close()
  end)

  local function store(path, data, headers)
    stage.client:store { subject = stage:subject("jobs", path), data = data, headers = headers }
  end

  local function await_letter(request_id)
    return proc.eventually(function()
      return stage.db:query("SELECT * FROM rbf_dead_letters WHERE request_id = $1", request_id)[1]
    end, 10000, function()
      return "a dead letter of " .. request_id .. "; the host said:\n" .. running:tail()
    end)
  end

  it("an error message that is no UTF-8", function()
    store("cut", "", { ["Request-Id"] = "cut" })
    assert.matches("cut .* here", await_letter("cut").error_message)
    stage:settle { "jobs" }
    assert.equal(2, stage.db:value "SELECT last_value FROM runs")
  end)

  it("a handler that never ends, and catches what would end it", function()
    running:stop()
    running = stage:start { args = { "--watchdog", "100ms" } }
    store("endless", "", { ["Request-Id"] = "endless" })
    assert.equal(200, stage:call("jobs.plain", {}).status)
    assert.matches("app/hostile.lua:24: stopped: it ran for 100 ms",
      await_letter("endless").error_message)
    stage:settle { "jobs" }
  end)

  it("a handler that keeps what it should not: its state is made anew", function()
    running:stop()
    running = stage:start { args = { "--memory-limit", "32" } }
    local calls = 0
    proc.eventually(function()
      calls = calls + 1
      local status = stage:call("jobs.leak").status -- 500 between the limit and the new state
      assert.truthy(status == 200 or status == 500)
      return #running:log(function(line)
        return line.msg:find("near its memory limit", 1, true)
      end) >= 2
    end, 30000, "two new states")
    assert.is_true(tonumber(stage:call("jobs.leak").raw) < calls)
  end)

  it("handlers that keep much, but not all: it says so less and less often", function()
    running:stop()
    running = stage:start { args = { "--memory-limit", "32" } }
    local renewed
    proc.eventually(function() -- to 22 MB within each state: above 60 %, below the limit
      assert.equal(200, stage:call("jobs.hoard").status)
      renewed = running:log(function(line) return line.msg:find("near its memory limit", 1, true) end)
      return #renewed == 4
    end, 60000, "four new states")
    local took = stage.db:value("SELECT extract(epoch FROM $2::timestamptz - $1::timestamptz)", renewed[1].time, renewed[4].time)
    assert.truthy(took >= 10, took) -- at 0, 2, 6 and 14 s; every 2 s it would be 6
  end)

  it("many subjects that are no UTF-8", function()
    for i = 1, 8 do
      store("x\255y", "{}", { ["Request-Id"] = "subject" .. i })
    end
    assert.equal(200, stage:call("jobs.plain", {}).status)
    for i = 1, 8 do
      await_letter("subject" .. i)
    end
    stage:settle { "jobs" }
  end)

  it("a header of ours that lies", function()
    for i, value in ipairs { "99999999999999999999", "soon", "-1" } do
      store("plain", "no JSON", { ["Request-Id"] = "seen" .. i, ["RBF-First-Seen"] = value })
      assert.equal("400", stage.db:query("SELECT status FROM rbf_results WHERE request_id = $1",
        await_letter("seen" .. i).request_id)[1].status)
    end
    for i, value in ipairs { "99999999999999999999", "soon", "-1", "-99999999999", "" } do -- how often it was tried
      store("nowhere", "1", { ["Request-Id"] = "tried" .. i, ["RBF-Unknown"] = value })
      assert.equal("NOT_FOUND", await_letter("tried" .. i).error_code)
    end
    stage:settle { "jobs" }
    assert.equal(0, stage:count "mark")
  end)

  it("payloads that jsonb writes differently, parked and run again", function()
    for i, data in ipairs { "\n", " ", '{"x":1e-20000}', '{"x":1e20}', '{"x":1e300}', '{"a":1.0}' } do
      store("twice", data, { ["Request-Id"] = "twice" .. i })
    end
    stage:settle { "jobs" }
    assert.equal(6, stage:count "mark")
    assert.equal(0, stage:count "rbf_dead_letters")
  end)

  it("a parked message with headers for its server", function()
    local info = stage.client:stream_info(stage.client:stream_of(stage:subject("jobs", "x")))
    store("twice", "1", {
      ["Request-Id"] = "expected", ["Nats-Expected-Stream"] = info.name,
      ["Nats-Expected-Last-Sequence"] = tostring(info.last_seq or 0),
    })
    stage:settle { "jobs" }
    assert.equal(1, stage:count "mark")
    assert.equal(0, stage:count "rbf_dead_letters")
  end)

  it("empty messages that say they are a 503", function()
    for _ = 1, 20 do
      store("plain", "", { Status = "503" })
    end
    assert.equal(200, stage:call("jobs.plain", {}).status)
  end)

  it("an id that is enqueued while it is pending: the pending job stays", function()
    assert.equal(200, stage:call("jobs.later").status)
    assert.equal(200, stage:call("jobs.sooner").status)
    running:stop() -- whatever was to be published is, then
    local rows = stage.db:query("SELECT data, target_at FROM rbf_outbox")
    assert.equal(1, #rows)
    assert.equal("1", rows[1].data)
    assert.truthy(rows[1].target_at)
    assert.equal(0, stage:count "mark")
  end)

  it("a handler with a search_path of its own", function()
    assert.equal(200, stage:call("jobs.tenant").status)
    assert.equal(200, stage:call("jobs.plain", {}).status)
  end)

  it("a handler that ends its transaction behind a comment", function()
    assert.not_equal(200, stage:call("jobs.chain").status)
    assert.equal(0, stage:count "mark")
  end)

  it("a query that ends its own backend", function()
    assert.equal(500, stage:call("jobs.suicide").status)
    assert.truthy(#running:log "suicide runs" <= 4)
    assert.equal(200, stage:call("jobs.plain", {}).status)
  end)

  it("a malformed query: no dead letter", function()
    store("suicide", "{")
    stage:settle { "jobs" }
    assert.equal(0, stage:count "rbf_dead_letters")
  end)

  it("a query with a timeout of its own: PostgreSQL's limits fit it", function()
    assert.same({ statement = "1min", idle = "62s" }, stage:call("slow.limits").body)
  end)
end)

describe("one request cannot spoil the next:", function()
  local stage
  lazy_setup(function()
    stage = host.stage {
      args = { "--max-attempts", "1" },
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local z = rbf.z
          local app = rbf.defineBackend { queues = { jobs = {} } }
          local gen = coroutine.wrap(function(r)
            while true do r.db:one "SELECT pg_sleep(0.3)"; r = coroutine.yield(1) end
          end)
          local shared = app:mutation("jobs", { path = "shared", handler = function(r) return gen(r) end })
          local tells = app:mutation("jobs", { path = "tells", handler = function(r)
            error(setmetatable({}, { __tostring = function()
              coroutine.wrap(function() r.db:one "SELECT 1" end)()
              return "told"
            end }))
          end })
          local leaked
          local leak = app:mutation("jobs", { path = "leak", handler = function(r)
            leaked = r.db
            error "and ends"
          end })
          local use = app:mutation("jobs", { path = "use", handler = function(r)
            local ok, why = pcall(function() leaked:one "SELECT 1" end)
            return ok or tostring(why)
          end })
          local code = app:mutation("jobs", { path = "code", input = z.object { code = z.string() }, handler = function(r)
            return tostring(assert(loadstring("local r, rbf = ... " .. r.input.code))(r, rbf))
          end })
          return { shared = shared, tells = tells, code = code, leak = leak, use = use }]],
      },
    }
    stage:start()
  end)
  lazy_teardown(function() stage:close() end)

  it("a coroutine that two of them resume", function()
    local calls = stage:start_many("jobs.shared", 4, function() return nil end)
    assert.equal(0, stage.client:wait_all(calls))
    assert.equal("ok", stage:call("jobs.code", { code = "return 'ok'" }).body)
  end)

  it("a db of a request that failed", function()
    assert.equal(500, stage:call("jobs.leak").status)
    assert.matches("belongs to a request that has ended", stage:call("jobs.use").body)
  end)

  it("an error that asks the database when it is told", function()
    assert.equal(500, stage:call "jobs.tells".status)
    assert.equal("ok", stage:call("jobs.code", { code = "return 'ok'" }).body)
  end)

  for _, code in ipairs {
    "r.scheduler.enqueue = function() end", "rbf.fail = print", "rbf.log.info = print", "rbf.json.encode = 1",
    "rbf.z.string = 1", "getmetatable(r.db).one = print", "getmetatable(rbf.null).x = 1",
    "getmetatable('').__index.rep = 1", "setmetatable(r.scheduler, {})", "rawset(rbf, 'fail', 1)",
    "coroutine.resume(coroutine.running())", "rbf.Error.__tostring = print",
    "rbf.Error.__index.__tostring = print", "require('cjson').encode = print",
    "local s = rbf.z.string(); getmetatable(select(2, pcall(s.parse, s, 1))).__index = {}",
  } do
    it(code, function()
      assert.equal(500, stage:call("jobs.code", { code = code }).status)
    end)
  end

  it("cjson is there, and an error of ours is known by its metatable", function()
    assert.equal('{"a":1}', stage:call("jobs.code", { code = "return require('cjson').encode { a = 1 }" }).body)
    assert.equal("true", stage:call("jobs.code", { code = [[
      local s = rbf.z.string()
      local _, e = pcall(s.parse, s, 1)
      return getmetatable(e) == rbf.Error
    ]] }).body)
  end)

  it("its own string functions stay its own", function()
    stage:call("jobs.code", { code = "string.upper = nil" })
    assert.equal("A", stage:call("jobs.code", { code = "return ('a'):upper()" }).body)
  end)
end)

describe("an app that leaves no memory for its work", function()
  it("is refused in one line, and by a reload too", function()
    local text = [[
      local rbf = require "rbf"
      local app = rbf.defineBackend { queues = { jobs = {} } }
      local kept = {}
      for i = 1, %d do kept[i] = ("x"):rep(1e6) .. i end
      return { a = app:mutation("jobs", { path = "a", handler = function() return #kept end }) }]]
    local stage = host.stage { app = { ["app.lua"] = text:format(25) }, args = { "--memory-limit", "32" } }
    finally(function() stage:close() end)
    local refused = stage:start { no_wait = true }
    assert.equal(1, (refused:wait()))
    assert.equal(1, #refused:log())
    local why = "the app holds 2%d MB once it is loaded, of the 32 MB of %-%-memory%-limit"
    assert.matches(why, refused:log()[1].msg)
    stage:write("app.lua", text:format(2))
    local running = stage:start { watch = true }
    assert.equal(2, stage:call("jobs.a").body)
    stage:write("app.lua", text:format(25))
    running:await_log(function(line) return line.level == "error" and line.msg:find(why) end)
    assert.equal(2, stage:call("jobs.a").body)
  end)
end)

describe("a reload", function()
  it("with settings that no worker could start with is refused", function()
    local main = 'return require("rbf").createBackend(require("app").app, { maxAttempts = %s })'
    local stage = host.stage {
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local app = rbf.defineBackend { queues = { jobs = {} } }
          return { app = app, a = app:mutation("jobs", { path = "a", handler = function() return 1 end }) }]],
        ["main.lua"] = main:format "3",
      },
    }
    finally(function() stage:close() end)
    local running = stage:start { watch = true }
    stage:write("main.lua", main:format "'many'")
    running:await_log(function(line) return line.level == "error" and (line.error or line.msg):find "maxAttempts" end)
    running:kill_worker()
    running:await_ready()
    assert.equal(1, stage:call("jobs.a").body)
  end)

  it("that adds a queue whose stream is another's serves the rest, and says so until it is mended", function()
    local stage = host.stage {
      app = {
        ["app.lua"] = [[
          local rbf = require "rbf"
          local app = rbf.defineBackend { queues = { jobs = {} } }
          return { a = app:mutation("jobs", { path = "a", handler = function() return 1 end }) }]],
      },
    }
    finally(function() stage:close() end)
    local running = stage:start { watch = true }
    local name = stage.prefix:gsub("%.", "_") .. "more"
    stage.client:js("STREAM.CREATE." .. name, {
      name = name, subjects = { stage.prefix .. "more.>" }, retention = "limits", storage = "file",
    })
    stage:write("app.lua", [[
      local rbf = require "rbf"
      local app = rbf.defineBackend { queues = { jobs = {}, more = {} } }
      local function two() return 2 end
      return { a = app:mutation("jobs", { path = "a", handler = two }),
        b = app:mutation("more", { path = "b", handler = two }) }]])
    local line = running:await_log "queue not ready"
    assert.matches("retention", line.error)
    proc.eventually(function()
      return stage:call("jobs.a").body == 2
    end, 10000, "the new code")
    stage.client:js("STREAM.DELETE." .. name)
    stage.client:await_stream(stage:subject("more", "b"))
    assert.equal(2, stage:call("more.b").body)
  end)
end)
