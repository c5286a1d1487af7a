--- backend.mutations.NAME { … }, backend.queries.NAME { … } and backend.cancel(id): requests to the app's
--- hosts, from scripts (rbf exec). Names are those of the operations; an operation itself is a key as well.
local host = require "rbf.host"
local define = require "rbf.define"
local errors = require "rbf.errors"
local registry = require "rbf.registry"
local texts = require("rbf.scheduler").texts
local util = require "rbf.util"

local misuse = errors.misuse
local null = host.null

local _M = {}

local plural = { mutation = "mutations", query = "queries" }
local DEFAULT_TIMEOUT_MS, DEFAULT_RETRIES = 30000, 2

-- ---------------------------------------------------------------- what comes back

local sent = {} -- requests nobody has waited for: Pending → true

local Pending = util.closed({}, "a sent request")
Pending.__index = Pending

local function failure(pending, status, code, message, issues)
  return errors.new("error", {
    status = status,
    code = type(code) == "string" and code or "INTERNAL_SERVER_ERROR",
    message = type(message) == "string" and message or "no message",
    issues = issues ~= null and issues or nil,
    requestId = pending.requestId,
  })
end

--- true, the result; or false, the error.
local function outcome(pending, status, body, code, message)
  if not body then return false, failure(pending, status, code, message) end
  local value, why = host.decode(body)
  if why then return false, failure(pending, 502, "BAD_REPLY", "the answer is no JSON: " .. why) end
  if status == 200 then
    if value == null then value = nil end
    return true, value
  end
  if type(value) ~= "table" then value = {} end
  return false, failure(pending, status, value.code, value.message, value.issues)
end

local function await(pending)
  if pending.done then return end
  local answered, status, body, code, message = host.ask("client.wait", pending.number)
  if not answered then misuse("a script cannot wait in a callback of table.sort, string.gsub or other C code") end
  sent[pending], pending.done = nil, true
  pending.ok, pending.value = outcome(pending, status, body, code, message)
end

--- Waits for the result; raises rbf.Error, as often as it is called.
function Pending:wait()
  if type(self) ~= "table" or getmetatable(self) ~= Pending then
    misuse("use wait with a colon, on what :send gave")
  end
  await(self)
  if not self.ok then error(self.value, 0) end
  return rawget(self, "value")
end

--- For the end of a script: what was sent must have arrived. nil, or what went wrong.
function _M.finish()
  local n, first = 0, nil
  for pending in pairs(sent) do
    await(pending)
    if not pending.ok then n, first = n + 1, first or pending end
  end
  if first then
    return ("%s%d of the requests that were sent and not waited for failed; this one: %s"):format(
      first.where, n, tostring(first.value))
  end
end

-- ---------------------------------------------------------------- what goes out

local option_keys = {
  input = true, params = true, headers = true, timeout = true, retries = true, requestId = true,
}

local function checked(what, value, why)
  if not value then misuse("%s: %s", what, why) end
  return value
end

local function check_id(id, what)
  util.check_type(id, "string", what .. ": requestId")
  if #id < 1 or #id > 200 or id:find "%c" or not host.encode(id, "requestId") then
    misuse("%s: requestId must be 1 to 200 bytes of printable UTF-8", what)
  end
  return id
end

local function check_retries(n, what)
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 or n > 1000 then
    misuse("%s: retries must be a whole number from 0 to 1000, found %s", what, util.describe(n))
  end
  return n
end

local function send(what, op, o)
  o = o == nil and {} or util.check_type(o, "table", what .. "'s argument")
  util.check_keys(o, option_keys, what)
  local subject = checked(what, host.subject(registry.queues[op.queue].subject, op.path,
    texts(op.path, o.params, what)))
  local headers = o.headers ~= nil
    and checked(what, host.headers(util.check_type(o.headers, "table", what .. ": headers"))) or nil
  local id = o.requestId == nil and host.uuid() or check_id(o.requestId, what)
  local ok, number = host.ask("client.send", op.type, subject, headers, id,
    checked(what, host.encode(o.input, "input")),
    o.timeout == nil and DEFAULT_TIMEOUT_MS or util.timeout(o.timeout, what .. ": timeout"),
    o.retries == nil and DEFAULT_RETRIES or check_retries(o.retries, what))
  if ok == nil then
    misuse("%s works in a script that `rbf exec` runs, and not in a callback of C code", what)
  end
  checked(what, ok, number)
  local pending = setmetatable({ number = number, requestId = id, where = errors.here(), done = false }, Pending)
  sent[pending] = true
  return pending
end

-- ---------------------------------------------------------------- names

local Operation = { __name = "rbf.clientOperation" }
local methods = {}

--- Sends without waiting: what it gives has :wait().
function methods:send(options)
  if type(self) ~= "table" or getmetatable(self) ~= Operation then
    misuse("use send with a colon: backend.mutations.NAME:send { … }")
  end
  return send(self.what .. ":send", self.op, options)
end

function Operation.__call(self, options)
  return send(self.what, self.op, options):wait()
end

function Operation.__index(self, key)
  local what = rawget(self, "what")
  return methods[key] or misuse("%s is called, as in %s { input = … }, or sent; it has no '%s'%s",
    what, what, tostring(key), util.did_you_mean(key, { "send" }))
end

local function other_type(op)
  misuse("'%s' is a %s: use backend.%s.%s", op.name or op.path, op.type, plural[op.type], op.name or "[…]")
end

local function find(kind, key)
  if define.is_op(key) then return key.type == kind and key or other_type(key) end
  local names, other = {}, nil
  for _, op in ipairs(registry.ops) do
    if op.name and op.type == kind then names[#names + 1] = op.name end
    if op.name == key then
      if op.type == kind then return op end
      other = op
    end
  end
  if other then other_type(other) end
  table.sort(names)
  misuse("backend.%s: no %s '%s'%s (the app has: %s)", plural[kind], kind, tostring(key),
    util.did_you_mean(key, names), #names > 0 and table.concat(names, ", ") or "none with a name")
end

local function operations(kind)
  local known = {} -- by operation
  return setmetatable({}, {
    __index = function(_, key)
      local op = find(kind, key)
      if not known[op] then
        known[op] = setmetatable({
          op = op, what = ("backend.%s.%s"):format(plural[kind], op.name or op.path),
        }, Operation)
      end
      return known[op]
    end,
    __newindex = function()
      misuse("backend.%s cannot be changed: app:%s defines operations", plural[kind], kind)
    end,
  })
end

--- Cancels what waits for its time, by its job id or its request id: true, and it will never run; false
--- when it is due, under way, done or unknown.
local function cancel(id)
  util.check_type(id, "string", "backend.cancel's argument")
  local ok, cancelled = host.ask("client.cancel", id)
  if ok == nil then
    misuse "backend.cancel works in a script that `rbf exec` runs, and not in a callback of C code"
  end
  checked("backend.cancel", ok, cancelled)
  return cancelled
end

_M.backend = util.readonly({
  cancel = cancel,
  mutations = operations "mutation",
  queries = operations "query",
}, "backend")

return _M
