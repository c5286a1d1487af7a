-- Group execution: what several requests in one transaction get is what each would get alone.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

local N = host.scaled(600, 120)
-- Transactions for each mutation, at most: a slow build ends few within 100 ms, so it has few in hand.
local SHARE = host.scale < 1 and .9 or .5

describe("several mutations in one transaction", function()
  local stage

  before_each(function()
    stage = host.stage { app = "spec/apps/group", args = { "--connections", "3" } }
  end)

  after_each(function()
    host.close(stage)
  end)

  --- All messages wait before the host comes, so that its few connections find many.
  local function flood(path, n, each)
    stage:start():stop()
    local requests = stage:start_many(path, n, each)
    local running = stage:start()
    assert.equal(0, stage.client:wait_all(requests, 120000), "requests without a reply")
    stage:settle({ "jobs", "single" }, 60000)
    return requests, running
  end

  local function stats(running)
    assert.equal(0, running:stop())
    return running.stats
  end

  --- One in so many (10) goes its own way, the others leave a note each.
  local function mix(how, status, leaves_note, nth)
    nth = nth or 10
    local requests, running = flood("jobs.mixed", N, function(i)
      return { i = i, how = i % nth == 0 and how or "plain" }
    end)
    for i, request in ipairs(requests) do
      assert.equal(i % nth == 0 and status or 200, request.reply.status, request.reply.raw)
    end
    assert.equal(N - (leaves_note and 0 or N / nth), stage:count "notes" - 1)
    assert.equal(0, stage.db:value(("SELECT count(*) FROM notes WHERE setting <> '' AND i %% %d <> 0"):format(nth)))
    return running
  end

  it("are fewer transactions than mutations", function()
    local s = stats(mix("plain", 200, true))
    assert.equal(N, s.done)
    assert.truthy(s.groups < s.done * SHARE, ("%d transactions for %d"):format(s.groups, s.done))
  end)

  it("are not with group = 1", function()
    local _, running = flood("single.once", N, function(i) return { i = i } end)
    local s = stats(running)
    assert.equal(N, stage:count "notes" - 1)
    assert.equal(s.done, s.groups)
  end)

  for how, status in pairs {
    refuse_first = 409, refuse_later = 422, refuse_last = 422, taken = 409, boom = 500, copy = 500,
    orphan = 400, -- nobody can say whose, at COMMIT
  } do
    it("do not suffer from one that fails: " .. how, function()
      mix(how, status, false)
      local dead = stage.db:query "SELECT DISTINCT request_id, attempts FROM rbf_dead_letters"
      assert.equal(status == 500 and N / 10 or 0, #dead)
    end)
  end

  it("do not keep what the first of them did before it failed", function()
    mix("refuse_last", 422, false, 2)
  end)

  for _, how in ipairs { "caught", "setting", "pause", "slow" } do
    it("do not notice what another does: " .. how, function()
      mix(how, 200, true)
      assert.equal(0, stage:count "rbf_dead_letters")
    end)
  end

  it("are told of a lock that they do not want to wait for", function()
    stage:start():stop()
    stage.db:exec "BEGIN"
    stage.db:query "SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE"
    local requests, running = flood("jobs.mixed", N, function(i) return { i = i, how = "nowait" } end)
    stage.db:exec "ROLLBACK"
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    assert.equal(0, stats(running).conflicts)
  end)

  it("enqueue an id once, and each its own", function()
    local requests = flood("jobs.mixed", N, function(i) return { i = i, how = "enqueue" } end)
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    assert.equal(N, stage.db:value "SELECT count(DISTINCT what) FROM ran WHERE what <> 'one'")
    assert.equal(N, stage.db:value "SELECT count(*) FROM ran WHERE what <> 'one'")
    assert.equal(1, stage.db:value "SELECT count(*) FROM ran WHERE what = 'one'")
    assert.equal(0, stage:count "rbf_outbox")
  end)

  it("of one statement travel together, until one wants a second", function()
    local requests, running = flood("jobs.once", N, function(i)
      return { i = i, twice = i > N / 2 and i % 50 == 0 or nil }
    end)
    for i, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
      assert.equal(i, request.reply.body.i)
    end
    assert.equal(N, stage:count "notes" - 1)
    assert.truthy(stats(running).groups < N * SHARE)
  end)

  it("of one statement do not suffer from one that fails", function()
    stage:start():stop()
    stage.db:exec(("INSERT INTO notes (i) SELECT 10 * n FROM generate_series(1, %d) n"):format(N / 10))
    local requests = flood("jobs.once", N, function(i) return { i = i } end)
    for i, request in ipairs(requests) do
      assert.equal(i % 10 == 0 and 409 or 200, request.reply.status, request.reply.raw)
    end
    assert.equal(N, stage:count "notes" - 1)
  end)

  it("of one statement do not suffer from requests that had their outcome", function()
    local _, running = flood("jobs.once", N, function(i) return { i = i } end)
    local firsts = stage:start_many("jobs.once", N, function(i) return { i = i }, "first-" .. i end)
    assert.equal(0, stage.client:wait_all(firsts, 120000)) -- all 409, each stored under its id
    local requests = stage:start_many("jobs.once", N, function(i)
      if i % 3 == 0 then return { i = i }, "first-" .. i end
      return { i = N + i }
    end)
    assert.equal(0, stage.client:wait_all(requests, 120000))
    for i, request in ipairs(requests) do
      assert.equal(i % 3 == 0 and 409 or 200, request.reply.status, request.reply.raw)
    end
    assert.equal(N + N - N / 3, stage:count "notes" - 1)
    assert.equal(N + N - N / 3, stats(running).done) -- by one worker, from its start to its end
  end)

  it("have no twins: the same id many times takes effect once", function()
    stage:start():stop()
    local requests = stage:start_many("jobs.once", N, function(i)
      return { i = i % (N / 4) + 1 }, "twin-" .. i % (N / 4)
    end)
    stage:start { workers = 2 }
    assert.equal(0, stage.client:wait_all(requests, 120000))
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    stage:settle { "jobs" }
    assert.equal(N / 4, stage:count "notes" - 1)
    assert.equal(N / 4, stage:count "rbf_results")
  end)

  it("that lock each other out come to an end", function()
    stage:start():stop()
    local requests = stage:start_many("jobs.transfer", 4 * N, function(i)
      return { from = i % 10 + 1, to = (i * 7 + 3) % 10 + 1 }
    end)
    local running = stage:start { workers = 4 }
    assert.equal(0, stage.client:wait_all(requests, 120000))
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
    assert.equal(0, running:stop())
    local conflicts = 0
    for _, stopped in ipairs(running:log "worker stopped") do conflicts = conflicts + stopped.conflicts end
    -- each worker learns it for itself; what all of them know then is to take turns
    assert.truthy(conflicts < 4 * N * .3, ("%d conflicts of %d transfers"):format(conflicts, 4 * N))
    assert.equal(10000, stage.db:value "SELECT sum(balance) FROM accounts")
    assert.equal(4 * N, stage:count "rbf_results")
  end)

  it("go on when a turn does not come", function()
    local function transfers(n)
      return stage:start_many("jobs.transfer", n, function(i)
        return { from = i % 2 + 1, to = (i + 1) % 2 + 1 }
      end)
    end
    local turns = "SELECT DISTINCT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1380075056"
    local running = stage:start { workers = 4 }
    local function await(requests)
      local missing = stage.client:wait_all(requests, 60000)
      if missing == 0 then return end
      local info = stage.client:stream_info(stage.client:stream_of(stage:subject("jobs", "x")))
      error(("%d of %d without a reply; %d stored, %d not given yet, %d not acked, %d pulls wait; the host said:\n%s"):format(
        missing, #requests, info.messages, info.pending, info.ack_pending, info.waiting, running:tail(12)))
    end
    proc.eventually(function() -- until they take turns
      local before, taken = transfers(200), {}
      for _ = 1, 200 do
        taken = #taken > 0 and taken or stage.db:query(turns)
      end
      await(before)
      for _, turn in ipairs(taken) do -- a host that was stopped while it had its turn
        stage.db:query("SELECT pg_advisory_lock($1::bigint::int, $2::bigint::bit(32)::int)", turn.classid, turn.objid)
      end
      return #taken > 0
    end, 60000, "turns")
    local requests = transfers(20)
    await(requests)
    for _, request in ipairs(requests) do
      assert.equal(200, request.reply.status, request.reply.raw)
    end
  end)
end)
