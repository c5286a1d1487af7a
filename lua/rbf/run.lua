--- One run of an operation: middleware, input, handler, output. The host calls it as a coroutine.
local host = require "rbf.host"
local db = require "rbf.db"
local errors = require "rbf.errors"
local log = require "rbf.log"
local registry = require "rbf.registry"
local schema = require "rbf.z.schema"
local scheduler = require("rbf.scheduler").scheduler

local null = host.null
local type, pairs = type, pairs

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

--- A fresh shallow copy for each run: what one writes, no other sees.
local function new_ctx(initial)
  local ctx = { log = log }
  for k, v in pairs(initial) do ctx[k] = v end
  return ctx
end

local function merged(ctx, more)
  local result = {}
  for k, v in pairs(ctx) do result[k] = v end
  for k, v in pairs(more) do result[k] = v end
  return result
end

local function run_middleware(fn, r)
  local answer = fn(r)
  if answer == nil then return end
  if type(answer) ~= "table" or (answer.ctx ~= nil and type(answer.ctx) ~= "table") then
    local info = debug.getinfo(fn, "S")
    error(("%s:%d: middleware must return nothing or { ctx = {…} }, found a %s"):format(
      info.short_src, info.linedefined, type(answer)), 0)
  end
  if answer.ctx then r.ctx = merged(r.ctx, answer.ctx) end
end

local function middleware(op, r)
  host.phase(true)
  local first = registry.queues[op.queue].middleware
  if first then run_middleware(first, r) end
  local chain = op.chain
  for i = 1, #chain do run_middleware(chain[i], r) end
  host.phase(false)
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

--- number: of the op; input: decoded JSON, null as rbf.null.
function _M.run(number, input, params, msg, middleware_only)
  local op = registry.ops[number]
  local database = db.new(op.type)
  setmetatable(msg.headers, headers_mt)
  local r = {
    ctx = new_ctx(op.backend.context),
    db = database,
    input = input,
    params = params,
    msg = msg,
  }
  if op.type == "mutation" then r.scheduler = scheduler end
  middleware(op, r)
  if not middleware_only then
    r.input = check_input(op, input)
    local result = op.handler(r)
    -- a failed statement dooms the transaction, whatever the handler swallowed
    if database.doomed then error(database.doomed, 0) end
    check_output(op, result)
  elseif database.doomed then
    error(database.doomed, 0)
  end
end

return _M
