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

  -- Delays are rows, not messages held by NATS: they are in nobody's way.
  it("with long waits does not slow its neighbours on the queue", function()
    local n = host.scaled(5000, 300)
    local function p99(count)
      local times = {}
      for i = 1, count do
        local before = proc.now_ms()
        assert.equal(200, stage:call("jobs.fine", "null").status)
        times[i] = proc.now_ms() - before
      end
      table.sort(times)
      return times[math.ceil(count * .99)]
    end
    p99(50)
    local idle = p99(300)
    for i = 1, n do
      stage.client:store { subject = stage:subject("jobs", "slow"), data = tostring(i) }
    end
    proc.eventually(function()
      return stage:count "rbf_outbox" == n
    end, 120000, "all parked")
    -- whatever the machine's mood: none of them is in NATS's hands, where they would use up
    -- max_ack_pending
    proc.eventually(function() return stage:stored "jobs" == 0 end, 10000, "an empty stream")
    local busy = p99(300)
    host.figures("p99 beside parked failures", "%d waiting: %.1f ms, idle: %.1f ms (%.2f x)", n, busy, idle,
      busy / idle)
    assert.equal(0, stage:count "rbf_dead_letters")
  end)
end)
