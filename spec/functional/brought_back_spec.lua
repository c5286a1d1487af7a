-- What a nats-server that is started anew gives to its consumers, which it has forgotten: messages that
-- were in somebody's hands and, after a kill, acked ones, as far as its index had not been written since.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local APP = {
  ["app.lua"] = [[
local rbf = require "rbf"
local z = rbf.z
local app = rbf.defineBackend { queues = { jobs = { ackWait = { minutes = 10 }, group = 1 } } }
local run = app:mutation("jobs", {
  path = "run",
  input = z.object { ms = z.int() },
  handler = function(r)
    rbf.sleep { ms = r.input.ms }
    r.db:exec("INSERT INTO effects (by) VALUES ($1)", r.msg.requestId)
  end,
})
return { run = run }
]],
  ["migrations/001_effects.sql"] = "CREATE TABLE effects (by TEXT NOT NULL);",
}

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

  local function send(n, ms)
    return stage:start_many("jobs.run", n, function()
      return { ms = ms }
    end)
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
    local requests = send(20, 300)
    proc.eventually(function()
      return in_hand() >= 4
    end, 20000, "messages in hand")
    first.process:finish("KILL", 0)
    nats_server:stop()
    nats_server:start()
    stage:start()
    assert.equal(0, stage.client:wait_all(requests, 120000), "not before the ack wait is over")
    assert_once(20)
    stage:settle { "jobs" }
  end)

  -- A filter would hide it: 2.9 takes the third, which it saw last, for the first one that is left.
  it("delivers one whose neighbours were acked before it, the later one first", function()
    local first = stage:start()
    local requests = {}
    for i, ms in ipairs { 500, 4000, 1 } do requests[i] = send(1, ms)[1] end
    assert.equal(0, stage.client:wait_all({ requests[3] }))
    assert.is_nil(requests[1].reply)
    assert.equal(0, stage.client:wait_all({ requests[1] }))
    proc.eventually(function()
      return stage:stored "jobs" == 1
    end, 20000, "the others to be acked")
    assert.is_nil(requests[2].reply)
    first.process:finish("KILL", 0)
    nats_server:stop "TERM"
    nats_server:start()
    stage:start()
    assert.equal(0, stage.client:wait_all(requests, 40000))
    assert_once(3)
    stage:settle { "jobs" }
  end)

  it("after a kill brings back what was acked; whatever is remembered of it, it is not run again", function()
    local running = stage:start { args = { "--results-retention", "1s" } }
    local sent, results = {}, 0
    -- Never none, as the file is emptied with the stream; until the first results are purged.
    proc.eventually(function()
      sent[#sent + 1] = send(1, 300)[1]
      stage.client:pump(50)
      results = stage:count "rbf_results"
      return stage:count "effects" > results + 20
    end, 60000, "results to be purged")
    assert.equal(0, stage.client:wait_all(sent, proc.PATIENCE_MS, "ack"))
    stage:restart_nats(nats_server, running, empty_indexes)
    stage:settle { "jobs" }
    assert_once(#sent)
    assert.equal(0, stage:count "rbf_dead_letters")
    local back = running:log "a message came back that had its outcome so long ago that its result is purged: not run again"
    host.figures("brought back", "%d sent, %d came back without a result, %d results were left", #sent, #back, results)
    assert.truthy(#back > 0, "none came back")
    assert.equal(0, running:stop())
  end)
end)
