-- Retry policies of queues and operations.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local ROUNDS = 5

describe("a retry policy", function()
  local stage, running

  before_each(function()
    stage = host.stage { app = "spec/apps/policies" }
    running = stage:start()
  end)

  after_each(function()
    host.close(stage)
  end)

  --- The times (ms) at which the runs of an operation began, once it is a dead letter.
  local function runs_of(path)
    stage.client:store { subject = stage:subject("jobs", path), headers = { ["Request-Id"] = path } }
    local letter = proc.eventually(function()
      return stage.db:query("SELECT * FROM rbf_dead_letters WHERE request_id = $1", path)[1]
    end, 20000, "a dead letter of " .. path)
    local runs = running:log(function(line)
      return line.msg == "runs" and line.path == path
    end)
    assert.equal(tostring(#runs), tostring(letter.attempts))
    return #runs
  end

  it("of a queue holds for its operations", function()
    assert.equal(3, runs_of "queue")
  end)

  it("of an operation goes before its queue's", function()
    assert.equal(4, runs_of "list")
  end)

  it("is overridden once by setRetryDelay and rbf.retry", function()
    assert.equal(3, runs_of "once")
  end)

  -- Delays are rows, not messages held by NATS: they are in nobody's way. Beside it runs a host of
  -- another stage where nothing waits; the two are asked in turn, so that both have what else there is
  -- on the machine.
  it("with long waits does not slow its neighbours on the queue", function()
    local n = host.scaled(5000, 300)
    local idle = host.stage { app = "spec/apps/policies" }
    finally(function() host.close(idle) end)
    idle:start()
    for i = 1, n do
      stage.client:store { subject = stage:subject("jobs", "slow"), data = tostring(i) }
    end
    proc.eventually(function()
      return stage:count "rbf_outbox" == n
    end, 120000, "all parked")
    -- whatever the machine's mood: none of them is in NATS's hands, where they would use up
    -- max_ack_pending
    proc.eventually(function() return stage:stored "jobs" == 0 end, 30000, "an empty stream")
    local function time(where)
      local before = proc.now_ms()
      assert.equal(200, where:call("jobs.fine", "null").status)
      return proc.now_ms() - before
    end
    --- How many times longer it takes where they wait: by the medians and by the p99 of some calls.
    local function compare(calls)
      local with, without = {}, {}
      for i = 1, calls do
        with[i], without[i] = time(stage), time(idle)
      end
      table.sort(with)
      table.sort(without)
      local middle, last = math.ceil(calls / 2), math.ceil(calls * .99)
      host.figures("beside parked failures", "%d waiting: median %.1f ms, p99 %.1f ms; none waiting: %.1f, %.1f",
        n, with[middle], with[last], without[middle], without[last])
      return with[middle] / without[middle], with[last] / without[last]
    end
    compare(50)
    local medians, lasts = {}, {}
    for i = 1, ROUNDS do
      medians[i], lasts[i] = compare(host.scaled(400, 100))
    end
    table.sort(medians)
    table.sort(lasts)
    local middle = math.ceil(ROUNDS / 2) -- a p99 is four calls: a round may have bad luck
    host.figures("beside parked failures", "medians %.2f x, p99 %.2f x", medians[middle], lasts[middle])
    assert.truthy(medians[middle] <= 2, medians[middle])
    assert.truthy(lasts[middle] <= 2, lasts[middle])
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(n, stage:count "rbf_outbox")
  end)
end)
