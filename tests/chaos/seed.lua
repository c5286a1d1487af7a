--- One seed: servers, hosts, clients and faults of its own; the verdict as JSON in a file.
---   luajit tests/chaos/seed.lua SEED SECONDS BINARY RESULT_FILE
package.path = "./?.lua;" .. package.path
local cjson = require "cjson"
local ffi = require "ffi"
local clock = require "spec.support.clock"
local proc = require "spec.support.proc"
local pg = require "spec.support.pg"
local servers = require "spec.support.servers"

local seed, seconds, binary, result_path = tonumber(arg[1]), tonumber(arg[2]), arg[3], arg[4]
local cluster, group = os.getenv "RBF_CHAOS_CLUSTER" ~= nil, os.getenv "RBF_CHAOS_GROUP"
local HOSTS, RATE, DOOMED = 2, 75, 6
local SETTLE_MS, STALL_MS = 150000, 30000 -- at most, and without anything changing

ffi.cdef "int setenv(const char *name, const char *value, int overwrite);"
ffi.C.setenv("RBF_BIN", binary, 1)

local support = require "spec.support.host"
local new_load = require "tests.chaos.load"
local faults = require "tests.chaos.faults"
local check = require "tests.chaos.checker"

local plan = faults.draw(seed, seconds, HOSTS)
local phase = "start"
local result = { seed = seed, aging = plan.aging, ended = 0 }

-- ---------------------------------------------------------------- servers

