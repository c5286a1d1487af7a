-- Tasks that run later.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("a scheduled task", function()
  local stage

  before_each(function()
    stage = host.stage { app = "spec/apps/timer" }
  end)

  after_each(function()
    host.close(stage)
  end)

  -- Milliseconds after its time, by the database's clock; nil before it ran.
  local function lateness(id)
    return stage.db:value([[SELECT fired.at - timers.set_at - timers.ms FROM fired
      JOIN timers USING (id) WHERE id = $1]], id)
  end

  local function await_fired(id, timeout_ms)
    return proc.eventually(function()
      return lateness(id)
    end, timeout_ms or 10000, "task " .. id .. " to run")
  end

  it("runs within 50 ms of its time on an idle host", function()
    stage:start()
    local late = {}
    for i = 1, 9 do
      assert.equal(200, stage:call("jobs.timer.set", { id = "t" .. i, ms = 300 }).status)
      late[i] = await_fired("t" .. i)
      assert.truthy(late[i] >= -2, ("ran %d ms before its time"):format(-late[i]))
    end
    table.sort(late)
    host.figures("schedule", "runAfter{ms=300} ran this many ms after its time: %s (median %d)",
      table.concat(late, " "), late[5])
    -- The machine is shared: the median of nine tries is asserted, not the worst.
    assert.truthy(late[5] <= 50, "median lateness " .. late[5] .. " ms")
    assert.equal(9, stage:count "fired")
  end)

  it("runs at the time runAt was given", function()
    stage:start()
    local at = math.floor(proc.epoch_ms() + 400)
    assert.equal(200, stage:call("jobs.timer.setAt", { id = "at", at = at }).status)
    assert.truthy(await_fired "at" >= -2)
    assert.equal(200, stage:call("jobs.timer.setAt", { id = "past", at = at - 60000 }).status)
    await_fired "past"
    stage:settle { "jobs", "events" }
    assert.equal(2, stage:count "fired")
  end)

  it("waits in the outbox, and runs once though it is stored for long", function()
    stage:start()
    stage:call("jobs.timer.set", { id = "row", ms = 600 })
    assert.equal(1, stage.db:value "SELECT count(*) FROM rbf_outbox WHERE target_at IS NOT NULL")
    await_fired "row"
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)

  it("survives a restart before its time, runs then, and once", function()
    local first = stage:start()
    stage:call("jobs.timer.set", { id = "later", ms = 2500 })
    assert.equal(0, first:stop())
    assert.equal(1, stage:count "rbf_outbox")
    stage:start()
    assert.is_nil(lateness "later", "it ran before the new host was up")
    local late = await_fired "later"
    host.figures("schedule", "after a restart: %d ms after its time", late)
    assert.truthy(late >= -2)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)

  it("that falls due while no host is there runs when one is", function()
    local first = stage:start()
    stage:call("jobs.timer.set", { id = "missed", ms = 300 })
    first.process:kill "KILL"
    first.process:wait(5000)
    proc.eventually(function()
      return stage.db:value "SELECT clock_ms() - set_at - ms FROM timers" > 50
    end, 5000)
    assert.is_nil(lateness "missed")
    stage:start()
    await_fired("missed", 15000)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)

  it("survives kill -9 of the worker", function()
    local running = stage:start()
    stage:call("jobs.timer.set", { id = "killed", ms = 1000 })
    assert.truthy(running:kill_worker())
    await_fired("killed", 15000)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)
end)
