--- z.object
local host = require "rbf.host"
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local null, array_mt, NIL = host.null, host.array_mt, schema.NIL
local type, pairs = type, pairs
local methods = {}

--- Keys of v that the shape does not know, sorted.
local function unknown_keys(v, shape)
  local keys = {}
  for key in pairs(v) do
    if shape[key] == nil then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

--- What becomes of keys beyond the shape, by the object's mode. (strip: they are left out.)
local extra = {}

function extra.strict(v, shape, ctx)
  local keys = unknown_keys(v, shape)
  if #keys == 0 then return end
  local names = {}
  for i, key in ipairs(keys) do names[i] = words.literal(key) end
  schema.issue(ctx, "unrecognized_keys",
    ("Unrecognized key%s: %s"):format(#keys > 1 and "s" or "", table.concat(names, ", ")))
end

function extra.passthrough(v, shape, _, result)
  for key, item in pairs(v) do
    if shape[key] == nil then result[key] = item end
  end
end

--- What is known of each field, asked when the first value comes: a lazy field knows only then.
local function fields_of(shape)
  local fields = {}
  for i, key in ipairs(util.sorted_keys(shape)) do
    local optin = schema.optin(shape[key])
    local may_lack = schema.optout(shape[key]) == "optional"
    fields[i] = {
      key = key,
      run = shape[key]._run,
      required = optin == nil,
      skip = may_lack and optin == "optional",
      forgive = may_lack and optin ~= nil,
    }
  end
  return fields
end

--- Runs one field; the issues of one that may be absent, and is, do not count.
local function run_field(field, item, ctx)
  local n, aborts, halts = ctx.n, ctx.aborts, ctx.halts
  local value = field.run(item, ctx)
  ctx.stopped = false
  if item ~= nil then return value end
  if ctx.n > n and field.forgive then
    for i = ctx.n, n + 1, -1 do ctx.issues[i] = nil end
    ctx.n, ctx.aborts, ctx.halts = n, aborts, halts
    return nil
  end
  if ctx.n == n and field.required and not ctx.out then
    schema.abort(ctx, "invalid_type", "Invalid input: expected nonoptional, received undefined")
    return nil
  end
  return value
end

local new = schema.kind {
  name = "object",
  methods = methods,
  compile = function(def)
    local shape, more, fields = def.shape, extra[def.mode], nil
    return function(v, ctx)
      if type(v) ~= "table" or words.is_list(v) then
        schema.issue_type(ctx, "object", v)
        return v
      end
      fields = fields or fields_of(shape)
      local result, path, depth, out = {}, ctx.path, ctx.depth + 1, ctx.out
      ctx.depth = depth
      for i = 1, #fields do
        local field = fields[i]
        local key = field.key
        local item = v[key]
        if item ~= nil or not field.skip then
          path[depth] = key
          local value = run_field(field, item, ctx)
          if value == NIL then value = out and null or nil end
          result[key] = value
        end
      end
      ctx.depth = depth - 1
      if more then more(v, shape, ctx, result) end
      return result
    end
  end,
  json = function(def, build)
    local properties, required = {}, setmetatable({}, array_mt)
    for _, key in ipairs(util.sorted_keys(def.shape)) do
      local s = def.shape[key]
      properties[key] = build(s)
      local may_lack = build.input and schema.optin(s) or not build.input and schema.optout(s)
      if not may_lack then required[#required + 1] = key end
    end
    local result = { type = "object", properties = properties }
    if #required > 0 then result.required = required end
    if def.mode == "strict" or (def.mode == "strip" and not build.input) then
      result.additionalProperties = false
    elseif def.mode == "passthrough" then
      result.additionalProperties = {}
    end
    return result
  end,
}

local function check_shape(shape, what)
  util.check_type(shape, "table", what .. "'s argument")
  local result = {}
  for key, s in pairs(shape) do
    if type(key) ~= "string" then
      errors.misuse("%s: keys must be strings, found %s", what, util.describe(key))
    end
    result[key] = schema.expect(s, ("%s: field '%s'"):format(what, key))
  end
  return result
end

--- Unknown keys are an issue; are kept; are left out (as usual).
function methods:strict() return schema.with(self, { mode = "strict" }) end
function methods:passthrough() return schema.with(self, { mode = "passthrough" }) end
function methods:strip() return schema.with(self, { mode = "strip" }) end

--- Refinements have been written for the fields there were.
local function without_checks(s, what)
  if #s._checks > 0 then
    errors.misuse("%s() cannot follow refine() on an object: call %s() first", what, what)
  end
end

--- The fields that a mask ({ name = true } or a list of names) selects, as a set.
local function selected(s, mask, what)
  util.check_type(mask, "table", what .. "'s argument")
  local set = {}
  for key, value in pairs(mask) do
    local name = type(key) == "number" and value or key
    if rawget(s._def.shape, name) == nil then
      errors.misuse("%s(): the object has no field '%s'%s", what, tostring(name),
        util.did_you_mean(name, util.sorted_keys(s._def.shape)))
    end
    if value then set[name] = true end
  end
  return set
end

--- change(key, schema) gives the field of the new object, or nil for none.
local function reshaped(s, change)
  local shape = {}
  for key, field in pairs(s._def.shape) do shape[key] = change(key, field) end
  return schema.with(s, { shape = shape })
end

--- All fields (or those that the mask selects) may be absent.
function methods:partial(mask)
  without_checks(self, "partial")
  local set = mask ~= nil and selected(self, mask, "partial")
  return reshaped(self, function(key, field)
    if set and not set[key] then return field end
    return field:optional()
  end)
end

function methods:pick(mask)
  without_checks(self, "pick")
  local set = selected(self, mask, "pick")
  return reshaped(self, function(key, field) return set[key] and field or nil end)
end

function methods:omit(mask)
  without_checks(self, "omit")
  local set = selected(self, mask, "omit")
  return reshaped(self, function(key, field) return not set[key] and field or nil end)
end

--- More fields; one of the same name takes the other's place.
function methods:extend(shape)
  local more = check_shape(shape, "extend")
  for key in pairs(more) do
    if #self._checks > 0 and self._def.shape[key] then
      errors.misuse("extend() cannot replace field '%s' after refine(): call extend() first", key)
    end
  end
  for key, field in pairs(self._def.shape) do more[key] = more[key] or field end
  return schema.with(self, { shape = more })
end

return function(shape)
  return new { shape = check_shape(shape, "z.object"), mode = "strip" }
end
