-- A dead letter is an outcome: its result row stands in the same transaction. Who comes too late with
-- another one (a host that was stopped, and wakes) meets that row, and nothing of its own stays.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local app = {
  ["app.lua"] = [[
    local rbf = require "rbf"
    local app = rbf.defineBackend { queues = { jobs = {
      ackWait = { seconds = 1 }, timeout = { minutes = 2 }, retry = { maxAttempts = 1 } } } }
    return {
      run = app:mutation("jobs", { path = "run", handler = function(r)
        r.db:exec "INSERT INTO effects VALUES ('run')"
        r.scheduler:enqueue("jobs.follow")
        local settings = r.db:one "SELECT works, text FROM settings"
        if not settings.works then error(settings.text) end
        return settings.text
      end }),
      follow = app:mutation("jobs", { path = "follow",
        handler = function(r) r.db:exec "INSERT INTO effects VALUES ('follow')" end }),
    }]],
}

describe("a late finisher", function()
  local stage, late, request

  before_each(function()
    stage = host.stage { app = app, args = { "--orphan-after", "500ms" } }
    stage.db:exec "CREATE TABLE effects (what text); CREATE TABLE settings (works bool, text text)"
  end)

  after_each(function()
    host.close(stage)
  end)

  local function handlers(works, text)
    stage.db:exec "DELETE FROM settings"
    stage.db:query("INSERT INTO settings VALUES ($1, $2)", tostring(works), text)
  end

  --- The only host runs the request up to a step, and is stopped there.
  local function stop_at(step, waits)
    late = stage:start { binary = host.binary() .. "-fault", env = { RBF_FAILPOINT = step .. ":stop#1" } }
    local pid = late:workers()[1]
    request = stage.client:start { subject = stage:subject("jobs", "run"), id = "r", reply = waits }
    stage.client:flush()
    proc.eventually(function() return proc.stat(pid) == "T" end, 30000, "the stop")
    late.process:kill "STOP" -- else it would start another
    return pid
  end

  --- Another host has the message meanwhile, until the stream is empty: its stats.
  local function another()
    local running = stage:start()
    stage:settle { "jobs" }
    if request.headers["Reply-To"] then
      assert.equal(0, stage.client:wait_all({ request }, 30000), running:tail())
    end
    assert.equal(0, running:stop())
    return running.stats
  end

  local function everything()
    return {
      results = stage.db:query "SELECT * FROM rbf_results ORDER BY request_id",
      letters = stage.db:query "SELECT * FROM rbf_dead_letters",
      effects = stage.db:query "SELECT what FROM effects ORDER BY what",
      outbox = stage:count "rbf_outbox",
    }
  end

  --- It goes on to its end: nothing is other than the first host left it, and it has told nobody so.
  local function wake(pid)
    local before = everything()
    late.process:kill "CONT"
    proc.kill(pid, "CONT")
    assert.equal(0, late:stop()) -- what it has in hand comes first
    assert.equal(1, #late:log "worker ready", "it was started again")
    assert.truthy(late.stats.duplicates >= 1, "it met the outcome") -- and what its pull held comes again
    assert.same({ 0, 0, 0 }, { late.stats.done, late.stats.dead, late.stats.failed })
    assert.same(before, everything())
    stage.client:pump(0)
    if request.reply then -- asked for once more it would say the same
      assert.equal(request.reply.raw, (request.extra or request.reply).raw)
      assert.equal(request.reply.status, (request.extra or request.reply).status)
    end
    assert.equal(0, (stage:stored "jobs"))
    return before
  end

  --- The handler's; others of that worker (its sweeper's) may have been stopped within theirs, too.
  local function open_transactions()
    return stage.db:value [[SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'idle in transaction' AND query LIKE 'SELECT works%']]
  end

  for who, waits in pairs { ["somebody waits for"] = true, ["nobody waits for"] = false } do
    it("whose handler succeeded rolls back when the message is a dead letter by now (" .. who .. " it)", function()
      handlers(true, "late")
      local pid = stop_at("tx.before_commit", waits)
      handlers(false, "in time")
      assert.equal(1, another().dead)
      assert.equal(1, open_transactions(), "its transaction is open still, and could commit")
      local left = wake(pid)
      assert.same({ {}, 1, 1 }, { left.effects, #left.letters, #left.results })
      assert.equal("r", left.letters[1].request_id)
      assert.matches("in time", left.letters[1].error_message)
      assert.equal("500", left.results[1].status)
      assert.is_nil(left.letters[1].replayed_at)
      assert.equal(waits and 500 or nil, request.reply and request.reply.status)
    end)
  end

  it("whose handler failed leaves no dead letter when the message has succeeded by now", function()
    handlers(false, "late")
    local pid = stop_at("settle.before_write", true) -- it has looked for an outcome, and found none
    handlers(true, "in time")
    assert.equal(2, another().done)
    local left = wake(pid)
    assert.same({ { what = "follow" }, { what = "run" } }, left.effects)
    assert.same({}, left.letters)
    assert.same({ 200, "in time" }, { request.reply.status, request.reply.body })
  end)

  it("whose handler failed adds nothing to the dead letter that the message is by now", function()
    handlers(false, "late")
    local pid = stop_at("settle.before_write", true)
    handlers(false, "in time")
    assert.equal(1, another().dead)
    local left = wake(pid)
    assert.same({ {}, 1, 1 }, { left.effects, #left.letters, #left.results })
    assert.matches("in time", left.letters[1].error_message)
    assert.equal(500, request.reply.status)
  end)
end)
