-- Handlers that take long: held at NATS while they may run, stopped when they may not.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local app = {
  ["app.lua"] = [[
    local rbf = require "rbf"
    local app = rbf.defineBackend { queues = {
      jobs = { ackWait = { seconds = 5 }, timeout = { seconds = 30 } },
    } }
    local long = app:mutation("jobs", { path = "long", handler = function(r)
      r.db:one "SELECT nextval('runs')"
      rbf.sleep { seconds = 12 }
      return "done"
    end })
    local statement = app:mutation("jobs", { path = "statement", timeout = { seconds = 1 },
      handler = function(r) r.db:one "SELECT pg_sleep(20)" end })
    local many = app:mutation("jobs", { path = "many", timeout = { seconds = 1 },
      handler = function(r) while true do r.db:one "SELECT pg_sleep(0.05)" end end })
    local asleep = app:mutation("jobs", { path = "asleep", timeout = { seconds = 1 },
      handler = function(r) rbf.sleep { seconds = 20 } end })
    return { long = long, statement = statement, many = many, asleep = asleep }]],
}

describe("a handler", function()
  local stage, running

  lazy_setup(function()
    stage = host.stage { app = app, args = { "--max-attempts", "1" } }
    stage.db:exec "CREATE SEQUENCE runs"
    running = stage:start()
  end)

  lazy_teardown(function()
    stage:close()
  end)

  it("that runs for longer than ackWait is not delivered again", function()
    assert.equal("done", stage:call("jobs.long").body)
    stage:settle { "jobs" }
    assert.equal(1, stage.db:value "SELECT last_value FROM runs")
  end)

  for _, path in ipairs { "statement", "many", "asleep" } do
    it("that overruns its timeout is stopped (" .. path .. ")", function()
      local t0 = proc.now_ms()
      assert.equal(500, stage:call("jobs." .. path, nil, { id = path }).status)
      assert.truthy(proc.now_ms() - t0 < 18000) -- not the 20 s it would take
      local letter = stage.db:query("SELECT * FROM rbf_dead_letters WHERE request_id = $1", path)[1]
      assert.matches("timeout", letter.error_message)
      assert.matches("app%.lua:%d+", letter.error_traceback)
      stage:settle { "jobs" }
    end)
  end

  it("does all of it without a redelivery", function()
    assert.equal(0, running:stop())
    assert.equal(0, running.stats.redelivered)
    assert.truthy(running.stats.held >= 3, "held: " .. running.stats.held)
  end)
end)
