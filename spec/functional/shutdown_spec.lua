-- SIGTERM: what is in hand is finished, the rest is left to others.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local N = host.scaled(2000, 600)
local MS = math.ceil(5 / host.scale) -- of a handler: the load outlasts four restarts at any scale

describe("SIGTERM", function()
  local stage

  before_each(function()
    stage = host.stage { app = "spec/apps/work" }
  end)

  after_each(function()
    host.close(stage)
  end)

  -- A sequence counts runs of handlers, also of those rolled back.
  local function runs()
    return stage.db:value "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs"
  end

  local function replied(requests)
    stage.client:pump(0)
    local n = 0
    for _, request in ipairs(requests) do
      n = n + (request.reply and 1 or 0)
    end
    return n
  end

  it("during load loses no message and runs none twice, while another host takes over", function()
    local few = { workers = 2, args = { "--connections", "4" } }
    local current = stage:start(few)
    local requests = stage:start_many("jobs.work.run", N, function(i)
      return { id = i, ms = MS }
    end)
    local stops, naks, conflicts = 0, 0, 0
    for share = 1, 4 do
      local successor = stage:start(few)
      proc.eventually(function()
        return replied(requests) >= N * share / 5
      end, 60000, "some work to be done")
      local before = replied(requests)
      local code, signal = current:stop()
      assert.equal(0, code, ("exit by signal %s: %s"):format(tostring(signal), current:tail()))
      stops = stops + ((before < N) and 1 or 0)
      naks, conflicts = naks + (current.stats.naks or 0), conflicts + (current.stats.conflicts or 0)
      current = successor
    end
    assert.equal(0, stage.client:wait_all(requests, 60000))
    stage:settle({ "jobs" }, 60000)
    assert.equal(0, current:stop())
    conflicts = conflicts + (current.stats.conflicts or 0)
    local failed, twice = 0, 0
    for _, request in ipairs(requests) do
      failed = failed + (request.reply.status == 200 and 0 or 1)
      twice = twice + (request.replies > 1 and 1 or 0)
    end
    host.figures("shutdown", "%d calls, %d stops under load, %d runs of handlers, %d naks, %d conflicts, "
      .. "%d replies twice", N, stops, runs(), naks, conflicts, twice)
    assert.equal(0, failed)
    assert.equal(0, twice, "requests answered twice")
    assert.equal(N, stage:count "done")
    assert.equal(N, runs() - conflicts, "runs of handlers")
    assert.truthy(stops >= 3, "the load was over too early to show anything")
    assert.equal(0, stage:count "rbf_dead_letters")
  end)

  it("lets a handler under way end, and answers", function()
    local running = stage:start()
    local request = stage.client:start {
      subject = stage:subject("jobs", "work.run"), data = { id = 1, ms = 1200 },
    }
    proc.eventually(function()
      return runs() == 1
    end, 10000, "the handler to begin")
    assert.equal(0, running:stop())
    assert.equal(0, stage.client:wait_all({ request }))
    assert.equal(200, request.reply.status)
    assert.equal(0, (stage:stored "jobs"))
    assert.equal(1, runs())
  end)

  it("twice ends at once, and what was in hand comes again", function()
    stage:write("work.lua", (proc.read_file(stage.app .. "/work.lua"):gsub("jobs = {}",
      "jobs = { timeout = { seconds = 20 }, ackWait = { seconds = 2 } }", 1)))
    local running = stage:start()
    local request = stage.client:start {
      subject = stage:subject("jobs", "work.run"), data = { id = 1, ms = 8000 },
    }
    proc.eventually(function()
      return runs() == 1
    end, 10000, "the handler to begin")
    running.process:kill "TERM"
    proc.sleep_ms(200) -- two signals sent together may arrive as one
    running.process:kill "TERM"
    running:wait()
    assert.equal(0, stage:count "done", "it waited for the handler")
    stage:start()
    assert.equal(0, stage.client:wait_all({ request }, 30000))
    assert.equal(200, request.reply.status)
    assert.equal(1, stage:count "done")
  end)

  it("to an idle host with several workers ends it with 0", function()
    local running = stage:start { workers = 3 }
    assert.equal(3, #running:workers())
    local pids = running:workers()
    assert.equal(0, running:stop(20000))
    for _, pid in ipairs(pids) do
      assert.is_nil((proc.stat(pid)), "worker " .. pid .. " is still there")
    end
    assert.equal(3, #running:log "worker stopped")
  end)
end)

describe("kill -9 of the supervisor", function()
  it("takes its workers with it", function()
    local stage = host.stage { app = "spec/apps/work" }
    finally(function()
      host.close(stage)
    end)
    local running = stage:start { workers = 2 }
    local pids = running:workers()
    assert.equal(2, #pids)
    running.process:kill "KILL"
    running.process:wait(5000)
    proc.eventually(function()
      local one, other = proc.stat(pids[1]), proc.stat(pids[2])
      return (not one or one == "Z") and (not other or other == "Z")
    end, 10000, "the workers to end")
  end)
end)
