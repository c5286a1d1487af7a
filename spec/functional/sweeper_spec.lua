-- Rows of the outbox that wait, are due, or cannot be published.
local host = require "spec.support.host"
local proc = require "spec.support.proc"

describe("the sweeper", function()
  local stage

  before_each(function()
    stage = host.stage {
      app = "spec/apps/aging",
      args = { "--max-attempts", "2", "--retry-initial", "50ms", "--orphan-after", "500ms", "--results-retention", "4s" },
    }
  end)

  after_each(function()
    host.close(stage)
  end)

  -- n rows for jobs.run, due so many ms from now.
  local function add_rows(n, due_in_ms)
    stage.db:query([[INSERT INTO rbf_outbox (source_request_id, type, path, data, target_at)
      SELECT 'spec', 'request', $1, '{}', (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint + $2::bigint
      FROM generate_series(1, $3::int)]], stage:subject("jobs", "run"), due_in_ms, n)
  end

  local function add_unpublishable(id, data)
    stage.db:query([[INSERT INTO rbf_outbox (id, source_request_id, type, path, data, target_at, headers)
      VALUES ($1, 'spec', 'request', $2, $3, 1, jsonb_build_object('RBF-Request-Id', 'bad' || $4::text))]], id,
      data and stage:subject("jobs", "run") or "no.stream.takes.this", data or "{}", id:sub(1, 1))
  end

  it("shares what is due with other hosts; each row runs once", function()
    local n = host.scaled(3000, 400)
    local hosts = { stage:start(), stage:start() }
    add_rows(n, 200)
    proc.eventually(function()
      return stage:count "rbf_outbox" == 0
    end, 60000, "an empty outbox")
    stage:settle({ "jobs" }, 60000)
    assert.equal(n, stage:count "effects")
    local swept = {}
    for i, running in ipairs(hosts) do
      assert.equal(0, running:stop())
      swept[i] = running.stats.swept
    end
    host.figures("sweeper", "%d rows, %d and %d swept", n, swept[1], swept[2])
    assert.equal(n, swept[1] + swept[2])
  end)

  it("lets a row that cannot be published back off and die alone", function()
    local nowhere, large = "1aaaaaaa-0000-4000-a000-000000000000", "2aaaaaaa-0000-4000-a000-000000000000"
    stage:start()
    add_unpublishable(nowhere)
    add_unpublishable(large, '{"n":1,"x":"' .. ("x"):rep(1100000) .. '"}')
    add_rows(100, 0)
    proc.eventually(function()
      return stage:count "effects" == 100
    end, 20000, "the innocents")
    proc.eventually(function()
      return stage:count "rbf_outbox" == 0
    end, 60000, "the ends of the others")
    local letters = stage.db:query "SELECT id, request_id, error_code, error_message, attempts FROM rbf_dead_letters ORDER BY id"
    assert.equal(2, #letters)
    for i, letter in ipairs(letters) do
      assert.equal(({ nowhere, large })[i], letter.id)
      assert.equal("bad" .. i, letter.request_id)
      assert.equal("UNPUBLISHABLE", letter.error_code)
      assert.equal("2", letter.attempts)
    end
    assert.truthy(letters[1].error_message:find "no stream takes its subject", letters[1].error_message)
    assert.truthy(letters[2].error_message:find "max_payload", letters[2].error_message)
    assert.equal(100, stage:count "effects")
  end)

  local function counters(name)
    stage.db:query "SELECT pg_stat_force_next_flush()" -- what this session did
    return stage.db:query([[SELECT t.seq_scan, t.seq_tup_read, t.idx_scan, io.heap_blks_hit + io.heap_blks_read
        + io.idx_blks_hit + io.idx_blks_read AS blocks,
      (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid) AS entries
      FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid) WHERE t.relname = $1]], name)[1]
  end

  -- What every session that ended has told of a table: after - before.
  local function used(name, before)
    local after, difference = counters(name), {}
    for key, value in pairs(after) do
      difference[key] = tonumber(value) - tonumber(before[key])
    end
    return difference
  end

  -- The planner's node types say little (sessions have enable_seqscan=off, and an index can be read
  -- from end to end): what counts is how much was read.
  it("and the purge read by index, and little, however much waits", function()
    local waiting = 100000
    add_rows(waiting, 3600000)
    stage.db:query([[INSERT INTO rbf_results (request_id, requested_path, requested_input, status, created_at)
      SELECT 'young' || i, 'jobs.run', 'null', 200, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint + 3600000
      FROM generate_series(1, $1::int) i]], waiting)
    stage.db:exec "VACUUM (ANALYZE) rbf_outbox"
    stage.db:exec "VACUUM (ANALYZE) rbf_results"
    -- autovacuum reads whole tables too, and may come at any time
    stage.db:exec [[ALTER TABLE rbf_outbox SET (autovacuum_enabled = off);
      ALTER TABLE rbf_results SET (autovacuum_enabled = off)]]
    local running = stage:start()
    local before = { rbf_outbox = counters "rbf_outbox", rbf_results = counters "rbf_results" }
    local rounds = 5
    for i = 1, rounds do -- in each: rows become due, run, and their results are purged
      add_rows(10, 100)
      proc.eventually(function()
        return stage:count "effects" == 10 * i
      end, 20000)
    end
    proc.eventually(function() -- not by looking into the tables: that would be counted
      return stage.db:value "SELECT sum(n) FROM deletions" == 10 * rounds
    end, 20000, "purged results")
    assert.equal(0, running:stop())
    for name, old in pairs(before) do
      local u = used(name, old)
      host.figures("sweeper", "%s: %d index scans read %d entries, %d blocks; %d rows wait", name, u.idx_scan,
        u.entries, u.blocks, waiting)
      assert.equal(0, u.seq_scan, name)
      assert.truthy(u.idx_scan >= 10 * rounds)
      assert.truthy(u.entries < waiting / 20, name .. " entries read")
      assert.truthy(u.blocks < waiting / 20, name .. " blocks read")
    end
  end)
end)
