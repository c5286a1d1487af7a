-- The bench's stage: PostgreSQL (fsync on), nats-server, hosts, and what a stretch of work cost each.
local cjson = require "cjson"
local lfs = require "lfs"
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"
local cpu = require "tests.bench.cpu"

local Rig = {}
Rig.__index = Rig

-- More memory than the specs' servers have, and no checkpoint while something is measured; the same
-- for the ceiling, the hosts and the peers. %e: errors' SQLSTATE, to count conflicts.
local POSTGRES = {
  "-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=1h",
  "-c", "log_line_prefix=%e ", "-c", "log_min_error_statement=panic",
}
local CONFLICTS = { ["40001"] = "serialization", ["40P01"] = "deadlock", ["55P03"] = "lock_timeout" }

--- Programs of the build that RBF_BIN is from.
function Rig.tool(name)
  local path = host.binary():gsub("[^/]*$", "") .. "tests/" .. name
  assert(lfs.attributes(path, "mode") == "file", "no " .. path .. ": build with -DRBF_TESTS=ON")
  return path
end

function Rig.new()
  return setmetatable({ postgres = servers.new_postgres(POSTGRES), nats = servers.new_nats() }, Rig)
end

--- Runs a tool that prints one line of JSON.
function Rig.json(words)
  words.timeout = words.timeout or 600000
  local code, out, err = proc.run(words)
  local ok, value = pcall(cjson.decode, out)
  assert(ok and type(value) == "table", table.concat(words, " ") .. ": " .. out .. err)
  assert(code == 0, ("%s: answers are missing: %s%s"):format(table.concat(words, " "), out, err))
  return value
end

-- ---------------------------------------------------------------- stages

--- A fresh database with the bench's tables; prepare(db) fills them.
function Rig:stage(prepare)
  local stage = host.stage { app = "tests/bench/app", postgres = self.postgres, nats = self.nats }
  if prepare then prepare(stage.db) end
  stage.db:exec "VACUUM (ANALYZE)" -- autovacuum would, in the midst of it
  return stage
end

--- A host there. o: group (a number: at most so many mutations a transaction), workers, args,
--- database_url.
function Rig:start(stage, o)
  stage:write("settings.lua", ("return { group = %s }\n"):format(o.group or "nil"))
  -- what an open loop asks too early waits, and is seen as latency; by default a worker refuses above 1,000
  local args = { "--log-level", "warn", "--max-rpc-waiting", "1000000" }
  for _, word in ipairs(o.args or {}) do args[#args + 1] = word end
  local url = stage.db_url
  stage.db_url = o.database_url or url
  local running = stage:start { args = args, no_wait = true, workers = o.workers }
  stage.db_url = url
  proc.eventually(function()
    assert(running.process:alive(), running:tail())
    return pcall(stage.call, stage, "jobs.noop", nil, { timeout = 1000 })
  end, 30000, "the host answers")
  return running
end

--- Stopped, so that messages can be stored before it takes the first. The supervisor before the
--- workers: it would miss their heartbeats.
function Rig.freeze(running)
  running.frozen = running:workers()
  proc.kill(running.process.pid, "STOP")
  for _, pid in ipairs(running.frozen) do proc.kill(pid, "STOP") end
end

function Rig.thaw(running)
  for _, pid in ipairs(running.frozen) do proc.kill(pid, "CONT") end
  proc.kill(running.process.pid, "CONT")
end

--- The most a worker has held since it began, MB.
function Rig.peak_mb(running)
  local most = 0
  for _, pid in ipairs(running:workers()) do most = math.max(most, cpu.peak_mb(pid)) end
  return most
end

-- ---------------------------------------------------------------- load

--- Starts the load generator on an operation (o: mode, count, rate, inflight, id) and waits for its end.
function Rig.load(stage, work, o)
  local subject = stage:subject("jobs", work.subject)
  local words = {
    Rig.tool "bench_load", "--nats", stage.nats.url, "--subject", work.rpc and stage.prefix .. "rpc.jobs." .. work.subject or subject,
    "--data", work.data or "null", "--count", math.max(1, math.floor(o.count)), "--mode", o.mode, "--id", work.id or 7,
    "--accounts", work.accounts or 0, "--inflight", o.inflight or 512, "--base", work.base or 0,
  }
  work.base = (work.base or 0) + math.floor(o.count)
  if work.rpc then words[#words + 1] = "--rpc" end
  if o.rate then
    words[#words + 1] = "--rate"
    words[#words + 1] = o.rate
  end
  local r = Rig.json(words)
  assert(r.refused == 0, ("%d of %d answers of %s are no success"):format(r.refused, r.sent, subject))
  return r
end

-- ---------------------------------------------------------------- windows

local function conflicts_since(rig, offset)
  local f = assert(io.open(rig.postgres.dir .. "/log"))
  f:seek("set", offset)
  local counts = { serialization = 0, deadlock = 0, lock_timeout = 0 }
  for line in f:lines() do
    local name = CONFLICTS[line:match "^(%w+) ERROR"]
    if name then counts[name] = counts[name] + 1 end
  end
  f:close()
  return counts
end

--- Calls fn and tells what it took: {host, postgres, nats = seconds of CPU, conflicts = {…}}, and
--- what fn returned. `pid`: of the host (or peer).
function Rig:window(pid, fn)
  local roots = { host = pid, postgres = self.postgres.process.pid, nats = self.nats.process.pid }
  local offset = lfs.attributes(self.postgres.dir .. "/log", "size")
  local before = cpu.seconds(roots)
  local value = fn()
  local cost = cpu.seconds(roots)
  for name in pairs(roots) do cost[name] = cost[name] - before[name] end
  cost.conflicts = conflicts_since(self, offset)
  return cost, value
end

local function stored(stage, queue)
  local name = stage.prefix:gsub("%.", "_") .. queue
  stage.streams = stage.streams or {}
  stage.streams[queue] = stage.streams[queue] or assert(stage.client:stream_of(stage:subject(queue, "x")), name)
  local answer = stage.client:js("STREAM.INFO." .. stage.streams[queue])
  return answer and answer.state.messages or 1
end

--- The database's clock, ms epoch.
function Rig.db_ms(stage)
  return stage.db:value "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"
end

--- Waits until `results` results were stored since a time of the database's clock and nothing is left
--- to do; the time of the last.
function Rig.drained(stage, since, results)
  return proc.eventually(function()
    if stored(stage, "jobs") + stored(stage, "events") > 0 then return end
    local row = stage.db:query([[SELECT count(*) AS n, max(created_at) AS last, EXISTS (SELECT FROM rbf_outbox WHERE
      namespace = 'default' AND COALESCE(next_try_at, target_at, created_at) <= $2) AS due FROM rbf_results
      WHERE namespace = 'default' AND created_at >= $1]], since, Rig.db_ms(stage))[1]
    return tonumber(row.n) >= results and row.due == "f" and tonumber(row.last)
  end, 300000, function()
    return results .. " results; there are " .. stage.db:value("SELECT count(*) FROM rbf_results WHERE created_at >= $1", since)
  end)
end

--- No checkpoint of what is past falls into what comes.
function Rig.calm(stage)
  stage.db:exec "CHECKPOINT"
end

return Rig
