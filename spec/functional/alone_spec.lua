-- A message that must run alone, beside others that are under way already: those end first, whatever
-- they have to do again for it. The host is rbf-fault (host/base/failpoint.h).
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local app = [[
local rbf = require "rbf"
local app = rbf.defineBackend { queues = { jobs = { ackWait = { seconds = 1 } } } }

-- A sequence does not roll back: the first run fails as in a conflict.
local busy = app:mutation("jobs", {
  path = "busy",
  handler = function(r)
    r.db:exec("SELECT pg_advisory_xact_lock(7)")
    r.db:exec("DO $$ BEGIN IF nextval('tries') = 1 THEN RAISE SQLSTATE '40001'; END IF; END $$")
    r.db:exec("INSERT INTO mark VALUES ('busy')")
  end,
})

local suspect = app:mutation("jobs", {
  path = "suspect",
  handler = function(r)
    r.db:exec("SELECT pg_advisory_xact_lock(8)")
    r.db:exec("INSERT INTO mark VALUES ('suspect')")
  end,
})

local question = app:query("jobs", { path = "question", handler = function() return 42 end })

return { busy = busy, suspect = suspect, question = question }
]]

describe("a message at its third delivery", function()
  local stage, running

  before_each(function()
    stage = host.stage {
      app = { ["app.lua"] = app },
      args = { "--connections", "4" },
    }
    stage.db:exec "CREATE SEQUENCE tries; CREATE TABLE mark (what text)"
  end)

  --- A host that loses two messages on their way: the n-th that comes, and the next.
  local function start(n)
    running = stage:start {
      binary = host.binary() .. "-fault",
      env = { RBF_FAILPOINT = ("intake.pulled:error#%d,intake.pulled:error#%d"):format(n, n + 1) },
    }
  end

  after_each(function()
    stage:close()
  end)

  local function consumer()
    local name = stage.client:stream_of(stage:subject("jobs", "busy"))
    return stage.client:js("CONSUMER.INFO." .. name .. ".jobs", {})
  end

  local function store(path, id)
    stage.client:store { subject = stage:subject("jobs", path), headers = { ["Request-Id"] = id } }
  end

  it("waits for one that conflicts, and for that one's twin", function()
    start(3)
    stage.db:exec "SELECT pg_advisory_lock(7)"
    store("busy", "same")
    store("busy", "same")
    proc.eventually(function() return consumer().num_ack_pending == 2 end, 20000, "both are in hand")
    store("suspect", "suspect")
    proc.eventually(function() return consumer().delivered.consumer_seq >= 5 end, 20000, "a third delivery")
    stage.db:exec "SELECT pg_advisory_unlock(7)"
    proc.eventually(function() return stage:count "mark" == 2 end, 20000, function()
      return "both outcomes; the host said:\n" .. running:tail()
    end)
    stage:settle({ "jobs" }, 20000)
    assert.equal(2, stage:count "rbf_results")
  end)

  it("lets plain queries wait, but not for ever", function()
    start(1)
    stage.db:exec "SELECT pg_advisory_lock(8)"
    store("suspect", "suspect")
    running:await_log(function(line) return line.msg:find("it runs alone", 1, true) end)
    local subject = stage.prefix .. "rpc.jobs.question"
    assert.equal(503, stage.client:ask(subject, nil, { timeout = 20000 }).status)
    stage.db:exec "SELECT pg_advisory_unlock(8)"
    stage:settle({ "jobs" }, 20000)
    assert.equal(42, stage.client:ask(subject).body)
  end)
end)
