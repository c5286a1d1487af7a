-- Servers that are away for some seconds while work goes on arriving: what is taken, held and said
-- meanwhile has bounds.
local host = require "spec.support.host"
local servers = require "spec.support.servers"
local pg = require "spec.support.pg"
local proc = require "spec.support.proc"

local CONNECTIONS = 4
local IN_HAND = 2 * CONNECTIONS -- of each queue
local SECONDS = 10 -- twice the ackWait

local app = {
  ["app.lua"] = [[
    local rbf = require "rbf"
    local z = rbf.z
    local app = rbf.defineBackend { queues = { jobs = { ackWait = { seconds = 5 }, group = 1 } } }
    return {
      run = app:mutation("jobs", { path = "run", input = z.any(),
        handler = function(r) r.db:exec("INSERT INTO effects VALUES ($1)", r.msg.requestId) end }),
      count = app:query("jobs", { path = "count", handler = function(r) return r.db:one "SELECT 1 AS n" end }),
    }]],
}

describe("while a server is away for some seconds", function()
  local postgres, nats_server, stage, running

  before_each(function()
    postgres, nats_server = servers.new_postgres(), servers.new_nats()
    stage = host.stage { app = app, postgres = postgres, nats = nats_server, args = { "--connections", CONNECTIONS } }
    stage.db:exec "CREATE TABLE effects (id text)"
    running = stage:start()
  end)

  after_each(function()
    host.close(stage)
    postgres:stop()
    nats_server:stop()
  end)

  local function memory_kb()
    return tonumber(proc.read_file("/proc/" .. running:workers()[1] .. "/status"):match "VmRSS:%s*(%d+)")
  end

  local function consumer()
    return stage.client:stream_info(stage.client:stream_of(stage:subject("jobs", "run")))
  end

  --- each() is called again and again for SECONDS. Bounds: 5 log lines a second, 8 MB of memory.
  local function watch_for(each)
    local lines, memory, began = #running:log(), memory_kb(), proc.now_ms()
    local last = began + SECONDS * 1000
    repeat
      each()
    until proc.now_ms() > last
    local said, grown = #running:log() - lines, memory_kb() - memory
    host.figures("away", "%d log lines in %.1f s, %d kB more memory", said, (proc.now_ms() - began) / 1000, grown)
    assert.truthy(said <= 5 * SECONDS, running:tail(8))
    assert.truthy(grown < 8192, grown .. " kB")
  end

  local function all_done(n)
    stage:settle { "jobs" }
    assert.same({ n, n }, { stage:count "effects", stage.db:value "SELECT count(DISTINCT id) FROM effects" })
    assert.equal(0, stage:count "rbf_dead_letters")
    assert.equal(1, #running:log "worker ready")
    assert.equal(0, running:stop())
  end

  it("PostgreSQL: no more is pulled than there are free slots, and all of it is done later", function()
    local requests, data, asked, busy = {}, ('"%s"'):format(("x"):rep(20000)), 0, 0
    for i = 1, 50 do requests[i] = stage.client:start { subject = stage:subject("jobs", "run"), data = data } end
    assert.equal(0, stage.client:wait_all(requests))
    stage.db:close()
    postgres:stop "INT"
    local before = consumer().delivered
    watch_for(function()
      for _ = 1, 5 do
        requests[#requests + 1] = stage.client:start { subject = stage:subject("jobs", "run"), data = data }
      end
      asked = asked + 1
      stage.client:publish { subject = stage.prefix .. "rpc.jobs.count", data = "null",
        reply = stage.client:expect(function(m) busy = busy + (m.status == 503 and 1 or 0) end) }
      local now = consumer()
      assert.truthy(now.ack_pending <= IN_HAND, now.ack_pending .. " in hand")
      stage.client:pump(20)
    end)
    stage.client:pump_until(function() return busy == asked end, 30000)
    assert.equal(asked, busy, "queries that were told 503")
    local delivered = consumer().delivered - before
    assert.truthy(delivered <= IN_HAND, delivered .. " were delivered though none could be done")
    assert.truthy(#requests > 2 * IN_HAND + 50)
    postgres:start()
    stage.db = pg.connect(stage.db_url)
    assert.equal(0, stage.client:wait_all(requests, 60000))
    all_done(#requests)
    assert.equal(0, running.stats.redelivered)
    assert.truthy(running.stats.held > 0)
  end)

  it("NATS: what is due waits in the outbox", function()
    nats_server:stop()
    running:await_log "NATS is away; waiting"
    local n = 0
    watch_for(function()
      stage.db:query([[INSERT INTO rbf_outbox (source_request_id, type, path, data, target_at)
        SELECT 'spec', 'request', $1, '{}', 1 FROM generate_series(1, 50)]], stage:subject("jobs", "run"))
      n = n + 50
      proc.sleep_ms(100)
    end)
    assert.equal(n, stage:count "rbf_outbox")
    assert.equal(0, stage.db:value "SELECT max(attempts) FROM rbf_outbox")
    nats_server:start()
    all_done(n)
  end)
end)
