-- What a nats-server that is started anew gives to its consumers, which it has forgotten: messages that
-- were in somebody's hands and, after a kill, acked ones, as far as its index had not been written since.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local APP = {
  ["app.lua"] = [[
local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = { ackWait = { minutes = 10 }, timeout = { minutes = 5 }, group = 1 } } }
-- For as long as somebody has that advisory lock.
local run = app:mutation("jobs", {
  path = "run",
  input = z.object { lock = z.int() },
  handler = function(r)
    r.db:exec("SELECT pg_advisory_xact_lock_shared($1)", r.input.lock)
    r.db:exec("INSERT INTO effects (by) VALUES ($1)", r.msg.requestId)
  end,
})
return { run = run }
]],
  ["migrations/001_effects.sql"] = "CREATE TABLE effects (by TEXT NOT NULL);",
}

local HELD = 5

describe("a nats-server that is started anew", function()
  local nats_server, stage

  lazy_setup(function()
    nats_server = servers.new_nats()
  end)

  lazy_teardown(function()
    nats_server:stop()
  end)

  before_each(function()
    stage = host.stage { app = APP, nats = nats_server }
  end)

  after_each(function()
    host.close(stage)
  end)

  -- Handlers are held by a lock, 0 by none.
  local function send(n, lock)
    return stage:start_many("jobs.run", n, function()
      return { lock = lock }
    end)
  end

  local function hold(lock)
    stage.db:query("SELECT pg_advisory_lock($1)", lock)
  end

  local function let_go(lock)
    assert.equal("t", stage.db:query("SELECT pg_advisory_unlock($1) AS had", lock)[1].had)
  end

  -- And until the client is back: it hears the replies.
  local function start_nats()
    nats_server:start()
    proc.eventually(function() return stage.client:connected() end, 20000, "the client to be connected again")
    stage.client:flush()
  end

  local function in_hand()
    return (select(2, stage:stored "jobs"))
  end

  -- What a kill in the midst of writing them leaves (2.9 truncates first): then all comes back that
  -- the file of messages has seen. Seconds of acks come back without this, too.
  local function empty_indexes()
    local find = ("find %s -name '*.idx' -size +0 -exec truncate -s 0 {} + -print"):format(nats_server.dir)
    local out = assert(io.popen(find))
    assert.truthy(out:read "*a" ~= "", "no index found")
    out:close()
  end

  -- No id took effect twice, and all did.
  local function assert_once(n)
    assert.equal(n, stage.db:value "SELECT count(DISTINCT by) FROM effects")
    assert.equal(n, stage:count "effects")
  end

  it("delivers what was in hand at once, not after the ack wait", function()
    local first = stage:start { args = { "--connections", "4" } }
    hold(1)
    local requests = send(20, 1)
    proc.eventually(function()
      return in_hand() >= 4
    end, 20000, "messages in hand")
    first.process:finish("KILL", 0)
    nats_server:stop()
    start_nats()
    let_go(1)
    stage:start()
    assert.equal(0, stage.client:wait_all(requests, 120000), "not before the ack wait is over")
    assert_once(20)
    stage:settle { "jobs" }
  end)

  -- A filter would hide it: 2.9 takes the third, which it saw last, for the first one that is left.
  it("delivers one whose neighbours were acked before it, the later one first", function()
    local first = stage:start()
    local requests = {}
    hold(1)
    hold(2)
    for i, lock in ipairs { 1, 2, 0 } do requests[i] = send(1, lock)[1] end
    assert.equal(0, stage.client:wait_all({ requests[3] }))
    assert.is_nil(requests[1].reply)
    let_go(1)
    assert.equal(0, stage.client:wait_all({ requests[1] }))
    proc.eventually(function()
      return stage:stored "jobs" == 1
    end, 20000, "the others to be acked")
    assert.is_nil(requests[2].reply)
    first.process:finish("KILL", 0)
    nats_server:stop "TERM"
    start_nats()
    let_go(2)
    stage:start()
    assert.equal(0, stage.client:wait_all(requests, 40000))
    assert_once(3)
    stage:settle { "jobs" }
  end)

  it("after a kill brings back what was acked; whatever is remembered of it, it is not run again", function()
    local running = stage:start { args = { "--results-retention", "1s", "--connections", "8" } }
    local sent, results = {}, 0
    -- Never none, as the file is emptied with the stream: the last five are held, and no older one, as no
    -- results are purged that are younger. Until the first are.
    proc.eventually(function()
      local n = #sent + 1
      hold(n)
      sent[n] = send(1, n)[1]
      assert.equal(0, stage.client:wait_all({ sent[n] }, proc.PATIENCE_MS, "ack"))
      if n > HELD then let_go(n - HELD) end
      stage.client:pump(50)
      results = stage:count "rbf_results"
      return stage:count "effects" > results + 20
    end, 60000, "results to be purged")
    stage:restart_nats(nats_server, running, function()
      empty_indexes()
      for n = #sent - HELD + 1, #sent do let_go(n) end
    end)
    stage:settle { "jobs" }
    assert_once(#sent)
    assert.equal(0, stage:count "rbf_dead_letters")
    local back = running:log "a message came back that had its outcome so long ago that its result is purged: not run again"
    host.figures("brought back", "%d sent, %d came back without a result, %d results were left", #sent, #back, results)
    assert.truthy(#back > 0, "none came back")
    assert.equal(0, running:stop())
  end)
end)