--- Durability against a crash of the machine is not what is tested: no fsync. A killed server keeps
--- what it has written.
local function new_servers()
  ffi.C.setenv("RBF_SPEC_FSYNC", "off", 0)
  local postgres = servers.new_postgres()
  postgres.connect = function()
    return pg.try_connect(postgres:url())
  end
  postgres.spawn = function()
    local bin = assert(proc.read_file("/proc/" .. postgres.postmaster .. "/cmdline") or postgres.cmdline)
    local words = {}
    for word in bin:gmatch "[^%z]+" do words[#words + 1] = word end
    words.user, words.cwd, words.err = proc.is_root() and "postgres" or nil, "/", postgres.dir .. "/log"
    words.death_signal = "QUIT"
    return proc.spawn(words)
  end
  postgres.postmaster = postgres.process.pid
  postgres.cmdline = proc.read_file("/proc/" .. postgres.process.pid .. "/cmdline")
  if cluster then return postgres, servers.new_nats_cluster(3) end
  local server = servers.new_nats()
  return postgres, { server, url = server.url }
end

local postgres, nats = new_servers()

-- ---------------------------------------------------------------- hosts

local stage = support.stage {
  app = "tests/chaos/app", postgres = postgres, nats = nats,
  args = {
    "--orphan-after", "500ms", "--connections", "5", "--cron-lease", "2s", "--unknown-grace", "1s", "--shutdown-timeout", "6s",
    "--results-retention", plan.aging and "1500ms" or "1h",
  },
}
stage:write("settings.lua", ("return { group = %s, replicas = %s }\n"):format(group, cluster and 3 or nil))
local failpoint_log = stage.dir .. "/failpoints"
local hosts = {}
local retired = {}

local clocks = {}
for i, ms in ipairs(plan.off) do clocks[i] = clock.new(stage.dir .. "/clock" .. i, ms) end

local function start_host(i)
  local env = clocks[i]:env(binary)
  env.RBF_FAILPOINT, env.RBF_FAILPOINT_LOG = plan.points[i], failpoint_log
  env.RBF_FAILPOINT_SEED = tostring(seed * 10 + i)
  if hosts[i] then retired[#retired + 1] = hosts[i] end
  hosts[i] = stage:start {
    workers = i == 1 and 2 or 1, watch = true, no_wait = true, binary = binary, env = env,
  }
end

local touches = 0
local function touch()
  touches = touches + 1
  stage:write("touched.lua", ("return { n = %d }\n"):format(touches))
end

local commands = {}
local function command(words, on_end)
  if #commands > 3 then return on_end(-1, "not run") end
  local out = proc.temp_dir "command" .. "/out"
  local line = { binary, words[1], words[2], "--database-url", stage.db_url, out = out, err = out,
    env = { DATABASE_URL = false, NATS_URL = false } }
  commands[#commands + 1] = { process = proc.spawn(line), out = out, on_end = on_end, began = proc.now_ms() }
end

local function reap_commands()
  for i = #commands, 1, -1 do
    local c = commands[i]
    if not c.process:alive() then
      table.remove(commands, i)
      c.on_end(c.process.code or -1, proc.read_file(c.out) or "")
    elseif proc.now_ms() - c.began > 10000 then
      c.process:kill "KILL"
    end
  end
end

-- ---------------------------------------------------------------- the phases

local load = new_load {
  client = stage.client, prefix = stage.prefix, seed = seed, aging = plan.aging, command = command,
}

-- A server forgets with its end what it has delivered; what is in somebody's hands then is delivered anew.
local in_hand_at_ends = 0
local function before_nats_end()
  for _, queue in ipairs { "jobs", "events" } do
    local name = (stage.prefix .. queue):gsub("%.", "_")
    local answer = stage.client:request({ subject = ("$JS.API.CONSUMER.INFO.%s.%s"):format(name, queue) }, 500)
    in_hand_at_ends = in_hand_at_ends + (answer and answer.body and answer.body.num_ack_pending or 0)
  end
end

local act = faults.new {
  plan = plan, hosts = hosts, start_host = start_host, postgres = postgres, nats = nats, touch = touch,
  before_nats_end = before_nats_end,
  set_clock = function(i, ms) clocks[i]:set(ms) end,
}

-- A cluster's servers have first to know each other, and to choose who leads.
local function wait_for_jetstream()
  local config = { name = "probe", subjects = { "probe" }, num_replicas = cluster and 3 or 1 }
  proc.eventually(function()
    local answer = stage.client:js("STREAM.CREATE.probe", config)
    return answer and not answer.error
  end, 60000, "JetStream")
  stage.client:js "STREAM.DELETE.probe"
end

local function wait_for_streams()
  for _, queue in ipairs { "jobs", "events" } do
    stage.client:await_stream(stage:subject(queue, "x"))
  end
end

--- What an init system does.
local function revive(i)
  if hosts[i].process:alive() or act.restarting then return end
  result.ended = result.ended + 1
  act.restarting = true
  act:after(300, function()
    act.restarting = nil
    start_host(i)
  end)
end

local function storm()
  wait_for_jetstream()
  phase = "storm"
  for i = 1, HOSTS do start_host(i) end
  wait_for_streams()
  local began = proc.now_ms()
  if plan.poison then load:poison() end
  while proc.now_ms() < began + seconds * 1000 do
    act:step(began)
    for i = 1, HOSTS do revive(i) end
    load:step(began, RATE)
    reap_commands()
    stage.client:pump(4)
  end
end

--- Faults stop: servers and hosts are up again, and the hosts drain.
local function calm()
  phase = "calm"
  act:finish()
  proc.eventually(function()
    return postgres.connect()
  end, 20000, "PostgreSQL"):close()
  stage.db:close()
  stage.db = pg.connect(stage.db_url)
  local unclean = 0
  for _, host in ipairs(hosts) do host.process:kill "TERM" end
  for _, host in ipairs(hosts) do
    local code = host.process:finish("TERM", 12000)
    unclean = unclean + (code == 0 and 0 or 1)
  end
  return unclean
end

local function pump_commands()
  proc.eventually(function()
    reap_commands()
    stage.client:pump(1)
    return #commands == 0
  end, 20000, "commands to end")
end

local function describe_streams()
  local words = {}
  for _, queue in ipairs { "jobs", "events" } do
    local name = stage.client:stream_of(stage.prefix .. queue .. ".x")
    local info = name and stage.client:stream_info(name) or {}
    words[#words + 1] = ("%s: %s stored, %s pending, %s delivered and not acked"):format(queue, info.messages, info.pending,
      info.ack_pending)
  end
  return table.concat(words, "; ")
end

-- Do hosts ask for what is there? Then it is the server that does not give it.
local function describe_pulls()
  local words = {}
  for _, queue in ipairs { "jobs", "events" } do
    local name = stage.client:stream_of(stage.prefix .. queue .. ".x")
    local info = name and stage.client:stream_info(name) or {}
    words[#words + 1] = ("%s pulls wait at %s, delivered up to %s of %s"):format(info.waiting, queue, info.delivered_seq,
      info.last_seq)
  end
  return table.concat(words, "; ")
end

-- What changes as long as anything is done.
local function progress()
  local words = { stage:count "rbf_outbox", stage:count "rbf_results", stage:count "gone_results", stage:count "rbf_suspects",
    stage.db:value "SELECT COALESCE(sum(attempts), 0) FROM rbf_outbox", describe_streams() }
  return table.concat(words, " ")
end

local function describe_rest(messages, rows)
  local left = stage.db:query "SELECT path, id, target_at FROM rbf_outbox LIMIT 1" [1] or {}
  return ("everything to be done: %d messages, %d rows left (%s %s, due at %s); %s"):format(messages, rows, left.path or "",
    left.id or "", left.target_at or "", describe_streams() .. "; " .. describe_pulls())
end

local function settled()
  local quiet, began = 0, proc.now_ms()
  local changed, last = began, nil
  while quiet < 3 do
    stage.client:pump(1)
    reap_commands()
    local messages = stage:stored("jobs", "events")
    local rows, now = stage:count "rbf_outbox", proc.now_ms()
    quiet = (messages == 0 and rows == 0 and #commands == 0) and quiet + 1 or 0
    local state = progress()
    if state ~= last then changed, last = now, state end
    if now - changed > STALL_MS or now - began > SETTLE_MS then
      error(("waited %d ms for %s"):format(now - began, describe_rest(messages, rows)), 0)
    end
    if quiet == 0 then proc.sleep_ms(10) end
  end
end

-- Calls jobs off in the moment they are due, while nothing else is going on.
local function call_off()
  phase = "calling off"
  load:plan_doomed(DOOMED)
  proc.eventually(function()
    stage.client:pump(1)
    reap_commands()
    return not load:doom()
  end, SETTLE_MS, "jobs to be called off")
  settled()
end

--- With nothing in its way, all that is left is done: by one host, whose worker still dies of poison;
--- then what had failed is mended and sent again, and done by another host.
local function settle()
  phase = "settle"
  local quiet = stage:start {
    workers = 2, args = { "--no-cron" }, binary = binary,
    env = { RBF_FAILPOINT = plan.poison and "jobs.tasks.poison:kill" or nil, RBF_FAILPOINT_LOG = failpoint_log },
  }
  settled()
  call_off()
  quiet.process:finish("TERM", 10000)
  phase = "replay"
  stage.db:exec "UPDATE settings SET works = true"
  stage:start { workers = 2, args = { "--no-cron" }, binary = binary }
  load:run_command("replay", "--all")
  pump_commands()
  settled()
end

-- ---------------------------------------------------------------- what is told

local function count_lines(path)
  local counts = {}
  for line in (proc.read_file(path) or ""):gmatch "[^\n]+" do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

local function count_logs()
  local retries, poison = 0, 0
  for _, host in ipairs(stage.hosts) do
    for _, line in ipairs(host:log()) do
      if line.msg == "will be tried again" then retries = retries + 1 end
      if line.msg == "dead letter" and line.code == "POISON" then poison = poison + 1 end
    end
  end
  return retries, poison
end

-- As the server has it, or as the workers have it that ended well.
local function redeliveries()
  local n, seen = 0, 0
  for _, queue in ipairs { "jobs", "events" } do
    local name = stage.client:stream_of(stage.prefix .. queue .. ".x")
    local info = name and stage.client:stream_info(name)
    if info then n = n + math.max(0, info.delivered - info.last_seq) end
  end
  for _, host in ipairs(stage.hosts) do
    for _, line in ipairs(host:log()) do
      if line.msg == "worker stopped" then seen = seen + line.redelivered end
    end
  end
  return math.max(n, seen)
end

local function asan_reports()
  for _, host in ipairs(stage.hosts) do
    for _, line in ipairs(host:log()) do
      if line.level == "raw" and (line.msg:find "Sanitizer" or line.msg:find "runtime error:") then return line.msg end
    end
  end
end


local function judge()
  local verdict = check { db = stage.db, load = load, aging = plan.aging, initial = 6000 }
  result.violations, result.accounts, result.accepted = verdict.violations, verdict.accounts_for, verdict.accepted
  result.answered, result.slots = verdict.answered, verdict.slots
end

local function explain(e)
  return phase .. ": " .. tostring(e) .. (tostring(e):find "waited" and "" or "\n" .. debug.traceback())
end

local ok, message = xpcall(function()
  storm()
  result.unclean = calm()
  settle()
end, explain)
-- What is wrong with the work that was done may be why some of it never ends.
local judged, why = xpcall(judge, explain)
result.violations = result.violations or {}
if not ok or not judged then
  table.insert(result.violations, not ok and message or why)
  local last = stage.hosts[#stage.hosts]
  result.tail = last and last:tail(12)
end
result.requests, result.sends, result.resends = #load.requests, load.sends, load.resends
result.faults, result.failpoints = act.counts, count_lines(failpoint_log)
result.retries, result.poison = count_logs()
local counted
counted, result.redeliveries = pcall(redeliveries)
result.redeliveries = (counted and result.redeliveries or 0) + in_hand_at_ends
local report = asan_reports()
if report then table.insert(result.violations, report) end
result.dir = stage.dir
proc.write_file(result_path, cjson.encode(result))
for i = 1, #retired do retired[i].process:kill "KILL" end
pcall(stage.close, stage)
