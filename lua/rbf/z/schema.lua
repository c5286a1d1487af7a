--- What all schemas share. A schema is immutable; its checks are compiled once into _run(v, ctx),
--- which gives the validated value and collects issues in ctx. Two directions: input (JSON null
--- becomes nil) and output (ctx.out: a nullable nil becomes null, so that it is written).
local host = require "rbf.host"
local errors = require "rbf.errors"
local util = require "rbf.util"

local null, array_mt = host.null, host.array_mt
local type, getmetatable, setmetatable, pairs = type, getmetatable, setmetatable, pairs

local _M = {}

--- Is it a JSON list? (An empty table without the mark is an object.)
function _M.is_list(t)
  return getmetatable(t) == array_mt or #t > 0
end

local function received(v)
  if v == nil then return "undefined" end
  if v == null then return "null" end
  if v ~= v then return "NaN" end
  if type(v) == "table" then return _M.is_list(v) and "array" or "object" end
  return type(v)
end

function _M.issue(ctx, code, message)
  local path = setmetatable({}, array_mt)
  for i = 1, ctx.depth do path[i] = ctx.path[i] end
  local issues = ctx.issues
  if not issues then
    issues = setmetatable({}, array_mt)
    ctx.issues = issues
  end
  issues[#issues + 1] = { path = path, code = code, message = message }
end

function _M.issue_type(ctx, expected, v)
  _M.issue(ctx, "invalid_type",
    ("Invalid input: expected %s, received %s"):format(expected, received(v)))
end

local function copy(v)
  if type(v) ~= "table" then return v end
  local t = {}
  for k, item in pairs(v) do t[k] = copy(item) end
  return setmetatable(t, getmetatable(v))
end

--- Puts absence and null around what a kind checks.
local function compile(s)
  local check = s._compile(s)
  local optional, nullable, default = s._optional, s._nullable, rawget(s, "_default")
  if default == nil and not optional and not nullable then return check end
  return function(v, ctx)
    if v == nil then
      if default ~= nil then
        if type(default) == "function" then return default() end
        return copy(default)
      end
      if optional then return nil end
      if nullable and ctx.out then return null end
    elseif v == null and nullable then
      if ctx.out then return null end
      return nil
    end
    return check(v, ctx)
  end
end

local function finish(s)
  s._run = compile(s)
  return s
end

--- A copy of a schema with some fields changed, compiled anew.
function _M.with(s, changes)
  local t = {}
  for k, v in pairs(s) do t[k] = v end
  for k, v in pairs(changes) do t[k] = v end
  return finish(setmetatable(t, getmetatable(s)))
end

--- The same with one more check(v, ctx), which reports issues.
function _M.add_check(s, check)
  local checks = copy(s._checks)
  checks[#checks + 1] = check
  return _M.with(s, { _checks = checks })
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

--- value, or nil and the issues.
function _M.validate(s, v, out)
  local ctx = { out = out, path = {}, depth = 0, issues = nil }
  local result = s._run(v, ctx)
  if ctx.issues then return nil, ctx.issues end
  return result
end

local common = {}

function common:optional() return _M.with(self, { _optional = true }) end
function common:nullable() return _M.with(self, { _nullable = true }) end

function common:default(v)
  if v == nil then errors.misuse("default() needs a value, or a function that makes one") end
  return _M.with(self, { _default = v })
end

--- The validated value; raises an rbf.Error with issues.
function common:parse(v)
  local result, issues = _M.validate(self, v)
  if issues then error(errors.invalid("error", issues), 0) end
  return result
end

--- { success = true, data = … } or { success = false, error = rbf.Error with issues }
function common:safeParse(v)
  local result, issues = _M.validate(self, v)
  if issues then return { success = false, error = errors.invalid("error", issues) } end
  return { success = true, data = result }
end

--- A kind of schema: its constructor. methods are its own beside the common ones; compile(schema)
--- gives the check for values that are there.
function _M.kind(name, methods, compile_check)
  local all = {}
  for k, v in pairs(common) do all[k] = v end
  for k, v in pairs(methods) do all[k] = v end
  local mt = { __index = util.closed(all, "a schema of kind " .. name), __schema = true }
  return function(fields)
    local s = {
      _compile = compile_check, _checks = {}, _optional = false, _nullable = false,
    }
    for k, v in pairs(fields or {}) do s[k] = v end
    return finish(setmetatable(s, mt))
  end
end

return _M
