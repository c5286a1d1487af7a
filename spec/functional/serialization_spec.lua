-- Serialization failures under concurrency: few, and never the business of NATS.
local host = require "spec.support.host"
local nats = require "spec.support.nats"
local proc = require "spec.support.proc"

local N = host.scaled(5000, 200)

describe("concurrency", function()
  local stage

  after_each(function()
    host.close(stage)
  end)

  local function flood(path, each)
    local running = stage:start()
    local began = proc.now_ms()
    local requests = stage:start_many(path, N, each)
    assert.equal(0, stage.client:wait_all(requests, 120000), "requests without a reply")
    local seconds = (proc.now_ms() - began) / 1000
    stage:settle({ "jobs" }, 120000)
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    return running, seconds
  end

  it("of mutations without SQL conflicts nowhere", function()
    stage = host.stage { app = "spec/apps/work" }
    local running, seconds = flood("jobs.work.empty", function(i)
      return { n = i }
    end)
    assert.equal(0, running:stop())
    local s = running.stats
    host.figures("serialization", "%d mutations without SQL: %d done, %d conflicts, %d naks, %d parked; "
      .. "%.0f replies/s", N, s.done, s.conflicts, s.naks, s.parked, N / seconds)
    assert.equal(N, s.done)
    assert.equal(0, s.conflicts)
    assert.equal(0, s.naks)
    assert.equal(0, s.parked)
    assert.equal(N, stage:count "rbf_results")
  end)

  it("of creates conflicts rarely, and is settled in place", function()
    stage = host.stage { app = "handlers" }
    local running, seconds = flood("jobs.users.create", function(i)
      return { email = nats.uuid() .. "@example.com", name = "User " .. i }
    end)
    stage:settle({ "jobs", "events" }, 120000)
    assert.equal(0, running:stop())
    local s = running.stats
    host.figures("serialization", "%d creates on a fresh database: %d done, %d conflicts (%.2f %%), "
      .. "%d naks, %d parked; %.0f replies/s", N, s.done, s.conflicts, 100 * s.conflicts / N, s.naks,
      s.parked, N / seconds)
    assert.equal(2 * N, s.done)
    -- Most conflicts fall in the first moments of an empty table: a scaled-down run is all such.
    assert.truthy(s.conflicts <= 0.03 * N + (N < 5000 and 30 or 0), s.conflicts .. " conflicts")
    assert.equal(0, s.naks)
    assert.equal(0, s.parked)
    assert.equal(N, stage:count "users")
    assert.equal(N, stage:count "emails")
  end)
end)
