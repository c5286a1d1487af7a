-- A private PostgreSQL and a private nats-server for the whole run, started when first asked for.
-- They die with this process. Specs that stop servers make their own with new_postgres and
-- new_nats.
local lfs = require "lfs"
local proc = require "spec.support.proc"
local pg = require "spec.support.pg"
local once = require "spec.support.once"

local _M = {}

local function remember_pid(pid)
  local f = assert(io.open(proc.scratch() .. "/pids", "a"))
  f:write(pid, "\n")
  f:close()
end

local function first_existing(...)
  for _, path in ipairs { ... } do
    if lfs.attributes(path, "mode") then
      return path
    end
  end
end

-- ---------------------------------------------------------------- PostgreSQL

local function pg_bin()
  local found
  for name in lfs.dir("/usr/lib/postgresql") do
    if tonumber(name) and (not found or tonumber(name) > tonumber(found)) then
      found = name
    end
  end
  assert(found, "PostgreSQL is not installed (apt-get install postgresql)")
  return "/usr/lib/postgresql/" .. found .. "/bin/"
end

local Postgres = {}
Postgres.__index = Postgres

-- initdb refuses root.
local function pg_user()
  return proc.is_root() and "postgres" or nil
end

--- options: more arguments of postgres.
function _M.new_postgres(options)
  local dir = proc.temp_dir "pg"
  if pg_user() then
    assert(proc.run { "chown", "postgres:postgres", dir } == 0)
  end
  local code, _, err = proc.run {
    pg_bin() .. "initdb", "-D", dir .. "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
    "--locale=C", "--no-sync", user = pg_user(), cwd = "/", timeout = 60000,
  }
  assert(code == 0, "initdb: " .. err)
  local self = setmetatable({ dir = dir, databases = 0, options = options or {} }, Postgres)
  self:start()
  return self
end

function Postgres:url(database)
  return ("postgres://postgres@/%s?host=%s"):format(database or "postgres",
    (self.dir:gsub("/", "%%2F")))
end

function Postgres:start()
  local fsync = os.getenv "RBF_SPEC_FSYNC" or "on"
  local words = {
    pg_bin() .. "postgres", "-D", self.dir .. "/data", "-k", self.dir, "-c", "listen_addresses=",
    "-c", "fsync=" .. fsync, "-c", "max_connections=200", "-c", "shared_buffers=64MB",
    "-c", "max_pred_locks_per_transaction=256",
    user = pg_user(), cwd = "/", err = self.dir .. "/log", death_signal = "QUIT",
  }
  for _, word in ipairs(self.options) do
    words[#words + 1] = word
  end
  self.process = proc.spawn(words)
  remember_pid(self.process.pid)
  self.admin = proc.eventually(function()
    return pg.try_connect(self:url())
  end, 30000, "PostgreSQL to answer")
end

--- signal: "QUIT" for an immediate shutdown (recovery at the next start), "INT" for a fast one.
function Postgres:stop(signal)
  self.admin:close()
  self.process:finish(signal or "INT", 20000)
end

--- A fresh database: its URL.
function Postgres:new_database()
  self.databases = self.databases + 1
  local name = "spec" .. self.databases
  self.admin:exec("CREATE DATABASE " .. name)
  return self:url(name)
end

function _M.postgres()
  return once("postgres", _M.new_postgres)
end

-- ---------------------------------------------------------------- NATS

local Nats = {}
Nats.__index = Nats

--- options: more arguments of nats-server; url = what comes before host and port in its URL
--- ("nats://"), env, client = how a stage's client connects (nats.connect).
function _M.new_nats(options)
  local dir = proc.temp_dir "nats"
  local self = setmetatable({ dir = dir, options = options or {}, client = (options or {}).client }, Nats)
  self:start()
  return self
end

-- The server tells its port in a file named after its pid.
local function read_port(self)
  local path = ("%s/nats-server_%d.ports"):format(self.dir, self.process.pid)
  local text = proc.read_file(path)
  return text and text:match("://[^\"]-:(%d+)\"")
end

function Nats:start()
  local program = os.getenv "RBF_SPEC_NATS_SERVER" or first_existing("/usr/sbin/nats-server", "/usr/bin/nats-server",
    "/usr/local/bin/nats-server") or "nats-server"
  local words = {
    program, "-a", "127.0.0.1", "-p", self.port or "-1", "-js", "-sd", self.dir,
    "--ports_file_dir", self.dir, err = self.dir .. "/log", out = self.dir .. "/log",
    env = self.options.env,
  }
  for _, word in ipairs(self.options) do
    words[#words + 1] = word
  end
  self.process = proc.spawn(words)
  remember_pid(self.process.pid)
  self.port = proc.eventually(function()
    return read_port(self)
  end, 20000, "nats-server to listen")
  self.url = (self.options.url or "nats://") .. "127.0.0.1:" .. self.port
end

--- By default as a crash: kill -9.
function Nats:stop(signal)
  self.process:finish(signal or "KILL", 10000)
end

--- A port that was free a moment ago: nats-server chose it.
function _M.free_port()
  local some = _M.new_nats()
  some:stop()
  return some.port
end

--- n servers of one cluster, a list; `url` names all of them. Each is stopped and started by itself.
function _M.new_nats_cluster(n)
  local routes, cluster, urls = {}, {}, {}
  for i = 1, n do routes[i] = "nats://127.0.0.1:" .. _M.free_port() end
  for i = 1, n do
    cluster[i] = _M.new_nats {
      "-n", "n" .. i, "--cluster_name", "spec", "--cluster", routes[i], "--routes", table.concat(routes, ","),
    }
    urls[i] = cluster[i].url
  end
  cluster.url = table.concat(urls, ",")
  return cluster
end

function _M.nats()
  return once("nats", _M.new_nats)
end

-- ---------------------------------------------------------------- Redis

local Redis = {}
Redis.__index = Redis

--- On a socket of its own; it keeps nothing over a restart.
function _M.new_redis()
  local dir = proc.temp_dir "redis"
  local self = setmetatable({ dir = dir, url = "unix://" .. dir .. "/socket" }, Redis)
  self:start()
  return self
end

function Redis:cli(...)
  local code, out, err = proc.run { "redis-cli", "-s", self.dir .. "/socket", ... }
  return code == 0 and out:gsub("%s+$", ""), err
end

function Redis:start()
  self.process = proc.spawn {
    "redis-server", "--port", "0", "--unixsocket", self.dir .. "/socket", "--save", "", "--dir",
    self.dir, "--appendonly", "no", "--daemonize", "no", out = self.dir .. "/log",
    err = self.dir .. "/log",
  }
  remember_pid(self.process.pid)
  proc.eventually(function()
    return self:cli "PING" == "PONG"
  end, 20000, "redis-server to answer (apt-get install redis-server)")
end

--- STOP: it hangs; CONT: it goes on.
function Redis:signal(name)
  self.process:kill(name)
end

function Redis:stop()
  self.process:finish("KILL", 10000)
end

function _M.redis()
  return once("redis", _M.new_redis)
end

return _M
