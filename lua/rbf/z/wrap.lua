--- What every schema can be asked, and what is put around schemas: optional, nullable, default,
--- pipe, transform, lazy.
local host = require "rbf.host"
local errors = require "rbf.errors"
local json = require "rbf.z.json"
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local null, NIL = host.null, schema.NIL
local type, pairs = type, pairs
local common = schema.common

local optional = schema.kind {
  name = "optional",
  compile = function(def)
    local inner, run = def.inner, def.inner._run
    return function(v, ctx)
      if v ~= nil then return run(v, ctx) end
      if schema.optin(inner) ~= "defaulted" then return nil end
      local value, issues = schema.apart(run, nil, ctx)
      if issues then return nil end
      return value
    end
  end,
  optin = function(def) return schema.optin(def.inner) == "defaulted" and "defaulted" or "optional" end,
  optout = function() return "optional" end,
  values = function(def) return schema.values(def.inner) end,
  json = function(def, build) return build(def.inner) end,
}

local nullable = schema.kind {
  name = "nullable",
  compile = function(def)
    local inner, run = def.inner, def.inner._run
    return function(v, ctx)
      if v == null then return NIL end
      if v == nil and ctx.out and schema.optin(inner) == nil then return NIL end
      return run(v, ctx)
    end
  end,
  optin = function(def) return schema.optin(def.inner) end,
  optout = function(def) return schema.optout(def.inner) end,
  values = function(def)
    local values = schema.values(def.inner)
    if not values then return nil end
    values = { unpack(values) }
    values[#values + 1] = null
    return values
  end,
  json = function(def, build) return json.any_of { build(def.inner), { type = "null" } } end,
}

local function copy(v)
  if type(v) ~= "table" then return v end
  local t = {}
  for k, item in pairs(v) do t[k] = copy(item) end
  return setmetatable(t, getmetatable(v))
end

--- Each use gets its own.
local function default_value(value)
  if type(value) == "function" then value = value() end
  if value == null then return NIL end
  return copy(value)
end

local default = schema.kind {
  name = "default",
  compile = function(def)
    local run, value = def.inner._run, def.value
    return function(v, ctx)
      if v == nil then return default_value(value) end
      local result = run(v, ctx)
      if result == nil then return default_value(value) end
      return result
    end
  end,
  optin = function() return "defaulted" end,
  values = function(def) return schema.values(def.inner) end,
  json = function(def, build)
    local s = build(def.inner)
    if not (build.input and json.transforms(def.inner)) then -- it is of the output
      s.default = schema.settle(default_value(def.value), true)
    end
    return s
  end,
}

--- Has the run found more than unknown keys, which do not keep a value from going on?
local function failed(ctx, before)
  for i = before + 1, ctx.n do
    if ctx.issues[i].code ~= "unrecognized_keys" then return true end
  end
  return false
end

local pipe = schema.kind {
  name = "pipe",
  compile = function(def)
    local first, second = def.first._run, def.second._run
    return function(v, ctx)
      local before = ctx.n
      v = first(v, ctx)
      if ctx.n > before and failed(ctx, before) then
        ctx.stopped = true
        return v
      end
      return second(v, ctx)
    end
  end,
  optin = function(def) return schema.optin(def.first) end,
  optout = function(def) return schema.optout(def.second) end,
  values = function(def) return schema.values(def.first) end,
  json = function(def, build)
    return build(build.input and def.first or def.second)
  end,
}

--- What a second schema gets of a null that the first has accepted.
local pass = schema.kind {
  name = "pipe",
  compile = function(def)
    local run = def.to._run
    return function(v, ctx)
      if v == NIL then v = null end
      return run(v, ctx)
    end
  end,
  optin = function(def) return schema.optin(def.to) end,
  optout = function(def) return schema.optout(def.to) end,
  values = function(def) return schema.values(def.to) end,
  json = function(def, build) return build(def.to) end,
}

local transform = schema.kind {
  name = "transform",
  compile = function(def)
    local fn = def.fn
    return function(v)
      if v == NIL then v = nil end
      return fn(v)
    end
  end,
  optin = function() return "optional" end,
  json = function()
    errors.misuse("toJSONSchema: nobody knows what a transform gives; ask for { io = \"input\" }, or "
      .. "pipe it into a schema")
  end,
}

--- The schema that a lazy one stands for; asked for once, when it is first needed.
local function resolve(def)
  if def.found.schema then return def.found.schema end
  local s = def.getter()
  if not schema.is_schema(s) then
    errors.misuse("z.lazy: its function must return a schema, found %s", util.describe(s))
  end
  def.found.schema = s
  return s
end

--- f of the resolved schema; nil for one that asks for itself meanwhile.
local function of_lazy(f)
  return function(def)
    if def.found.asked then return nil end
    def.found.asked = true
    local result = f(resolve(def))
    def.found.asked = nil
    return result
  end
end

local lazy = schema.kind {
  name = "lazy",
  compile = function(def)
    local run
    return function(v, ctx)
      run = run or resolve(def)._run
      return run(v, ctx)
    end
  end,
  resolve = resolve,
  optin = of_lazy(schema.optin),
  optout = of_lazy(schema.optout),
  json = function(def, build) return build.ref(resolve(def)) end,
}

function common:optional() return optional { inner = self } end
function common:nullable() return nullable { inner = self } end

function common:default(v)
  if v == nil then errors.misuse("default() needs a value, or a function that makes one") end
  return default { inner = self, value = v }
end

function common:transform(fn)
  util.check_type(fn, "function", "transform()")
  return pipe { first = self, second = transform { fn = fn } }
end

function common:pipe(s)
  return pipe { first = self, second = pass { to = schema.expect(s, "pipe()") } }
end

local refine_keys = { message = true, path = true, abort = true }

--- fn(value) says whether it will do. options: the message, or { message, path, abort }.
function common:refine(fn, options)
  util.check_type(fn, "function", "refine()")
  if type(options) ~= "table" then options = { message = options } end
  util.check_keys(options, refine_keys, "refine()")
  local message = schema.message(options.message, "Invalid input", "refine()")
  local path = util.check_type(options.path or {}, "table", "refine(): path")
  local issue = options.abort and schema.halt or schema.issue
  return schema.add_check(self, {
    run = function(v, ctx)
      if not fn(schema.settle(v)) then
        local found = issue(ctx, "custom", message).path
        for _, key in ipairs(path) do found[#found + 1] = key end
      end
      return v
    end,
  })
end

--- The validated value; raises an rbf.Error with issues.
function common:parse(v)
  local result, issues = schema.validate(self, v)
  if issues then error(errors.invalid("error", issues), 0) end
  return result
end

--- { success = true, data = … } or { success = false, error = rbf.Error with issues }
function common:safeParse(v)
  local result, issues = schema.validate(self, v)
  if issues then return { success = false, error = errors.invalid("error", issues) } end
  return { success = true, data = result }
end

--- JSON Schema, draft 2020-12. options.io: of what is "input" or (as zod has it) "output".
function common:toJSONSchema(options)
  options = options or {}
  util.check_keys(util.check_type(options, "table", "toJSONSchema's argument"), { io = true }, "toJSONSchema")
  local io = options.io or "output"
  if io ~= "input" and io ~= "output" then
    errors.misuse('toJSONSchema: io must be "input" or "output", found %s', util.describe(io))
  end
  return json.of(self, io == "input")
end

return {
  lazy = function(getter)
    util.check_type(getter, "function", "z.lazy's argument")
    return lazy { getter = getter, found = {} }
  end,
}
