-- Deploys: SIGHUP, two versions side by side, queues that come, change and go.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

--- An app with these queues (Lua text), and operations QUEUE.PATH, each of which gives `n`. Header Wait:
--- ms it takes; Hold: it waits until nobody holds advisory lock 7.
local function app(queues, paths, n)
  local lines = { 'local rbf = require "rbf"', "local app = rbf.defineBackend { queues = { " .. queues .. " } }",
    "local running = 0", "local ops = { app = app }" }
  for _, path in ipairs(paths) do
    lines[#lines + 1] = ([[
      ops[#ops + 1] = app:mutation("%s", { path = "%s", handler = function(r)
        running = running + 1
        r.db:exec("INSERT INTO effects VALUES ($1, $2)", r.msg.operation, running)
        if r.msg.headers.Hold then r.db:exec "SELECT pg_advisory_xact_lock(7)" end
        if r.msg.headers.Wait then rbf.sleep { ms = tonumber(r.msg.headers.Wait) } end
        running = running - 1
        return %d
      end })]]):format(path:match "^(.-)%.", path:match "%.(.*)$", n or 1)
  end
  lines[#lines + 1] = "return ops"
  return table.concat(lines, "\n")
end

describe("a deploy", function()
  local stage

  after_each(function()
    host.close(stage)
  end)

  local function set_up(text, args)
    stage = host.stage { app = { ["app.lua"] = text }, args = args }
    stage.db:exec "CREATE TABLE effects (what text, running int)"
  end

  local function effects(what)
    return stage.db:value("SELECT count(*) FROM effects WHERE what = $1", what)
  end

  it("by SIGHUP loads the files once, and says when nothing has changed", function()
    set_up(app("jobs = {}", { "jobs.a" }))
    local running = stage:start { workers = 2 }
    running.process:kill "HUP"
    running:await_log "the files are those of the running version"
    stage:write("app.lua", app("jobs = {}", { "jobs.a" }, 2))
    assert.equal(1, stage:call("jobs.a").body) -- nobody watches
    running.process:kill "HUP"
    running:await_log "reloaded"
    for _ = 1, 8 do assert.equal(2, stage:call("jobs.a").body) end
    stage:write("app.lua", "return {\n  = 1\n}")
    running.process:kill "HUP"
    running:await_log(function(l) return l.level == "error" and l.msg:find("app.lua:2", 1, true) end)
    assert.equal(2, stage:call("jobs.a").body)
    assert.equal(2, #running:log "worker ready")
  end)

  it("of a new operation leaves its requests to the hosts that know it", function()
    set_up(app("jobs = { ackWait = { seconds = 5 } }", { "jobs.old" }))
    local older = stage:start()
    stage:write("app.lua", app("jobs = { ackWait = { seconds = 5 } }", { "jobs.old", "jobs.new" }, 2))
    local newer = stage:start()
    local n = host.scaled(60, 20)
    local calls, old = stage:start_many("jobs.new", n, function() end), {}
    for i = 1, n do
      stage.client:start { subject = stage:subject("jobs", "new"), reply = false }
      old[i] = stage.client:start { subject = stage:subject("jobs", "old") }
    end
    assert.equal(0, stage.client:wait_all(calls, 30000))
    assert.equal(0, stage.client:wait_all(old, 30000))
    stage:settle({ "jobs" }, 30000)
    for i = 1, n do
      assert.same({ 200, 2 }, { calls[i].reply.status, calls[i].reply.body }, calls[i].reply.raw)
      assert.equal(1, calls[i].replies)
      assert.equal(200, old[i].reply.status)
    end
    assert.equal(2 * n, effects "jobs.new")
    assert.equal(n, effects "jobs.old")
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(0, #newer:log(function(l) return l.level ~= "info" end), newer:tail())
    assert.equal(0, #older:log(function(l) return l.level ~= "info" end), older:tail())
    assert.equal(0, older:stop())
    assert.truthy(older.stats.naks > 0, "it was never asked")
    assert.equal(200, stage:call("jobs.old").status)
  end)

  it("of an operation that nobody knows yet waits for it, while nobody waits for an answer", function()
    set_up(app("jobs = {}", { "jobs.old" }), { "--unknown-grace", "200ms", "--retry-initial", "100ms" })
    local running = stage:start()
    stage.client:store { subject = stage:subject("jobs", "new"), headers = { ["Request-Id"] = "early" } }
    assert.equal(404, stage:call("jobs.new").status)
    running:await_log "will be tried again"
    stage:write("app.lua", app("jobs = {}", { "jobs.new" }, 2))
    running.process:kill "HUP"
    stage:settle({ "jobs" }, 30000)
    assert.equal(1, effects "jobs.new")
    assert.equal(200, stage.db:value "SELECT status FROM rbf_results WHERE request_id = 'early'")
  end)

  it("with a new queue serves it; without one lets it rest, whatever its messages", function()
    set_up(app("jobs = {}", { "jobs.a" }))
    local running = stage:start { watch = true }
    stage:write("app.lua", app("jobs = {}, more = {}", { "jobs.a", "more.b" }))
    stage.client:await_stream(stage:subject("more", "b"))
    assert.equal(200, stage:call("more.b").status)
    stage.db:exec "SELECT pg_advisory_lock(7)"
    local slow = stage.client:start { subject = stage:subject("more", "b"), headers = { Hold = 1 } }
    proc.eventually(function()
      return stage.db:value "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted" == 1
    end, 10000, "its task")
    stage:write("app.lua", app("jobs = {}", { "jobs.a" }, 3))
    proc.eventually(function() return stage:call("jobs.a").body == 3 end, 10000, "the reload")
    local later = stage:start_many("more.b", 5, function() end)
    assert.equal(0, stage.client:wait_all(later, nil, "ack"))
    assert.is_nil(slow.reply)
    stage.db:exec "SELECT pg_advisory_unlock(7)"
    assert.equal(0, stage.client:wait_all({ slow })) -- what was in hand ends
    assert.equal(200, slow.reply.status)
    assert.equal(200, stage:call("jobs.a").status)
    assert.equal(5, (stage:stored "more"))
    assert.is_nil(later[1].reply)
    assert.equal(2, effects "more.b")
    stage:write("app.lua", app("jobs = {}, more = {}", { "jobs.a", "more.b" }, 4))
    assert.equal(0, stage.client:wait_all(later))
    for _, one in ipairs(later) do assert.same({ 200, 4 }, { one.reply.status, one.reply.body }) end
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(0, #running:log(function(l) return l.level ~= "info" end), running:tail())
    assert.equal(0, running:stop())
  end)

  it("with another ackWait and concurrency applies them, with another consumer says what to do", function()
    set_up(app("jobs = {}", { "jobs.a" }))
    local running = stage:start { watch = true }
    local function consumer()
      local name = stage.client:stream_of(stage:subject("jobs", "a"))
      return stage.client:js("CONSUMER.LIST." .. name, {}).consumers[1].config
    end
    assert.equal(30e9, consumer().ack_wait)
    stage:write("app.lua", app("jobs = { ackWait = { seconds = 7 }, concurrency = 2, consumer = 'other' }", { "jobs.a" }, 2))
    local line = running:await_log "a queue's consumer is not changed by a reload: delete the old one, then restart"
    assert.same({ "jobs", "jobs", "other" }, { line.queue, line.used, line.wanted })
    proc.eventually(function() return consumer().ack_wait == 7e9 end, 10000, "the new ackWait")
    local calls = {}
    for i = 1, 12 do
      calls[i] = stage.client:start { subject = stage:subject("jobs", "a"), headers = { Wait = 100 } }
    end
    assert.equal(0, stage.client:wait_all(calls, 30000))
    for _, one in ipairs(calls) do assert.equal(2, one.reply.body) end
    assert.equal(2, stage.db:value "SELECT max(running) FROM effects")
    assert.equal(1, #running:log(function(l) return l.level == "warn" end), running:tail())
    assert.equal("jobs", consumer().durable_name)
  end)

  it("with other settings in main.lua says which wait for a restart", function()
    local main = 'return require("rbf").createBackend(require("app").app, { maxAttempts = %d, context = { n = %d }, connections = %d })'
    set_up(app("jobs = {}", { "jobs.a" }), { "--connections", "4" })
    stage:write("main.lua", main:format(3, 1, 8))
    local running = stage:start { watch = true }
    stage:write("main.lua", main:format(3, 2, 9)) -- a context is code; the flag wins over main.lua's connections
    running:await_log "reloaded"
    stage:write("main.lua", main:format(5, 2, 9))
    local line = running:await_log "main.lua's settings are read at the start only: restart the host for what changed"
    assert.equal("maxAttempts", line.changed)
    running:await_log("reloaded", 10000, 2)
    assert.equal(1, #running:log(function(l) return l.level == "warn" end))
    assert.equal(1, stage:call("jobs.a").body)
  end)
end)
