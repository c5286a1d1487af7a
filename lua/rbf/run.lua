--- One run of an operation: middleware, input, handler, output. The host calls it as a coroutine.
local host = require "rbf.host"
local cache = require "rbf.cache"
local context = require "rbf.context"
local db = require "rbf.db"
local errors = require "rbf.errors"
local hooks = require "rbf.hooks"
local log = require "rbf.log"
local registry = require "rbf.registry"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local scheduler = require("rbf.scheduler").scheduler

local null = host.null
local ipairs, pairs, setmetatable, type = ipairs, pairs, setmetatable, type

local _M = {}

-- Headers are looked up whatever their case.
local headers_mt = {
  __index = function(t, name)
    if type(name) ~= "string" then return nil end
    name = name:lower()
    for k, v in pairs(t) do
      if k:lower() == name then return v end
    end
  end,
}

--- A fresh copy for each run: what one writes, no other sees.
local function new_ctx(backend)
  local ctx = context.copy(backend)
  ctx.log = ctx.log == nil and log or ctx.log
  return ctx
end

--- Of what a run may have, not all is there in each; other names are mistakes.
local function named(what, names)
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  return {
    __index = function(_, k)
      if known[k] then return nil end
      errors.misuse("%s has no '%s'%s", what, tostring(k), util.did_you_mean(k, names))
    end,
  }
end

local r_mt = named("r", { "cache", "ctx", "db", "input", "msg", "params", "scheduler" })
local msg_mt = named("r.msg", {
  "attempt", "headers", "operation", "requestId", "subject", "timestamp", "type",
})

local function new_r(op, input, params, msg)
  setmetatable(msg.headers, headers_mt)
  setmetatable(msg, msg_mt)
  return setmetatable({ ctx = new_ctx(op.backend), input = input, params = params, msg = msg }, r_mt)
end

local function check_input(op, input)
  if op.input then
    local value, issues = schema.validate(op.input, input, false)
    if issues then error(errors.invalid("input", issues), 0) end
    return value
  end
  if input ~= null then
    local issues = setmetatable({ {
      path = setmetatable({}, host.array_mt),
      code = "invalid_type",
      message = "Invalid input: expected null (the operation declares no input)",
    } }, host.array_mt)
    error(errors.invalid("input", issues), 0)
  end
  return nil
end

local function check_output(op, result)
  if op.output then
    local value, issues = schema.validate(op.output, result, true)
    if issues then error(errors.invalid("output", issues), 0) end
    result = value
  end
  local ok, why = host.finish(result)
  if not ok then
    error(errors.new("output", { status = 500, code = "INTERNAL_SERVER_ERROR", message = why }), 0)
  end
end

--- A failed statement dooms the transaction, whatever the handler swallowed.
local function check_doomed(database)
  if database.doomed then error(database.doomed, 0) end
end

--- number: of the op; input: decoded JSON, null as rbf.null.
function _M.run(number, input, params, msg, middleware_only)
  local op = registry.ops[number]
  local r = new_r(op, input, params, msg)
  if op.on_error[1] then host.keep(r) end
  local database = db.new(op.type)
  r.db = database
  r.cache = cache.of(op.type)
  if op.type == "mutation" then r.scheduler = scheduler end
  hooks.before(op, r)
  if middleware_only then
    check_doomed(database)
    return
  end
  r.input = check_input(op, input)
  local key = op.cache and not database.doomed and cache.key(op, r)
  if key and cache.answer(key) then return end
  local result = op.handler(r)
  check_doomed(database)
  if op.after[1] then
    result = hooks.after(op, r, result)
    check_doomed(database)
  end
  check_output(op, result)
  if key then cache.keep(op, key) end
end

--- The onError hooks, after the rollback. r: what the run had kept; nil when it did not begin.
function _M.on_error(number, failure, r, params, msg)
  local op = registry.ops[number]
  r = r or new_r(op, null, params, msg)
  r.db, r.scheduler, r.cache = nil, nil, nil
  hooks.on_error(op, r, failure)
end

return _M
