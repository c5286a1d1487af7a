-- A worker's start: while PostgreSQL takes connections and answers none (it is asked while the app is
-- loaded, and nobody waits for it who need not), and when one of its queues is not to be had.
local host = require "spec.support.host"
local proc = require "spec.support.proc"
local servers = require "spec.support.servers"

local app = 'return require("rbf").defineBackend { queues = { jobs = {} } }\n'

-- Of a worker; what it has between fork and exec is not its own.
local function sockets(pid)
  if not (proc.read_file(("/proc/%d/cmdline"):format(pid)) or ""):find "^rbf%zworker" then return 0 end
  local f = assert(io.popen(("ls -l /proc/%d/fd 2>/dev/null"):format(pid)))
  local text = f:read "*a"
  f:close()
  return select(2, text:gsub("socket:", ""))
end

describe("while PostgreSQL does not answer", function()
  local postgres

  before_each(function() postgres = servers.new_postgres() end)
  after_each(function()
    postgres.process:kill "CONT"
    postgres:stop()
  end)

  local function start(text)
    local stage = host.stage { app = { ["app.lua"] = text }, postgres = postgres }
    finally(function() stage:close() end)
    stage.db_url = stage.db_url .. "&connect_timeout=300"
    postgres.process:kill "STOP"
    return stage:start { no_wait = true }
  end

  local function ended(running)
    local code = running:wait()
    assert.same({}, running:log(function(line) return line.msg:find "killing it" end))
    return code
  end

  it("a worker that waits for it can be ended", function()
    local running = start(app)
    proc.eventually(function() -- one is the supervisor's
      local worker = running:workers()[1]
      return worker and sockets(worker) >= 3
    end, 20000, "connections to both servers")
    running.process:kill "TERM"
    assert.equal(0, ended(running))
  end)

  it("a file that does not load is told of", function()
    local running = start(app .. "syntax error")
    assert.equal(1, ended(running))
    assert.matches("app.lua:2", running:tail(5))
  end)

  it("it serves once it does", function()
    local running = start(app)
    proc.eventually(function() return running:workers()[1] end, 20000, "a worker")
    postgres.process:kill "CONT"
    running:await_ready()
    assert.equal(0, running:stop())
  end)
end)

describe("with a queue that is not to be had", function()
  local function queues(names)
    return ([[
local rbf = require "rbf"
local app = rbf.defineBackend { queues = { %s } }
return { run = app:mutation("jobs", { path = "run", input = rbf.z.any(), handler = function() return "done" end }) }
]]):format(names)
  end

  it("a worker takes nothing from the others", function()
    local file = proc.temp_dir "conf" .. "/nats.conf"
    proc.write_file(file, [[
authorization { users: [
  { user: admin, password: p }
  { user: host, password: p, permissions: { publish: { deny: ["$JS.API.STREAM.INFO.mute"] } } } ] }
]])
    local server = servers.new_nats { "-c", file, url = "nats://admin:p@" }
    local stage = host.stage { app = { ["app.lua"] = queues "jobs = {}" }, nats = server }
    stage.prefix = "" -- the permission names a stream
    finally(function()
      stage:close()
      server:stop()
    end)
    assert.equal(0, stage:start():stop()) -- the stream and its consumer are there
    stage.client:store { subject = stage:subject("jobs", "run"), headers = { ["Request-Id"] = "early" }, data = "1" }
    stage:write("app.lua", queues "jobs = {}, mute = {}")
    stage.nats = { url = server.url:gsub("admin", "host") }
    local running = stage:start { no_wait = true }
    assert.equal(1, running:wait())
    assert.matches("stream 'mute', consumer 'mute': no answer from JetStream", running:tail(5))
    assert.equal(0, stage:count "rbf_results")
    stage.nats = server
    stage:start()
    proc.eventually(function() return stage:count "rbf_results" == 1 end, 20000, "the message to be done")
  end)
end)
