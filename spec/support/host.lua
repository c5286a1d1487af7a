-- Hosts under test. A stage is a fresh database, a subject prefix of its own and a client; hosts
-- are started on it. The binary is RBF_BIN (build/rbf).
local lfs = require "lfs"
local cjson = require "cjson"
local proc = require "spec.support.proc"
local pg = require "spec.support.pg"
local nats = require "spec.support.nats"
local servers = require "spec.support.servers"
local once = require "spec.support.once"

local _M = { eventually = proc.eventually }

local function absolute(path)
  return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path
end

--- Counts shrink under slow builds: RBF_SPEC_SCALE=0.1.
_M.scale = tonumber(os.getenv "RBF_SPEC_SCALE" or "1")

--- n, scaled; at least `least` (1).
function _M.scaled(n, least)
  return math.max(least or 1, math.floor(n * _M.scale + 0.5))
end

--- Prints figures a spec measured, in one line.
function _M.figures(name, text, ...)
  io.stdout:write(("\n  %s: %s\n"):format(name, text:format(...)))
  io.stdout:flush()
end

function _M.binary()
  local path = absolute(os.getenv "RBF_BIN" or "build/rbf")
  assert(lfs.attributes(path, "mode") == "file", "no host to test at " .. path .. ": build it, or set RBF_BIN")
  return path
end

