--- What must not grow: read now and then, and judged at the end.
local lfs = require "lfs"
local proc = require "spec.support.proc"

local _M = {}

-- How much the last third of a run may lie above the second one, by kind: a share, and what is
-- noise anyway.
local TOLERANCE = {
  rss = { share = .05, noise = 1024 }, -- KiB of one process
  fds = { share = 0, noise = 1 }, -- of one process
  connections = { share = 0, noise = 1 },
  rows = { share = .25, noise = 300 },
  bytes = { share = .25, noise = 2097152 },
}

local TABLES = { "rbf_results", "rbf_outbox", "rbf_dead_letters", "rbf_suspects" }

local function rss_kib(pid)
  local text = proc.read_file("/proc/" .. pid .. "/status") or ""
  return tonumber(text:match "VmRSS:%s+(%d+)")
end

local function open_fds(pid)
  local n = 0
  if not pcall(function()
    for name in lfs.dir("/proc/" .. pid .. "/fd") do n = n + (name:find "^%d" and 1 or 0) end
  end) then return nil end
  return n
end

local function processes(sample, host)
  sample["rss host"], sample["fds host"] = rss_kib(host.process.pid), open_fds(host.process.pid)
  local pids = host:workers()
  table.sort(pids)
  for i, pid in ipairs(pids) do
    sample["rss worker " .. i], sample["fds worker " .. i] = rss_kib(pid), open_fds(pid)
  end
end

local function tables(sample, db)
  for _, name in ipairs(TABLES) do
    sample["rows " .. name] = tonumber(db:value("SELECT count(*) FROM " .. name))
    sample["bytes " .. name] = tonumber(db:value(("SELECT pg_total_relation_size('%s')"):format(name)))
  end
  sample["connections of the host"] = tonumber(db:value [[SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'rbf']])
end

--- Everything of a host on a stage at one moment: {["rss worker 1"] = KiB, …}. The first word of a
--- name is its kind.
function _M.sample(stage, host)
  local sample = { ["rows messages"] = stage:stored("jobs", "events") }
  processes(sample, host)
  tables(sample, stage.db)
  return sample
end

local function names_of(samples)
  local seen, names = {}, {}
  for _, sample in ipairs(samples) do
    for name in pairs(sample) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

local function median(samples, name, from, to)
  local values = {}
  for i = from, to do values[#values + 1] = samples[i][name] end
  table.sort(values)
  return values[math.floor(#values / 2) + 1]
end

--- For each meter {name, first, second, last (the medians of the thirds), limit, grows}.
function _M.judge(samples)
  local n, list = #samples, {}
  local a, b = math.floor(n / 3), math.floor(2 * n / 3)
  for i, name in ipairs(names_of(samples)) do
    local tolerance = TOLERANCE[name:match "^%a+"]
    local second, last = median(samples, name, a + 1, b), median(samples, name, b + 1, n)
    local limit = second and second * (1 + tolerance.share) + tolerance.noise
    list[i] = { name = name, first = median(samples, name, 1, a), second = second, last = last, limit = limit,
      grows = not limit or (last or 0) > limit }
  end
  return list
end

return _M
