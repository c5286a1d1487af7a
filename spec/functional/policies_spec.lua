-- Retry policies of queues and operations.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

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
    --- Medians and p99 of the two, n calls each.
    local function compare(calls)
      local with, without = {}, {}
      for i = 1, calls do
        with[i], without[i] = time(stage), time(idle)
      end
      table.sort(with)
      table.sort(without)
      local middle, last = math.ceil(calls / 2), math.ceil(calls * .99)
      return with[middle], without[middle], with[last], without[last]
    end
    compare(100)
    proc.eventually(function() -- a p99 is four calls: one round may have bad luck
      local m1, m2, l1, l2 = compare(400)
      host.figures("beside parked failures", "%d waiting: median %.1f ms, p99 %.1f ms; none waiting: %.1f, %.1f "
        .. "(%.2f x, %.2f x)", n, m1, l1, m2, l2, m1 / m2, l1 / l2)
      return m1 <= 2 * m2 and l1 <= 2 * l2
    end, 120000, "a p99 and a median of at most twice those of a queue where nothing waits")
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(n, stage:count "rbf_outbox")
  end)
end)
