--- Faults, drawn from the seed before anything runs, and what brings them about.
local proc = require "spec.support.proc"
local new_rng = require "tests.chaos.rng"

local _M = {}

-- How often each kind is drawn. What hits NATS or stops processes is left out of seeds with a short
-- retention: a request may be forgotten while it is on its way for longer than that.
local KINDS = {
  worker_kill = 5, host_kill = 2, worker_stop = 4, host_stop = 2, pg_terminate = 4, pg_restart = 1, pg_kill = 1,
  nats_restart = 1, nats_kill = 1, nats_freeze = 3, nats_cut = 2, reload = 3, clock_set = 3,
}
local NOT_AGING = {
  worker_stop = true, host_stop = true, nats_restart = true, nats_kill = true, nats_freeze = true, nats_cut = true,
  pg_restart = true, pg_kill = true, host_kill = true,
}
local HEAVY = { pg_restart = true, pg_kill = true, nats_restart = true, nats_kill = true, nats_freeze = true }

-- Steps and what may happen there (host/base/failpoint.h). error: only where the code fails by it.
-- Kills are rare enough that work goes on between them: a worker passes some steps 200 times a second,
-- others once.
local POINTS = {
  { "intake.pulled", { "error@0.1", "kill@0.004" } },
  { "tx.duplicate", { "kill@0.05", "delay=30@0.2" } },
  { "tx.begun", { "error@0.1", "kill@0.004", "delay=30@0.1" } },
  { "run.statement", { "kill@0.001", "delay=20@0.03" } },
  { "tx.before_commit", { "error@0.1", "kill@0.006", "delay=40@0.1" } },
  { "tx.commit_sent", { "kill@0.006", "delay=50@0.1" } },
  { "tx.committed", { "error@0.1", "kill@0.006" } },
  { "reply.before", { "error@0.05", "kill@0.01" } },
  { "task.before_ack", { "error@0.1", "kill@0.006", "delay=20@0.1" } },
  { "outbox.before_publish", { "error@0.2", "kill@0.008" } },
  { "outbox.published", { "kill@0.008", "delay=20@0.1" } },
  { "outbox.stored", { "error@0.2", "kill@0.008" } },
  { "outbox.before_delete", { "kill@0.015", "delay=30@0.2" } },
  { "sweeper.found", { "kill@0.015", "delay=60@0.2" } },
  { "sweeper.published", { "kill@0.02", "delay=60@0.2" } },
  { "settle.before_write", { "kill@0.04", "delay=20@0.3" } },
  { "dead.before_write", { "kill@0.3", "delay=40@0.5" } },
  { "settle.written", { "kill@0.04", "delay=20@0.3" } },
  { "cron.before_claim", { "error@0.3", "kill@0.2" } },
  { "cron.after_claim", { "error@0.3", "kill@0.7" } },
  { "reload.built", { "kill#2", "delay=50" } },
  { "reload.before_live", { "kill#2", "delay=50" } },
}
_M.points = {}
for i, point in ipairs(POINTS) do _M.points[i] = point[1] end

local EACH = 8 -- points of one host
-- What a host's clock may be off by: from what nobody notices to a clock that was never set.
local OFF_MS = { 300, 2000, 60000, 3600000, 86400000 }

local function draw_off(rng)
  return math.floor(rng:pick(OFF_MS) * (rng:next() * 2 - 1))
end

local function deadly(acts)
  for _, act in ipairs(acts) do
    if act:find "^kill" then return act end
  end
end

