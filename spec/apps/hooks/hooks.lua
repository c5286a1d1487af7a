-- Operations whose handler and hooks do what the message says: Lua in the input's `code` and in the
-- headers After and On-Error. Each onError leaves a line in the log.
local rbf = require "rbf"
local z = rbf.z

local function run(code, ...)
  return assert(loadstring("local r, rbf, x = ... " .. code))(...)
end

local function who(r)
  local token = r.msg.headers.token
  if not token then return end
  local row = r.db:one("SELECT name, txid_current()::text AS tx FROM tokens WHERE token = $1", token)
  if not row then rbf.fail { status = 401, code = "WHO", message = "Unknown token." } end
  return { ctx = { name = row.name, tx = row.tx, raw = r.input } }
end

local function report(r, e)
  r.ctx.log:info("onError", {
    id = r.msg.requestId, kind = e.kind, status = e.status, code = e.code, sqlstate = e.sqlstate,
    internal = e.internal, name = r.ctx.name, attempt = r.msg.attempt,
    code_seen = type(r.input) == "table" and r.input.code or nil,
  })
  local code = r.msg.headers["On-Error"]
  return code and run(code, r, rbf, e)
end

local app = rbf.defineBackend {
  queues = { jobs = { ackWait = { seconds = 2 } } },
  middleware = {
    before = who,
    after = function(r, result)
      local code = r.msg.headers.After
      return code and run(code, r, rbf, result)
    end,
    onError = report,
  },
}

local function handler(r)
  r.db:one "SELECT nextval('runs')"
  local result = run(r.input.code, r, rbf) -- no tail call: tracebacks are to show the line
  return result
end

local function read(r)
  return run(r.input.code, r, rbf)
end

local input = z.object { code = z.string() }
local short = { ms = 300 }

return {
  run = app:mutation("jobs", { path = "run", input = input, handler = handler }),
  number = app:mutation("jobs", { path = "number", input = input, output = z.number(), handler = handler }),
  short = app:mutation("jobs", { path = "short", input = input, handler = handler, timeout = short }),
  read = app:query("jobs", { path = "read", input = input, handler = read }),
  shortRead = app:query("jobs", { path = "shortRead", input = input, handler = read, timeout = short }),
}
