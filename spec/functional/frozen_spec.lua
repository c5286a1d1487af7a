-- Hosts that stop in the midst of a transaction (SIGSTOP, as a paused container or a machine that
-- swaps) and wake when others have done their work: late, and without effect.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local app = {
  ["app.lua"] = [[
    local rbf = require "rbf"
    local z = rbf.z
    local app = rbf.defineBackend { queues = { jobs = { ackWait = { seconds = 1 } } } }
    local function handler(r)
      r.db:exec(r.input.sql)
      r.scheduler:enqueue("jobs.follow")
      -- here it is stopped
      return { by = r.db:one "SELECT pg_backend_pid() AS pid".pid }
    end
    local input = z.object { sql = z.string() }
    return {
      short = app:mutation("jobs", { path = "short", input = input, timeout = { seconds = 4 }, handler = handler }),
      long = app:mutation("jobs", { path = "long", input = input, timeout = { minutes = 1 }, handler = handler }),
      follow = app:mutation("jobs", { path = "follow",
        handler = function(r) r.db:exec "INSERT INTO effects VALUES ('follow')" end }),
    }]],
}

describe("a host that was stopped", function()
  local stage

  before_each(function()
    stage = host.stage { app = app, args = { "--retry-initial", "100ms", "--orphan-after", "500ms" } }
    stage.db:exec "CREATE TABLE effects (what text); CREATE TABLE counters (n int); INSERT INTO counters VALUES (0)"
  end)

  after_each(function()
    host.close(stage)
  end)

  -- It stops itself at this step.
  local function start_faulty(failpoint, args)
    return stage:start { binary = host.binary() .. "-fault", env = { RBF_FAILPOINT = failpoint }, args = args }
  end

  local function await_stop(running)
    local pid = running:workers()[1]
    stage.client:flush()
    proc.eventually(function() return proc.stat(pid) == "T" end, 30000, "the stop")
    running.process:kill "STOP" -- it would start another
  end

  --- Its request is under way in a transaction of the only host, which is stopped there.
  local function stop_within(path, sql)
    local running = start_faulty("jobs." .. path .. ":stop#2")
    local request = stage:start_many("jobs." .. path, 1, function() return { sql = sql }, "once" end)[1]
    await_stop(running)
    assert.equal(1, stage.db:value [[SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'idle in transaction' AND (query LIKE 'UPDATE counters%' OR query LIKE 'INSERT INTO effects%')]])
    return running, request
  end

  --- It wakes, and finds that all is done: one effect, one result, the same answer.
  local function wake(running, request)
    local answer = request.reply.raw
    running:wake()
    stage:settle({ "jobs" }, 20000)
    assert.equal(1, stage.db:value "SELECT count(*) FROM rbf_results WHERE request_id = 'once'")
    assert.equal(1, stage.db:value "SELECT count(*) FROM effects WHERE what = 'follow'")
    assert.equal(0, stage:count "rbf_dead_letters")
    stage.hosts[2]:stop()
    stage.client:send(request) -- it serves again, and knows
    stage.client:pump_until(function() return request.extra end, 30000)
    assert.equal(answer, request.extra and request.extra.raw)
    assert.equal(1, #running:log "worker ready", "it was not started again")
    assert.equal(0, running:stop())
    assert.truthy(running.stats.duplicates >= 2, "it found the outcome when it woke, and now")
  end

  it("has lost its locks, and its transaction", function()
    local running, request = stop_within("short", "UPDATE counters SET n = n + 1")
    stage:start()
    -- the other one needs the lock: nobody else gives it free than PostgreSQL, after timeout + 2 s
    assert.equal(0, stage.client:wait_all({ request }, 30000), stage.hosts[2]:tail())
    assert.equal(200, request.reply.status, request.reply.raw)
    wake(running, request)
    assert.equal(1, stage.db:value "SELECT n FROM counters")
  end)

  it("commits too late, and rolls back", function()
    local running, request = stop_within("long", "INSERT INTO effects VALUES ('once')")
    stage:start()
    assert.equal(0, stage.client:wait_all({ request }, 30000), stage.hosts[2]:tail())
    assert.equal(200, request.reply.status, request.reply.raw)
    assert.equal(1, stage.db:value [[SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'idle in transaction' AND query LIKE 'INSERT INTO effects%']], "its transaction is open still")
    wake(running, request)
    assert.equal(1, stage.db:value "SELECT count(*) FROM effects WHERE what = 'once'")
  end)

  it("is replaced by its supervisor when that goes on", function()
    local running = stage:start()
    local pid = running:workers()[1]
    proc.kill(pid, "STOP")
    local request = stage:start_many("jobs.long", 1, function() return { sql = "SELECT 1" } end)[1]
    assert.equal(pid, running:await_log("a worker does not answer, killing it", 30000) and pid)
    running:await_ready()
    assert.equal(0, stage.client:wait_all({ request }))
    assert.equal(200, request.reply.status, request.reply.raw)
    assert.is_nil((proc.stat(pid)))
  end)

  -- It holds a message that others have done since, and whose result is forgotten by now.
  it("for longer than results are kept does nothing of what it held", function()
    local retention = { "--results-retention", "1s" }
    local frozen = start_faulty("intake.pulled:stop#1", retention)
    local request = stage:start_many("jobs.long", 1, function()
      return { sql = "INSERT INTO effects VALUES ('once')" }, "once"
    end)[1]
    await_stop(frozen)
    stage:start { args = retention }
    assert.equal(0, stage.client:wait_all({ request }))
    stage:settle({ "jobs" }, 20000)
    proc.eventually(function() return stage:count "rbf_results" == 0 end, 10000, "the purge")
    frozen:wake()
    frozen:await_log "stopped for longer than results are kept: starting over, what was in hand comes again"
    frozen:await_ready()
    frozen.process:finish("KILL", 5000) -- its next worker has the same failpoint
    stage:settle({ "jobs" }, 20000)
    assert.equal(1, stage.db:value "SELECT count(*) FROM effects WHERE what = 'once'")
  end)
end)
