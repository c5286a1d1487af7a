--- testing.host: `rbf dev` of the app in a process of its own, and requests to it.
local host = require "rbf.host"
local raise = require("rbf.testing.blame").raise
local session = require "rbf.testing.session"

local _M = {}

local START_MS, REQUEST_MS, EVENTUALLY_MS, LOOK_MS = 60000, 30000, 10000, 50

local Host = {}
Host.__index = Host

local function read(path)
  local f = io.open(path)
  local text = f and f:read "*a"
  if f then f:close() end
  return text
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function output_of(command)
  local f = assert(io.popen(command))
  local text = f:read "*a"
  f:close()
  return (text:gsub("%s+$", ""))
end

--- It ends with us, and we wait for its end: the shell between them does both.
local script = [[
exec setpriv --pdeathsig TERM sh -c '
  trap "kill \$pid" TERM
  setpriv --pdeathsig TERM "$0" dev "$1" --state-dir "$2/state" --workers 1 >"$2/log" 2>&1 </dev/null & pid=$!
  echo $pid; wait $pid' ]]

--- Calls fn every 50 ms until it gives something true; nil when that took too long.
local function await(self, fn, ms)
  local waited = 0
  repeat
    local value = fn()
    if value then return value end
    self.ask("sleep", LOOK_MS)
    waited = waited + LOOK_MS
  until waited > ms
end

--- ask: the host's own; make(kind, verb, op, options): a request as t:mutate makes it.
function _M.start(app, ask, make)
  local exe = output_of "readlink /proc/$PPID/exe"
  local dir = output_of "mktemp -d /tmp/rbf-host-XXXXXX"
  local self = setmetatable({ ask = ask, make = make, dir = dir }, Host)
  self.process = assert(io.popen(script .. quoted(exe) .. " " .. quoted(app) .. " " .. quoted(dir)))
  self.pid = self.process:read "*l"
  session.defer(function() self:stop() end)
  local served = await(self, function()
    return (read(dir .. "/log") or ""):find("serves, as code version", 1, true)
      or os.execute("kill -0 " .. self.pid .. " 2>/dev/null") ~= 0 and "ended"
  end, START_MS)
  if not served or served == "ended" then
    local log = read(dir .. "/log") or ""
    self:stop()
    raise("testing.host: rbf dev did not come up; it said: %s", log:sub(-2000))
  end
  local dev = host.decode(assert(read(dir .. "/state/dev.json")))
  self.databaseUrl, self.natsUrl = dev.database_url, dev.nats_url
  local ok, why = ask("test.client", self.natsUrl)
  if not ok then raise("testing.host: %s", why) end
  return self
end

local function send(self, kind, verb, op, options)
  if type(self) ~= "table" or getmetatable(self) ~= Host then raise("use h:%s(…), with a colon", verb) end
  if not self.process then raise("h:%s: this host has been stopped", verb) end
  local r = self.make(kind, verb, op, options)
  local ok, number = self.ask("client.send", kind, r.subject, r.headers ~= "{}" and r.headers or nil, r.id, r.input,
    REQUEST_MS, 2)
  if not ok then raise("h:%s: %s", verb, number or "specs cannot wait here") end
  local _, status, body, code, message = self.ask("client.wait", number)
  local value = body and host.decode(body) or { code = code, message = message }
  if status == 200 then return value end
  value.status = status
  return nil, setmetatable(value, { __tostring = function(e) return ("%d %s: %s"):format(e.status, e.code, e.message) end })
end

function Host:mutate(op, options) return send(self, "mutation", "mutate", op, options) end

function Host:query(op, options) return send(self, "query", "query", op, options) end

function Host:eventually(fn, ms)
  ms = ms or EVENTUALLY_MS
  return await(self, fn, ms) or raise("h:eventually: nothing true within %d ms", ms)
end

function Host:stop()
  if not self.process then return end
  self.ask "test.client"
  os.execute("kill -TERM " .. self.pid .. " 2>/dev/null")
  self.process:close()
  self.process = nil
  os.execute("rm -rf " .. quoted(self.dir))
end

return _M