--- Runs `rbf …` to its end: exit code, stdout, stderr. Environment that names servers is taken out.
function _M.rbf(...)
  local options = { _M.binary(), ... }
  local last = options[#options]
  if type(last) == "table" then
    options[#options] = nil
  end
  last = type(last) == "table" and last or {}
  options.env = { DATABASE_URL = false, NATS_URL = false, RBF_SUBJECT_PREFIX = false }
  for name, value in pairs(last.env or {}) do
    options.env[name] = value
  end
  options.timeout, options.cwd = last.timeout or 30000, last.cwd
  return proc.run(options)
end

-- ---------------------------------------------------------------- one running host

local Host = {}
Host.__index = Host

-- Reads what was logged since the last look.
local function read_log(self)
  local f = io.open(self.log_path, "rb")
  if not f then
    return
  end
  f:seek("set", self.log_at)
  local text = f:read("*a")
  f:close()
  local used = 0
  for line in text:gmatch("([^\n]*)\n") do
    used = used + #line + 1
    local ok, entry = pcall(cjson.decode, line)
    self.lines[#self.lines + 1] = ok and type(entry) == "table" and entry
      or { msg = line, level = "raw" } -- not ours: a sanitizer's, say
  end
  self.log_at = self.log_at + used
end

--- All log lines so far (tables), or those for which `want` is true (a msg, or a function).
function Host:log(want)
  read_log(self)
  if not want then
    return self.lines
  end
  local found = {}
  for _, line in ipairs(self.lines) do
    if line.msg == want or type(want) == "function" and want(line) then
      found[#found + 1] = line
    end
  end
  return found
end

--- The last lines as text, for messages.
function Host:tail(n)
  local text = proc.read_file(self.log_path) or ""
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n", math.max(1, #lines - (n or 15) + 1))
end

--- Waits until n log lines match; returns the n-th.
function Host:await_log(want, timeout_ms, n)
  n = n or 1
  return proc.eventually(function()
    return self:log(want)[n]
  end, timeout_ms or 20000, function()
    return ("log line %s (%d×); the host said:\n%s"):format(tostring(want), n, self:tail())
  end)
end

--- Waits until n workers more than those known so far have said that they are ready.
function Host:await_ready(n)
  local target = self.ready + (n or 1)
  proc.eventually(function()
    if not self.process:alive() then
      error("the host ended (code " .. tostring(self.process.code) .. ", signal "
        .. tostring(self.process.signal) .. "): " .. self:tail(), 0)
    end
    return #self:log("worker ready") >= target
  end, 60000, function()
    return "worker ready; the host said:\n" .. self:tail()
  end)
  self.ready = target
  return self:log("worker ready")[target]
end

--- Pids of the living workers.
function Host:workers()
  return proc.children(self.process.pid)
end

--- SIGCONT to all of its processes, whichever a spec has stopped.
function Host:wake()
  if not self.process:alive() then return end
  for _, pid in ipairs(self:workers()) do proc.kill(pid, "CONT") end
  self.process:kill "CONT"
end

--- kill -9 of one worker (the first, or a random one of several).
function Host:kill_worker()
  local pids = self:workers()
  local pid = pids[math.random(math.max(1, #pids))]
  return pid and proc.kill(pid, "KILL") and pid
end

--- Asks for a clean end (TERM) and waits: exit code, signal. Fills self.stats.
function Host:stop(timeout_ms)
  self.process:kill("TERM")
  return self:wait(timeout_ms)
end

function Host:wait(timeout_ms)
  local ok, code, signal = pcall(self.process.wait, self.process, timeout_ms or 60000)
  if not ok then
    error(code .. "; the host said:\n" .. self:tail(), 2)
  end
  local faults = self:log(function(line)
    return line.level == "raw" and line.msg:find "Sanitizer" or line.msg:find "runtime error:"
  end)
  if faults[1] then -- an instrumented build has found something
    error(faults[1].msg .. "; the host said:\n" .. self:tail(60), 2)
  end
  self.stats = {}
  for _, line in ipairs(self:log("worker stopped")) do
    for name, value in pairs(line) do
      if type(value) == "number" and name ~= "pid" then
        self.stats[name] = (self.stats[name] or 0) + value
      end
    end
  end
  return code, signal
end

-- ---------------------------------------------------------------- a stage

local Stage = {}
Stage.__index = Stage

-- Runs the files of a migrations folder in their order.
local function apply_migrations(db, dir)
  local names = {}
  if lfs.attributes(dir, "mode") == "directory" then
    for name in lfs.dir(dir) do
      names[#names + 1] = name:match("%.sql$") and name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    db:exec(proc.read_file(dir .. "/" .. name))
  end
end

--- A scratch copy of an app (a folder, or file name → text), its tables in a fresh database.
--- o: app, postgres, nats (servers.* by default), args (more flags of each host).
function _M.stage(o)
  local number = once("stage.count", function()
    return { 0 }
  end)
  number[1] = number[1] + 1
  local self = setmetatable({
    prefix = ("s%d."):format(number[1]), dir = proc.temp_dir "stage", args = o.args or {},
    postgres = o.postgres or servers.postgres(), nats = o.nats or servers.nats(), hosts = {},
  }, Stage)
  self.app = self.dir .. "/app"
  if type(o.app) == "table" then
    lfs.mkdir(self.app)
    for name, text in pairs(o.app) do
      self:write(name, text)
    end
  else
    proc.copy_tree(absolute(o.app or "handlers"), self.app)
  end
  self.db_url = self.postgres:new_database()
  self.db = pg.connect(self.db_url)
  local code, _, err = _M.rbf("db:init", "--apply", "--database-url", self.db_url)
  assert(code == 0, err)
  apply_migrations(self.db, self.app .. "/migrations")
  self.client = nats.connect(self.nats.url, self.nats.client)
  return self
end

--- In a copy of handlers/: a short ack wait, so that what a dead worker held comes again soon.
function Stage:shorten_ack_wait()
  local text = proc.read_file(self.app .. "/app.lua")
  local queue = "{ timeout = { seconds = 2 }, ackWait = { seconds = 3 } }"
  local n
  text, n = text:gsub("{ jobs = {}, events = {} }", ("{ jobs = %s, events = %s }"):format(queue, queue))
  assert(n == 1, "handlers/app.lua is not what it was")
  self:write("app.lua", text)
end

--- Writes a file of the app's scratch copy, at once (beside and renamed).
function Stage:write(name, text)
  local folder = name:match("^(.*)/")
  if folder then
    lfs.mkdir(self.app .. "/" .. folder)
  end
  proc.write_file(self.app .. "/" .. name, text)
end

--- A file of the app's scratch copy.
function Stage:read(name)
  return assert(proc.read_file(self.app .. "/" .. name))
end

--- Starts `rbf run` here and waits for its workers, unless o.no_wait.
--- o: workers, watch, args (list), env, urls_by_env (not as flags).
function Stage:start(o)
  o = o or {}
  local workers = o.workers or 1
  local words = {
    o.binary or _M.binary(), "run", self.app, "--subject-prefix", self.prefix, "--log-format", "json",
    "--workers", workers,
    env = o.env or {}, cwd = self.dir,
  }
  if o.urls_by_env then
    words.env.DATABASE_URL = words.env.DATABASE_URL or self.db_url
    words.env.NATS_URL = words.env.NATS_URL or self.nats.url
  else
    for _, word in ipairs { "--database-url", self.db_url, "--nats-url", self.nats.url } do
      words[#words + 1] = word
    end
  end
  if o.watch then
    words[#words + 1] = "--watch"
  end
  for _, list in ipairs { self.args, o.args or {} } do
    for _, word in ipairs(list) do
      words[#words + 1] = word
    end
  end
  local log_path = ("%s/host%d.log"):format(self.dir, #self.hosts + 1)
  words.err, words.out = log_path, log_path
  local host = setmetatable({
    process = proc.spawn(words), log_path = log_path, log_at = 0, lines = {}, ready = 0,
  }, Host)
  self.hosts[#self.hosts + 1] = host
  if not o.no_wait then
    host:await_ready(workers)
  end
  return host
end

--- Restarts a server of NATS, until this host and the client are back; meanwhile() while it is away.
function Stage:restart_nats(server, running, meanwhile)
  server:stop()
  running:await_log "NATS is away; waiting"
  if meanwhile then meanwhile() end
  server:start()
  running:await_log "NATS is back"
  proc.eventually(function()
    return self.client:connected()
  end, 20000, "the client to be connected again")
end

--- Full subject of a path below a queue: subject("jobs", "users.create").
function Stage:subject(queue, path)
  return self.prefix .. queue .. "." .. path
end

--- Calls an operation: {status, body, raw, headers, version}.
function Stage:call(queue_path, data, o)
  return self.client:call(self.prefix .. queue_path, data, o)
end

--- Starts n calls: each(i) gives their data (and a request id, if not random); the requests.
function Stage:start_many(queue_path, n, each)
  local requests = {}
  for i = 1, n do
    local data, id = each(i)
    requests[i] = self.client:start { subject = self.prefix .. queue_path, data = data, id = id }
  end
  return requests
end

--- How many rows a table has.
function Stage:count(table_name)
  return self.db:value("SELECT count(*) FROM " .. table_name)
end

--- Messages stored in the streams of these queues, and how many of them were delivered and not acked.
function Stage:stored(...)
  local messages, ack_pending = 0, 0
  for _, queue in ipairs { ... } do
    local name = self.client:stream_of(self.prefix .. queue .. ".x")
    local info = name and self.client:stream_info(name)
    if info then
      messages, ack_pending = messages + info.messages, ack_pending + info.ack_pending
    end
  end
  return messages, ack_pending
end

--- Waits until nothing is left to do: streams and outbox empty, at two looks in a row (work moves
--- between the two while one is being looked at).
function Stage:settle(queues, timeout_ms)
  local messages, rows
  local quiet = 0
  return proc.eventually(function()
    messages, rows = self:stored(unpack(queues)), self:count "rbf_outbox"
    quiet = (messages == 0 and rows == 0) and quiet + 1 or 0
    return quiet == 2
  end, timeout_ms or 60000, function()
    return ("empty streams and outbox: %d messages, %d rows left"):format(messages, rows)
  end)
end

--- Ends the hosts, drops the streams.
function Stage:close()
  for _, host in ipairs(self.hosts) do
    host:wake()
    host.process:finish("TERM", 5000)
  end
  if self.client then
    local answer = self.client:js("STREAM.NAMES", {})
    for _, name in ipairs(answer and type(answer.streams) == "table" and answer.streams or {}) do
      local info = self.client:stream_info(name)
      local subject = info and info.config.subjects and info.config.subjects[1] or ""
      if subject:sub(1, #self.prefix) == self.prefix then
        self.client:js("STREAM.DELETE." .. name)
      end
    end
    self.client:close()
    self.client = nil
  end
  self.db:close()
end

--- close() for hooks: a stage that was never made is no error of its own.
function _M.close(stage)
  if stage then
    stage:close()
  end
end

return _M
