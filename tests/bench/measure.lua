-- One workload on one host: throughput, latencies, what it cost.
local proc = require "spec.support.proc"
local Rig = require "tests.bench.rig"

local _M = {}

local function micros(cost, n)
  return { host = cost.host / n * 1e6, postgres = cost.postgres / n * 1e6, nats = cost.nats / n * 1e6 }
end

-- Latencies of a generator that keeps to its clock, at shares of the peak.
local function open_loop(stage, work, peak, seconds)
  local list = {}
  for _, share in ipairs { .3, .5, .8 } do
    local rate = math.max(5, peak * share)
    local r = Rig.load(stage, work, { mode = "open", rate = rate, count = math.max(20, rate * seconds) })
    list[#list + 1] = { share = share, rate = rate, achieved = r.rate, refused = r.refused, ms = r.ms }
  end
  return list
end

-- Everything is in the stream before the host takes the first message: nothing runs beside it.
local function stored(rig, stage, running, work, count)
  Rig.calm(stage)
  Rig.freeze(running)
  local ok, err = pcall(Rig.load, stage, work, { mode = "fill", count = count })
  local since = Rig.db_ms(stage)
  local cost, last = rig:window(running.process.pid, function()
    Rig.thaw(running)
    assert(ok, err)
    return Rig.drained(stage, since, count * work.results)
  end)
  return {
    count = count, rate = count / ((last - since) / 1000), cpu_us = micros(cost, count), conflicts = cost.conflicts,
    conflicts_each = (cost.conflicts.serialization + cost.conflicts.deadlock) / count,
  }
end

-- The generator runs beside it and waits for replies, 512 at a time.
local function beside(rig, stage, running, work, count)
  Rig.calm(stage)
  local since, reply = Rig.db_ms(stage), nil
  local cost, last = rig:window(running.process.pid, function()
    reply = Rig.load(stage, work, { mode = "closed", count = count })
    return Rig.drained(stage, since, count * work.results)
  end)
  local us = micros(cost, count)
  us.generator = reply.cpu_seconds / count * 1e6
  return {
    count = count, rate = count / ((last - since) / 1000), cpu_us = us, refused = reply.refused,
    conflicts = cost.conflicts, conflicts_each = (cost.conflicts.serialization + cost.conflicts.deadlock) / count,
  }
end

-- A first rate, so that what is measured takes about the time that was asked for.
local function probe(stage, work)
  local most = work.results > 10 and 10 or 300
  local rate = 1
  for _ = 1, 2 do -- the first warms
    local since = Rig.db_ms(stage)
    Rig.load(stage, work, { mode = "closed", count = most })
    rate = most * 1000 / (Rig.drained(stage, since, most * work.results) - since + 1)
  end
  return rate
end

--- o: seconds, flights (false: not counted)
function _M.mutation(rig, stage, running, work, o)
  local seconds, rate = o.seconds, probe(stage, work)
  local out = {}
  out.beside = beside(rig, stage, running, work, math.ceil(rate * seconds))
  out.stored = stored(rig, stage, running, work, math.ceil(out.beside.rate * 1.3 * seconds))
  out.rate = out.stored.rate
  if o.latency then
    out.open = open_loop(stage, work, out.beside.rate, seconds)
    if work.idle then out.idle = Rig.load(stage, work, { mode = "closed", inflight = 1, count = 200 * seconds }).ms end
  end
  out.peak_mb = Rig.peak_mb(running)
  return out
end

-- One client at a time, answered by another that does nothing: what the way through NATS takes.
local function nats_alone(stage, count)
  local subject = stage.prefix .. "echo"
  local echo = proc.spawn { Rig.tool "bench_load", "--nats", stage.nats.url, "--subject", subject, "--mode", "echo" }
  stage.client:flush()
  local ok, r = pcall(function()
    proc.eventually(function() return stage.client:request({ subject = subject }, 100) end, 5000, "the echo")
    return Rig.json {
      Rig.tool "bench_load", "--nats", stage.nats.url, "--subject", subject, "--rpc", "--inflight", 1, "--count", count,
    }
  end)
  echo:finish "KILL"
  assert(ok, r)
  return { rate = r.rate, ms = r.ms }
end

--- A query, asked by plain requests.
function _M.query(rig, stage, running, work, o)
  Rig.load(stage, work, { mode = "closed", inflight = 16, count = 1000 })
  local out = { clients = {} }
  for _, clients in ipairs { 1, 64 } do
    local r
    local count = (clients == 1 and 2000 or 8000) * o.seconds
    local cost = rig:window(running.process.pid, function()
      r = Rig.load(stage, work, { mode = "closed", inflight = clients, count = count })
    end)
    local us = micros(cost, count)
    us.generator = r.cpu_seconds / count * 1e6
    out.clients[#out.clients + 1] = { clients = clients, rate = r.rate, refused = r.refused, ms = r.ms, cpu_us = us }
    out.rate, out.beside = r.rate, { rate = r.rate, cpu_us = us }
  end
  if o.latency then out.open = open_loop(stage, work, out.rate, o.seconds) end
  local bare = Rig.json { Rig.tool "bench_bare", stage.db_url, 3000 * o.seconds, work.accounts }
  out.bare, out.nats_alone = bare, nats_alone(stage, 2000 * o.seconds)
  out.ratio_p50 = out.clients[1].ms.p50 / bare.ms.p50
  out.peak_mb = Rig.peak_mb(running)
  return out
end

return _M
