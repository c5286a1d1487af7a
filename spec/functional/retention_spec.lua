-- What is old goes, and nothing that is still needed: results, dead letters, suspects.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local HOUR = 3600000
local SHORT = { "--results-retention", "4s", "--dead-retention", "1s" } -- and so a purge each 500 ms

describe("the purge", function()
  local stage

  after_each(function()
    host.close(stage)
    stage = nil
  end)

  local function set_up(o)
    stage = host.stage { app = "spec/apps/aging", args = SHORT, nats = o and o.nats }
  end

  -- Stored results with ids name1 … namen, so old.
  local function add_results(name, n, age_ms, namespace)
    stage.db:query([[INSERT INTO rbf_results (namespace, request_id, requested_path, requested_input, status,
      created_at) SELECT $4, $1 || i, 'jobs.run', 'null', 200,
      (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint - $3::bigint FROM generate_series(1, $2::int) i]],
      name, n, age_ms, namespace or "default")
  end

  local function add_row(columns, values)
    return stage.db:query(([[INSERT INTO rbf_outbox (source_request_id, type, path, data, %s)
      SELECT 'source', 'request', '%snowhere.x', 'null', %s
      FROM (SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now) clock
      RETURNING id]]):format(columns, stage.prefix, values))[1].id
  end

  local function has(name)
    return stage.db:value("SELECT count(*) FROM rbf_results WHERE request_id LIKE $1 || '%'", name)
  end

  local function await_gone(name)
    proc.eventually(function()
      return has(name) == 0
    end, 20000, "result " .. name .. " to be purged")
  end

  -- A result of the same age as those asked about has gone, which was not needed: a purge that
  -- began after this call has been there. (Two, as one may have been under way.)
  local function await_purge(age_ms)
    for _ = 1, 2 do
      local name = ("sentinel%d-"):format(proc.now_ms() * 1000)
      add_results(name, 1, age_ms or HOUR)
      await_gone(name)
    end
  end

  local function complaints(running)
    return running:log(function(line)
      return line.level == "error" or line.level == "warn"
    end)
  end

  it("takes old results, in batches, and leaves young ones and other namespaces' alone", function()
    set_up()
    add_results("old", 3500, HOUR)
    add_results("young", 10, -HOUR)
    add_results("theirs", 10, HOUR, "theirs")
    local running = stage:start()
    await_gone "old"
    assert.equal(10, has "young")
    assert.equal(10, has "theirs")
    assert.equal(0, running:stop())
    assert.equal(3500, running.stats.purged)
    assert.equal(3500, stage.db:value "SELECT sum(n) FROM deletions")
    assert.equal(1000, stage.db:value "SELECT max(n) FROM deletions")
    assert.same({}, complaints(running))
  end)

  it("is shared by several hosts", function()
    set_up()
    add_results("old", 20000, HOUR)
    local hosts = { stage:start { workers = 2 }, stage:start() }
    await_gone "old"
    local purged = 0
    for _, running in ipairs(hosts) do
      assert.equal(0, running:stop())
      assert.same({}, complaints(running))
      purged = purged + running.stats.purged
    end
    assert.equal(20000, purged)
  end)

  it("takes old dead letters and suspects", function()
    set_up()
    for name, age in pairs { old = HOUR, young = -HOUR } do
      stage.db:query([[INSERT INTO rbf_dead_letters (id, queue, subject, request_id, attempts, first_seen_at, died_at)
        SELECT gen_random_uuid(), 'jobs', 'jobs.run', $1, 1, 0,
          (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint - $2::bigint]], name, age)
      stage.db:query([[INSERT INTO rbf_suspects (message, created_at) SELECT $1,
        (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint - 168 * $2::bigint]], name, age)
    end
    local running = stage:start()
    proc.eventually(function()
      return stage:count "rbf_dead_letters" == 1 and stage:count "rbf_suspects" == 1
    end, 20000)
    assert.equal("young", stage.db:value "SELECT request_id FROM rbf_dead_letters")
    assert.equal("young", stage.db:value "SELECT message FROM rbf_suspects")
    assert.equal(1, running:await_log("dead letters purged: their retention is over").n)
  end)

  it("is not for a host with --no-sweeper, and 0 keeps for ever", function()
    set_up()
    add_results("old", 1, HOUR)
    local other = stage:start { args = { "--no-sweeper" } }
    local keeps = stage:start { args = { "--results-retention", "0" } }
    local began = proc.now_ms()
    repeat
      stage:call("jobs.run", {})
    until proc.now_ms() > began + 3000
    assert.equal(0, other:stop())
    assert.equal(0, keeps:stop())
    assert.equal(0, other.stats.purged + keeps.stats.purged)
    assert.equal(1, has "old")
  end)

  it("waits while NATS is away", function()
    local nats_server = servers.new_nats()
    finally(function()
      nats_server:stop()
    end)
    set_up { nats = nats_server }
    local running = stage:start()
    await_purge()
    nats_server:stop()
    running:await_log "NATS is away; waiting"
    add_results("old", 1, HOUR)
    proc.sleep_ms(3000) -- several times when it would
    assert.equal(1, has "old")
    nats_server:start()
    await_gone "old"
  end)

  -- One host that purges and serves another queue, one that serves jobs and does not purge.
  local function start_both()
    local purger = stage:start { args = { "--queues", "other" } }
    return purger, function()
      return stage:start { args = { "--queues", "jobs", "--no-sweeper" } }
    end
  end

  local function kill_all(running)
    local pids = running:workers()
    for _, pid in ipairs(pids) do
      proc.kill(pid, "STOP")
    end
    running.process:kill "KILL"
    running.process:wait(5000)
    for _, pid in ipairs(pids) do
      proc.kill(pid, "KILL")
    end
  end

  local function effects(id)
    return stage.db:value("SELECT count(*) FROM effects WHERE by = $1", id)
  end

  -- Longer than the retention, and purges with it, since the result was stored.
  local function outlive(id, ms)
    proc.eventually(function()
      return stage.db:value([[SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint - created_at
        FROM rbf_results WHERE request_id = $1]], id) > (ms or 4500)
    end, 10000, "result " .. id .. " to be older than its retention")
    await_purge()
  end

  it("leaves the result of a message whose ack was lost, until it has come again", function()
    set_up()
    local purger, start_server = start_both()
    local first = start_server()
    stage.client:start { subject = stage:subject("jobs", "run"), data = {}, id = "lingers" }
    proc.eventually(function()
      return stage.db:value [[SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'PgSleep']] == 1
    end, 10000, "COMMIT to be under way")
    kill_all(first)
    proc.eventually(function()
      return has "lingers" == 1
    end, 10000, "the commit")
    outlive "lingers"
    assert.equal(1, has "lingers")
    local second = start_server()
    stage:settle { "jobs" }
    assert.equal(1, effects "lingers")
    assert.equal(0, second:stop())
    assert.equal(1, second.stats.duplicates)
    await_gone "lingers"
    assert.same({}, complaints(purger))
  end)

  -- Nothing is asked of the hosts' counters: a worker that stands still for a second starts over.
  it("leaves it with a retention of one second, too", function()
    set_up()
    local brief = { "--results-retention", "1s" }
    stage:start { args = { "--queues", "other", unpack(brief) } }
    local loses_acks = stage:start {
      binary = host.binary() .. "-fault", env = { RBF_FAILPOINT = "task.before_ack:error" },
      args = { "--queues", "jobs", "--no-sweeper", unpack(brief) },
    }
    stage.client:start { subject = stage:subject("jobs", "run"), data = {}, id = "unacked" }
    proc.eventually(function() return has "unacked" == 1 end, 20000, "its commit")
    kill_all(loses_acks)
    outlive("unacked", 1500)
    assert.equal(1, has "unacked")
    stage:start { args = { "--queues", "jobs", "--no-sweeper", unpack(brief) } }
    stage:settle { "jobs" }
    assert.equal(1, effects "unacked")
    await_gone "unacked"
  end)

  it("leaves the result of a request that was sent again in time, until that has been answered", function()
    set_up()
    local _, start_server = start_both()
    local first = start_server()
    local request = stage.client:start { subject = stage:subject("jobs", "run"), data = {}, id = "again" }
    assert.equal(0, stage.client:wait_all({ request }))
    stage.client:send(request)
    stage.client:flush()
    kill_all(first) -- answered or not, sent a third time: that one waits
    stage.client:send(request)
    assert.equal(0, stage.client:wait_all({ request }, nil, "ack"))
    outlive "again"
    assert.equal(1, has "again")
    start_server()
    stage:settle { "jobs" }
    assert.equal(1, effects "again")
    await_gone "again"
  end)

  it("leaves what a row of the outbox may ask for that may have been published", function()
    set_up()
    local row = add_row("created_at, next_try_at", "now - 10000, now + 3600000")
    add_row("created_at, target_at", ("now - %d, now + %d"):format(HOUR, HOUR)) -- only waits
    add_results("needed", 1, 9000)
    stage:start()
    await_purge()
    assert.equal(1, has "needed")
    stage.db:query("DELETE FROM rbf_outbox WHERE id = $1", row)
    await_gone "needed"
  end)

  it("leaves the result of a message that waits for another attempt all the same", function()
    set_up()
    local row = add_row("headers, target_at",
      ([['{"RBF-Request-Id":"late","RBF-First-Seen":"1"}', now + %d]]):format(HOUR))
    stage.db:query("UPDATE rbf_outbox SET source_request_id = 'late' WHERE id = $1", row)
    stage.db:query [[INSERT INTO rbf_results (request_id, requested_path, requested_input, status, created_at)
      VALUES ('late', 'jobs.run', 'null', 200, 1)]]
    stage:start()
    await_purge()
    assert.equal(1, has "late")
    stage.db:query("DELETE FROM rbf_outbox WHERE id = $1", row)
    await_gone "late"
  end)
end)

describe("the oldest due outbox row", function()
  local stage

  after_each(function()
    host.close(stage)
  end)

  it("is warned of once when it is late, and once when that is over", function()
    stage = host.stage { app = "spec/apps/aging" }
    local id = stage.db:query [[INSERT INTO rbf_outbox (source_request_id, type, path, created_at, next_try_at)
      SELECT 'source', 'request', 'no.stream', now - 61000, now + 3600000
      FROM (SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now) clock RETURNING id]][1].id
    local running = stage:start()
    local late = "outbox rows are late: are NATS and a sweeper up, and can the rows be published?"
    assert.truthy(running:await_log(late).oldest_due_ms >= 61000)
    stage.db:query("DELETE FROM rbf_outbox WHERE id = $1", id)
    running:await_log "the outbox has caught up"
    assert.equal(1, #running:log(late))
    assert.equal(0, running:stop())
    assert.equal(0, running.stats.oldest_due_ms)
  end)
end)