--- Neighbouring seeds take the points in turn, so that each has its share of a run; and each seed has
--- a point of its own that kills in all its hosts.
local function draw_points(plan, rng, seed, hosts)
  local own = POINTS[(seed - 1) % #POINTS + 1]
  for h = 1, hosts do
    local list = {}
    for i = 1, EACH do
      local point = POINTS[((seed * hosts + h) * EACH + i) % #POINTS + 1]
      list[i] = point[1] .. ":" .. rng:pick(point[2])
    end
    list[#list + 1] = own[1] .. ":" .. deadly(own[2])
    if plan.aging then list[#list + 1] = "task.before_ack:error@0.4" end
    if seed % 2 == 0 then list[#list + 1] = "lane.turn:error@0.3" end -- no load here is so dense
    if seed % 5 == 2 then list[#list + 1] = "cron.after_claim:kill@0.5" end -- there are few claims
    if plan.poison then list[#list + 1] = "jobs.tasks.poison:kill" end
    plan.points[h] = table.concat(list, ",")
  end
end

local function draw_event(rng, kind, at, hosts)
  return {
    at = at, kind = kind, host = rng:int(1, hosts), worker = rng:next(), ms = rng:int(150, 1800), n = rng:int(1, 3),
    kill = rng:chance(.6), off = draw_off(rng),
  }
end

--- One after the other, and twice a kind that is the seed's own.
local function draw_events(plan, rng, seed, seconds, hosts)
  local weights, heavy, kinds = {}, 0, {}
  for kind, weight in pairs(KINDS) do
    kinds[#kinds + 1] = kind
    weights[kind] = not (plan.aging and NOT_AGING[kind]) and weight or nil
  end
  table.sort(kinds)
  local own = kinds[(seed - 1) % #kinds + 1]
  local at = 400
  while at < seconds * 1000 - 300 do
    local kind = rng:weighted(weights)
    if HEAVY[kind] then heavy = heavy + 1 end
    if not HEAVY[kind] or heavy <= 3 then plan.events[#plan.events + 1] = draw_event(rng, kind, at, hosts) end
    at = at + rng:int(250, 1100)
  end
  for i = 1, weights[own] and 2 or 0 do
    plan.events[#plan.events + 1] = draw_event(rng, own, rng:int(400, seconds * 500) + (i - 1) * seconds * 450, hosts)
  end
  table.sort(plan.events, function(a, b) return a.at < b.at end)
end

--- For a seed of `seconds`: {aging, poison, points (RBF_FAILPOINT of each host), off (what each host's
--- clock is off by at its start, ms), events = {{at, kind, …}, …}}.
function _M.draw(seed, seconds, hosts)
  local rng = new_rng(seed, "faults")
  local plan = { aging = seed % 4 == 0, points = {}, off = {}, events = {}, poison = seed % 3 == 1 }
  draw_points(plan, rng, seed, hosts)
  for h = 1, hosts do plan.off[h] = rng:chance(.7) and draw_off(rng) or 0 end
  draw_events(plan, rng, seed, seconds, hosts)
  return plan
end

-- ---------------------------------------------------------------- bringing them about

local Faults = {}
Faults.__index = Faults

--- o: plan, hosts (objects of spec.support.host, changed in place), start_host(i), postgres, nats (a
--- list of servers, one of which is away at a time), touch(), set_clock(i, ms), before_nats_end().
function _M.new(o)
  local self = setmetatable(o, Faults)
  self.next, self.counts, self.pending, self.stopped = 1, {}, {}, {}
  for _, ms in ipairs(self.plan.off) do
    if ms ~= 0 then self.counts.clock_set = (self.counts.clock_set or 0) + 1 end
  end
  return self
end

local function worker_of(host, at)
  local pids = host.process:alive() and host:workers() or {}
  return pids[math.floor(at * #pids) + 1]
end

local function everyone(host)
  local pids = host.process:alive() and host:workers() or {}
  table.insert(pids, 1, host.process.pid)
  return pids
end
_M.everyone = everyone

--- Later, from step().
function Faults:after(ms, fn)
  self.pending[#self.pending + 1] = { at = proc.now_ms() + ms, fn = fn }
end

function Faults:stop_pids(pids, ms)
  for _, pid in ipairs(pids) do
    proc.kill(pid, "STOP")
    self.stopped[pid] = true
  end
  self:after(ms, function()
    for _, pid in ipairs(pids) do
      proc.kill(pid, "CONT")
      self.stopped[pid] = nil
    end
  end)
end

local acts = {}

function acts.worker_kill(self, e)
  local pid = worker_of(self.hosts[e.host], e.worker)
  return pid and proc.kill(pid, "KILL")
end

function acts.worker_stop(self, e)
  local pid = worker_of(self.hosts[e.host], e.worker)
  if pid then self:stop_pids({ pid }, e.ms) end
  return pid
end

function acts.host_stop(self, e)
  self:stop_pids(everyone(self.hosts[e.host]), e.ms)
  return true
end

function acts.host_kill(self, e)
  if self.restarting then return false end
  self.restarting = true
  for _, pid in ipairs(everyone(self.hosts[e.host])) do proc.kill(pid, "KILL") end
  self:after(100 + e.ms / 4, function()
    self.restarting = nil
    self.start_host(e.host)
  end)
  return true
end

function acts.pg_terminate(self, e)
  local some = e.kill and "true" or "random() < 0.5"
  return pcall(self.postgres.admin.query, self.postgres.admin, [[SELECT pg_terminate_backend(pid)
    FROM pg_stat_activity WHERE datname IS NOT NULL AND application_name = 'rbf' AND ]] .. some)
end

local function pg_end(self, e, signal)
  if self.pg_away then return false end
  self.pg_away = true
  self.postgres.admin:close()
  self.postgres.process:kill(signal)
  local function start()
    if self.postgres.process:alive() then return self:after(20, start) end
    self.postgres.process = self.postgres.spawn()
    self.pg_away = nil
    self:await_postgres()
  end
  self:after(e.ms / 3, start)
  return true
end

--- Children of a killed server may hold its memory for a moment: it is started until it stays.
function Faults:await_postgres()
  self:after(50, function()
    if self.pg_away then return end
    if not self.postgres.process:alive() then
      self.postgres.process = self.postgres.spawn()
      return self:await_postgres()
    end
    local admin = self.postgres.connect()
    if admin then self.postgres.admin = admin else self:await_postgres() end
  end)
end

function acts.pg_restart(self, e) return pg_end(self, e, "INT") end
function acts.pg_kill(self, e) return pg_end(self, e, "KILL") end

local function server_of(self, e)
  return self.nats[math.floor(e.ms) % #self.nats + 1]
end

local function nats_end(self, e, signal)
  local server = server_of(self, e)
  if self.nats_away then return false end
  if server.process:alive() then self.before_nats_end() end
  self.nats_away = true
  server.process:kill(signal)
  local function start()
    if server.process:alive() then return self:after(20, start) end
    server:start()
    self.nats_away = nil
  end
  self:after(e.ms / 3, start)
  return true
end

function acts.nats_restart(self, e) return nats_end(self, e, "TERM") end
function acts.nats_kill(self, e) return nats_end(self, e, "KILL") end

--- What is sent to a stopped server is lost when it is killed then. Somebody else wakes it: our own
--- client may hang until then (libnats 3.4 waits for a server's first word for ever, and keeps its
--- lock).
function acts.nats_freeze(self, e)
  if self.nats_away then return false end
  if e.kill then self.before_nats_end() end
  self.nats_away = true
  local pid = server_of(self, e).process.pid
  local waker = proc.spawn {
    "sh", "-c", ("kill -STOP %d; sleep %.3f; kill -%s %d"):format(pid, e.ms / 4000, e.kill and "KILL" or "CONT", pid),
  }
  local function go_on()
    if waker:alive() then return self:after(10, go_on) end
    self.nats_away = nil
    if e.kill then nats_end(self, e, "KILL") end
  end
  self:after(e.ms / 4, go_on)
  return true
end

--- Some connections are reset (this needs root, and ss of iproute2): how many were.
local function cut_connections(port, e)
  local rng = new_rng(e.at, "cut")
  local code, out = proc.run { "sh", "-c", "ss -tnH state established dport = :" .. port }
  local cut = 0
  for own in (code == 0 and out or ""):gmatch "127%.0%.0%.1:(%d+)%s+127" do
    if rng:chance(.6) then
      code, out = proc.run { "ss", "-KtnH", "sport", "=", ":" .. own, "dport", "=", ":" .. port }
      cut = cut + (code == 0 and out:find "%d" and 1 or 0)
    end
  end
  return cut > 0
end

function acts.nats_cut(self, e)
  if self.nats_away then return false end
  return cut_connections(server_of(self, e).port, e)
end

function acts.reload(self, e)
  for i = 0, e.n * 2 do self:after(i * 120, self.touch) end
  return true
end

function acts.clock_set(self, e)
  self.set_clock(e.host, e.off)
  return true
end

--- What is due by now.
function Faults:step(began)
  local now = proc.now_ms()
  for i = #self.pending, 1, -1 do
    if self.pending[i].at <= now then table.remove(self.pending, i).fn() end
  end
  local events = self.plan.events
  while events[self.next] and began + events[self.next].at <= now do
    local e = events[self.next]
    self.next = self.next + 1
    if acts[e.kind](self, e) then self.counts[e.kind] = (self.counts[e.kind] or 0) + 1 end
  end
end

--- Lets everything that is under way come to its end: servers up, nobody stopped.
function Faults:finish()
  local deadline = proc.now_ms() + 20000
  while (#self.pending > 0 or self.pg_away or self.nats_away) and proc.now_ms() < deadline do
    self:step(proc.now_ms())
    proc.sleep_ms(5)
  end
  for pid in pairs(self.stopped) do proc.kill(pid, "CONT") end
  assert(#self.pending == 0, "a fault does not end")
end

return _M
