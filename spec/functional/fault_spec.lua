-- Every step of a message's life, and a crash there: what was asked for takes effect exactly once.
-- The hosts are rbf-fault, the same program with failpoints (host/base/failpoint.h), which is built
-- beside the one under test. One mutation a transaction, so that each step is come to often; groups
-- meet all this in tests/chaos.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local cjson = require "cjson"

local CREATES, LETTERS = 24, 4

-- step → acts there, each with a host of its own. A kill comes at a later hit of a worker's life, or
-- by chance, so that work goes on.
local points = {
  ["intake.pulled"] = { "kill@0.04", "error@0.2" },
  ["tx.begun"] = { "kill@0.06", "error@0.2", "delay=20" },
  ["run.statement"] = { "kill#17" },
  ["tx.before_commit"] = { "kill@0.06", "error@0.2" },
  ["tx.commit_sent"] = { "kill@0.06" },
  ["tx.committed"] = { "kill@0.06", "error@0.2" },
  ["reply.before"] = { "kill@0.06" },
  ["task.before_ack"] = { "kill@0.06", "error@0.1" },
  ["outbox.before_publish"] = { "kill@0.06", "error@0.3" },
  ["outbox.published"] = { "kill@0.06" },
  ["outbox.stored"] = { "kill@0.06", "error@0.3" },
  ["outbox.before_delete"] = { "kill#2" },
  ["sweeper.found"] = { "kill#3", "delay=20" },
  ["sweeper.published"] = { "kill#3" },
  ["settle.before_write"] = { "kill#2" },
  ["dead.before_write"] = { "kill#4" },
  ["settle.written"] = { "kill#4" },
}

--- A stage under load, whose host has this failpoint.
local Trial = {}
Trial.__index = Trial

local function trial(spec)
  local self = setmetatable({ stage = host.stage {}, spec = spec }, Trial)
  local stage = self.stage
  local app, n = stage:read("app.lua"):gsub("{ jobs = {}, events = {} }",
    "{ jobs = { ackWait = { seconds = 1 }, group = 1 }, events = { ackWait = { seconds = 1 }, group = 1 } }")
  assert.equal(1, n)
  stage:write("app.lua", app)
  self.log = stage.dir .. "/failpoints"
  stage:start {
    binary = host.binary() .. "-fault",
    env = { RBF_FAILPOINT = spec, RBF_FAILPOINT_LOG = self.log, RBF_FAILPOINT_SEED = "11" },
    args = { "--orphan-after", "500ms", "--connections", "4" },
    no_wait = true, -- it may not live long enough to say that it is ready
  }
  stage.client:await_stream(stage:subject("jobs", "x"))
  return self
end

function Trial:send()
  self.requests = self.stage:start_many("jobs.users.create", CREATES, function(i)
    return cjson.encode { email = ("u%d@example.com"):format(i), name = "User" }, "create-" .. i
  end)
  for i = 1, LETTERS do -- nobody waits for these, and they are refused
    self.stage.client:store {
      subject = self.stage:subject("jobs", "users.create"), data = '{"email":"none"}',
      headers = { ["Request-Id"] = "letter-" .. i },
    }
  end
end

function Trial:check()
  local stage = self.stage
  assert.equal(0, stage.client:wait_all(self.requests, 90000), self.spec .. ": requests without a reply")
  proc.eventually(function()
    return proc.read_file(self.log) -- the sweeper may come to it only now
  end, 20000, self.spec .. " to act")
  stage:settle({ "jobs", "events" }, 60000)
  for _, request in ipairs(self.requests) do
    assert.equal(200, request.reply.status, request.reply.raw)
  end
  assert.equal(CREATES, stage:count "users", self.spec)
  assert.equal(CREATES, stage:count "emails", self.spec)
  assert.equal(CREATES, stage.db:value "SELECT count(DISTINCT user_id) FROM emails")
  assert.equal(LETTERS, stage:count "rbf_dead_letters", self.spec)
  assert.equal(LETTERS, stage.db:value "SELECT count(*) FROM rbf_dead_letters WHERE request_id LIKE 'letter-%'")
end

describe("a crash at", function()
  local trials = {}

  after_each(function()
    for i = #trials, 1, -1 do
      host.close(table.remove(trials).stage)
    end
  end)

  for point, acts in pairs(points) do
    it(point, function()
      for i = 1, host.scale < 1 and 1 or #acts do
        trials[i] = trial(point .. ":" .. acts[i])
      end
      for _, one in ipairs(trials) do one:send() end
      for _, one in ipairs(trials) do one:check() end
    end)
  end
end)

it("a step that does not exist does nothing", function()
  local one = trial "no.such.step:kill"
  assert.equal(200, one.stage:call("jobs.users.create", { email = "a@b.de", name = "Ada" }).status)
  assert.is_nil(proc.read_file(one.log))
  host.close(one.stage)
end)

describe("a message that comes once more, as its ack was lost,", function()
  local one

  after_each(function()
    host.close(one and one.stage)
  end)

  -- Puts a message into jobs whose first delivery loses its ack, and waits for what it leaves in a table.
  local function store(data, headers, table_name)
    one = trial "task.before_ack:error#1"
    headers["Request-Id"] = "r"
    one.stage.hosts[1]:await_ready()
    one.stage.client:store { subject = one.stage:subject("jobs", "users.create"), data = data, headers = headers }
    proc.eventually(function()
      return one.stage:count(table_name) == 1
    end, 20000, "a row in " .. table_name)
    return one.stage
  end

  it("is cancelled with the row it was parked in", function()
    local stage = store('{"email":"a@b.de","name":"Ada"}',
      { ["Target-At"] = ("%d"):format(proc.epoch_ms() + 30000) }, "rbf_outbox")
    local code, out = host.rbf("job:cancel", "r", "--database-url", stage.db_url)
    assert.same({ 0, "cancelled: it will never run\n" }, { code, out })
    stage:settle({ "jobs" }, 20000)
    assert.equal(499, stage.db:value "SELECT status FROM rbf_results WHERE request_id = 'r'")
    assert.equal(0, stage:count "users")
  end)

  it("and dies again after its letter was replayed, leaves a letter", function()
    local stage = store('{"email":"none"}', {}, "rbf_dead_letters")
    stage.hosts[1].process:finish("KILL", 5000)
    assert.equal(0, (host.rbf("job:replay", "r", "--database-url", stage.db_url)))
    local running = stage:start { args = { "--no-sweeper" } } -- the replay has to wait
    proc.eventually(function()
      return stage:stored "jobs" == 0
    end, 20000, "the message's second delivery")
    running:stop()
    stage:start()
    stage:settle({ "jobs" }, 20000)
    assert.equal(1, stage.db:value "SELECT count(*) FROM rbf_dead_letters WHERE replayed_at IS NULL")
  end)
end)
