--- What all schemas share. A schema is immutable and compiled once into _run(v, ctx), which gives
--- the validated value and collects issues in ctx. Two directions: input (JSON null becomes nil)
--- and output (ctx.out: a nullable nil becomes null, so that it is written).
---
--- Inside a run a null that a schema has accepted is NIL: the place it goes to decides what becomes
--- of it (nil in a field of input, null in a list). any and unknown leave rbf.null as it is.
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"
local words = require "rbf.z.words"

local null, array_mt = host.null, host.array_mt
local type, getmetatable, setmetatable = type, getmetatable, setmetatable

local _M = {}

local NIL = setmetatable({}, { __tostring = function() return "null" end })
_M.NIL = NIL

--- One more issue at the place where the run is. Checks go on after it, as zod's do.
function _M.issue(ctx, code, message)
  local path, base = setmetatable({}, array_mt), ctx.base
  for i = base + 1, ctx.depth do path[i - base] = ctx.path[i] end
  local issues = ctx.issues
  if not issues then
    issues = setmetatable({}, array_mt)
    ctx.issues = issues
  end
  local issue, n = { path = path, code = code, message = message }, ctx.n + 1
  issues[n], ctx.n = issue, n
  return issue
end

--- The same, and the checks of this schema and of those around it are left out.
function _M.abort(ctx, code, message)
  ctx.aborts = ctx.aborts + 1
  return _M.issue(ctx, code, message)
end

--- The same, and not even lengths are checked any more.
function _M.halt(ctx, code, message)
  ctx.halts = ctx.halts + 1
  return _M.abort(ctx, code, message)
end

function _M.issue_type(ctx, expected, v)
  return _M.abort(ctx, "invalid_type",
    ("Invalid input: expected %s, received %s"):format(expected, words.received(v)))
end

--- Runs on an empty list of issues: value, issues or nil, was it aborted? Paths begin here.
function _M.apart(run, v, ctx)
  local issues, n, aborts, halts = ctx.issues, ctx.n, ctx.aborts, ctx.halts
  local base, stopped = ctx.base, ctx.stopped
  ctx.issues, ctx.n, ctx.aborts, ctx.halts = nil, 0, 0, 0
  ctx.base, ctx.stopped = ctx.depth, false
  local result = run(v, ctx)
  local found, aborted = ctx.issues, ctx.stopped or ctx.aborts > 0
  ctx.issues, ctx.n, ctx.aborts, ctx.halts = issues, n, aborts, halts
  ctx.base, ctx.stopped = base, stopped
  return result, found, aborted
end

--- A value for a place that has no rule of its own for null.
function _M.settle(v, out)
  if v ~= NIL then return v end
  return out and null or nil
end

--- parse, then the checks. A check is { run = fn(v, ctx) → v, length = it runs on whatever has one }.
local function with_checks(parse, checks)
  local n = #checks
  if n == 0 then return parse end
  return function(v, ctx)
    local aborts, halts = ctx.aborts, ctx.halts
    v = parse(v, ctx)
    for i = 1, n do
      local check = checks[i]
      local aborted = ctx.stopped or ctx.aborts > aborts
      if not aborted then
        v = check.run(v, ctx)
      elseif check.length and not ctx.stopped and ctx.halts == halts
        and (type(v) == "string" or (type(v) == "table" and v ~= NIL and words.is_list(v))) then
        v = check.run(v, ctx)
      end
    end
    return v
  end
end

local function finish(s)
  s._run = with_checks(s._kind.compile(s._def, s._checks), s._checks)
  return s
end

--- A copy of a schema with some of its definition changed, compiled anew.
function _M.with(s, changes)
  local def = {}
  for k, v in pairs(s._def) do def[k] = v end
  for k, v in pairs(changes) do def[k] = v end
  return finish(setmetatable({ _kind = s._kind, _def = def, _checks = s._checks }, getmetatable(s)))
end

--- The same with one more check; its `json` are keywords of JSON Schema that say the same.
function _M.add_check(s, check)
  local checks = { unpack(s._checks) }
  checks[#checks + 1] = check
  return finish(setmetatable({ _kind = s._kind, _def = s._def, _checks = checks }, getmetatable(s)))
end

function _M.is_schema(v)
  local mt = type(v) == "table" and getmetatable(v)
  return mt and mt.__schema or false
end

--- Blames the caller unless v is a schema.
function _M.expect(v, what)
  if not _M.is_schema(v) then
    errors.misuse("%s must be a schema such as z.string(), found %s", what, util.describe(v))
  end
  return v
end

--- The message of an issue: the caller's own (a string or { message = "…" }), else the usual one.
function _M.message(own, usual, what)
  if own == nil then return usual end
  if type(own) == "table" then
    util.check_keys(own, { message = true }, what)
    own = own.message
    if own == nil then return usual end
  end
  return util.check_type(own, "string", what .. ": message")
end

--- May the value be absent? nil: no; "optional": it may; "defaulted": something takes its place.
function _M.optin(s)
  local f = s._kind.optin
  return f and f(s._def)
end

--- May the validated value be absent?
function _M.optout(s)
  local f = s._kind.optout
  return f and f(s._def)
end

--- The list of all values it takes, if they can be listed (enum, literal, …).
function _M.values(s)
  local f = s._kind.values
  return f and f(s._def)
end

--- value, or nil and the issues.
function _M.validate(s, v, out)
  local ctx = {
    out = out, path = {}, depth = 0, base = 0, issues = nil, n = 0, aborts = 0, halts = 0,
    stopped = false,
  }
  local result = s._run(v, ctx)
  if ctx.n > 0 then return nil, ctx.issues end
  if result == NIL then return out and null or nil end
  return result
end

_M.common = {}

--- Does something below the wrappers around it know the method?
local function below(s, name)
  local inner = rawget(s, "_def").inner
  if not inner then return false end
  return inner._kind.methods[name] ~= nil or below(inner, name)
end

--- Finds a method by name; one that is asked too late, of a wrapper, is told so.
local function lookup(kind)
  local methods = {}
  for k, v in pairs(_M.common) do methods[k] = v end
  for k, v in pairs(kind.methods) do methods[k] = v end
  util.closed(methods, "a schema of kind " .. kind.name)
  return function(s, name)
    if rawget(methods, name) == nil and below(s, name) then
      errors.misuse("call %s() before %s(): a schema of kind %s has no '%s'", name, kind.name,
        kind.name, name)
    end
    return methods[name]
  end
end

--- A kind of schema: gives its constructor, which takes the definition (a table).
--- kind: name, compile(def, checks) → run(v, ctx), methods?, json(def, build)?, optin?, optout?, values?
function _M.kind(kind)
  kind.methods = kind.methods or {}
  local mt = { __schema = true }
  return function(def)
    mt.__index = mt.__index or lookup(kind) -- late: the common methods are complete by then
    return finish(setmetatable({ _kind = kind, _def = def or {}, _checks = {} }, mt))
  end
end

return _M
