-- How many network flights to PostgreSQL a mutation takes: a short run through a proxy that counts
-- them, apart from those that are timed.
local proc = require "spec.support.proc"
local Rig = require "tests.bench.rig"

local Proxy = {}
Proxy.__index = Proxy

local function start(rig)
  local self = setmetatable({ dir = proc.temp_dir "flights", looks = 0 }, Proxy)
  self.out = self.dir .. "/count"
  self.process = proc.spawn {
    Rig.tool "bench_flights", self.dir .. "/.s.PGSQL.5432", rig.postgres.dir .. "/.s.PGSQL.5432", out = self.out, err = self.out,
  }
  return self
end

function Proxy:count()
  self.looks = self.looks + 1
  self.process:kill "USR1"
  return proc.eventually(function()
    local numbers = {}
    for number in (proc.read_file(self.out) or ""):gmatch "(%d+)\n" do numbers[#numbers + 1] = tonumber(number) end
    return numbers[self.looks]
  end, 5000, "bench_flights to answer")
end

--- Flights for each of `count` messages that were all waiting.
return function(rig, stage, work, group, workers, count)
  local proxy = start(rig)
  local url = stage.db_url:match "^(.*host=)" .. proxy.dir:gsub("/", "%%2F")
  local running = rig:start(stage, { group = group.number, workers = workers, database_url = url })
  local since = Rig.db_ms(stage)
  Rig.load(stage, work, { mode = "closed", count = count, inflight = 64 }) -- every connection is made, every statement known
  Rig.drained(stage, since, count * work.results)
  Rig.freeze(running)
  Rig.load(stage, work, { mode = "fill", count = count })
  since = Rig.db_ms(stage)
  local before = proxy:count()
  Rig.thaw(running)
  Rig.drained(stage, since, count * work.results)
  local flights = (proxy:count() - before) / count
  running:stop()
  proxy.process:finish()
  return flights
end
