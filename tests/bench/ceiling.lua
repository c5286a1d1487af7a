-- The ceiling: pgbench with the statements a workload asks of PostgreSQL, and nothing else running.
local proc = require "spec.support.proc"
local Rig = require "tests.bench.rig"

local _M = {}

local function pgbench(stage, script, clients, seconds)
  local bin = assert(io.popen "pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin"):read "*l"
  local code, out, err = proc.run {
    bin .. "/pgbench", "-n", "-M", "prepared", "-c", clients, "-j", 2, "-T", seconds, "--max-tries=10",
    "-f", "tests/bench/" .. script .. ".pgbench", stage.db_url,
    env = { PGOPTIONS = "-c enable_seqscan=off" }, timeout = 600000, -- as the host's connections have it
  }
  assert(code == 0, err)
  return tonumber(out:match "tps = ([%d.]+)") or 0 -- it says none where not one was done in time
end

--- {plain = {rate, clients, all}, pipelined = …, rate = the better, cpu_us}
function _M.measure(rig, stage, name, options)
  local found, seconds = { rate = 0 }, options.ceiling_seconds
  for _, way in ipairs { "plain", "pipelined" } do
    local script = way == "plain" and name or name .. "_pipelined"
    local best = { rate = 0, all = {} }
    for i, clients in ipairs(options.clients) do
      Rig.calm(stage)
      local rate
      local cost = rig:window(rig.postgres.process.pid, function() rate = pgbench(stage, script, clients, seconds) end)
      best.all[i] = { clients = clients, rate = rate }
      if rate > best.rate then
        best.rate, best.clients, best.postgres_us = rate, clients, cost.postgres / (rate * seconds) * 1e6
      end
    end
    assert(best.rate > 0, "pgbench got nothing done")
    found[way] = best
    found.rate = math.max(found.rate, best.rate)
  end
  return found
end

return _M
