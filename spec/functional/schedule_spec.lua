-- Tasks that run later.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local nats = require "spec.support.nats"

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

  -- A task that is far off yet: its time is so many ms from now. Sweepers see it within a second.
  local function due_in(id, ms)
    assert.equal(1, #stage.db:query([[WITH timer AS (
      UPDATE timers SET set_at = clock_ms() + $2, ms = 0 WHERE id = $1 RETURNING set_at)
      UPDATE rbf_outbox SET target_at = timer.set_at FROM timer WHERE target_at IS NOT NULL RETURNING 1]], id, ms))
  end

  -- What a machine that others use as well adds is measured beside it: a plain timer, in this process,
  -- that stores the same request when its time has come.
  local ROUNDS, TASKS, EVERY = 3, 24, 137 -- ms; out of step with any interval

  --- Lateness (ms) of tasks by runAt and of the plain timer's, in turn, each list sorted; nil when the
  --- first tasks were due before they were set.
  local function round(name, ahead)
    local at, begin = {}, math.floor(proc.epoch_ms()) + ahead
    for i = 1, TASKS do at[name .. "task" .. i] = begin + i * EVERY end
    local set = stage:start_many("jobs.timer.setAt", TASKS, function(i)
      local id = name .. "task" .. i
      return { id = id, at = at[id] }
    end)
    assert.equal(0, stage.client:wait_all(set, 30000))
    local in_time = proc.epoch_ms() < begin
    for i = 1, TASKS do
      local id = name .. "timer" .. i
      at[id] = math.floor(begin + (i + .5) * EVERY)
      proc.sleep_ms(math.max(0, at[id] - proc.epoch_ms()))
      stage.client:start { subject = stage:subject("events", "timer.fire"), data = { id = id }, reply = false }
    end
    stage:settle { "jobs", "events" }
    local late = { task = {}, timer = {} }
    for _, row in ipairs(stage.db:query("SELECT id, at FROM fired WHERE id LIKE $1", name .. "%")) do
      local list = late[row.id:match "task" or "timer"]
      list[#list + 1] = tonumber(row.at) - at[row.id]
    end
    for _, list in pairs(late) do
      assert.equal(TASKS, #list)
      table.sort(list)
    end
    assert.truthy(late.task[1] >= -2, ("ran %d ms before its time"):format(-late.task[1]))
    return in_time and late
  end

  it("runs within 20 ms of its time on an idle host", function()
    stage:start()
    round("warm-up", 1500)
    local most, over, ahead = math.ceil(.9 * TASKS), {}, 1500
    while #over < ROUNDS do -- a moment in which the machine was busy says nothing of the host
      local late = round(nats.uuid(), ahead)
      if not late then
        ahead = 2 * ahead
      else
        local task, timer = late.task, late.timer
        host.figures("schedule", "%d tasks ran %d ms after their time (median; p90 %d, last %d); requests by a plain "
          .. "timer %d (p90 %d)", TASKS, task[TASKS / 2], task[most], task[TASKS], timer[TASKS / 2], timer[most])
        -- a task's way has twice the steps: it is found, and published, before it is pulled and run
        over[#over + 1] = task[most] - 2 * math.max(0, timer[most])
      end
    end
    table.sort(over)
    local median = over[math.ceil(ROUNDS / 2)]
    assert.truthy(median <= 20, median .. " ms later than the machine made them")
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
    local running = stage:start()
    local ms, n, waiting = 300, 0, 0
    while waiting == 0 and n < 6 do -- 0: it may have been seen too late
      ms, n = 2 * ms, n + 1
      local reply = stage:call("jobs.timer.set", { id = "row" .. n, ms = ms })
      assert.equal(200, reply.status, reply.raw)
      waiting = stage.db:value "SELECT count(*) FROM rbf_outbox WHERE target_at IS NOT NULL"
    end
    assert.equal(1, waiting, running:tail())
    assert.truthy(await_fired("row" .. n) >= -2)
    stage:settle { "jobs", "events" }
    assert.equal(n, stage:count "fired")
  end)

  it("survives a restart before its time, runs then, and once", function()
    local first = stage:start()
    stage:call("jobs.timer.set", { id = "later", ms = 600000 })
    assert.equal(0, first:stop())
    assert.equal(1, stage:count "rbf_outbox")
    stage:start()
    assert.is_nil(lateness "later", "it ran before the new host was up")
    due_in("later", 1200)
    local late = await_fired "later"
    host.figures("schedule", "after a restart: %d ms after its time", late)
    assert.truthy(late >= -2)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)

  it("that falls due while no host is there runs when one is", function()
    local first = stage:start()
    stage:call("jobs.timer.set", { id = "missed", ms = 600000 })
    first.process:kill "KILL"
    first.process:wait(5000)
    due_in("missed", -50)
    assert.is_nil(lateness "missed")
    stage:start()
    await_fired("missed", 15000)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)

  it("survives kill -9 of the worker", function()
    local running = stage:start()
    stage:call("jobs.timer.set", { id = "killed", ms = 600000 })
    assert.truthy(running:kill_worker())
    due_in("killed", 500)
    assert.truthy(await_fired("killed", 15000) >= -2)
    stage:settle { "jobs", "events" }
    assert.equal(1, stage:count "fired")
  end)
end)
