--- z.object, z.array
local host = require "rbf.host"
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local null, array_mt = host.null, host.array_mt
local issue = schema.issue

local new_object = schema.kind("object", {}, function(s)
  local keys, runs = util.sorted_keys(s._shape), {}
  for i, key in ipairs(keys) do runs[i] = s._shape[key]._run end
  return function(v, ctx)
    if type(v) ~= "table" or schema.is_list(v) then return schema.issue_type(ctx, "object", v) end
    local result, path, depth = {}, ctx.path, ctx.depth + 1
    ctx.depth = depth
    for i = 1, #keys do
      local key = keys[i]
      path[depth] = key
      result[key] = runs[i](v[key], ctx)
    end
    ctx.depth = depth - 1
    return result
  end
end)

--- Keys that are not in the shape are left out of the result.
local function object(shape)
  util.check_type(shape, "table", "z.object's argument")
  for key, s in pairs(shape) do
    if type(key) ~= "string" then
      errors.misuse("z.object: keys must be strings, found %s", util.describe(key))
    end
    schema.expect(s, ("z.object: field '%s'"):format(key))
  end
  return new_object { _shape = shape }
end

local methods = {}

function methods:min(n)
  util.check_type(n, "number", "min()")
  local message = ("Too small: expected array to have >=%d items"):format(n)
  return schema.add_check(self, function(v, ctx)
    if #v < n then issue(ctx, "too_small", message) end
  end)
end

function methods:max(n)
  util.check_type(n, "number", "max()")
  local message = ("Too big: expected array to have <=%d items"):format(n)
  return schema.add_check(self, function(v, ctx)
    if #v > n then issue(ctx, "too_big", message) end
  end)
end

--- In output an empty table is an empty list; in input JSON has said which it is.
local function list_like(v, ctx)
  return type(v) == "table" and (schema.is_list(v) or (ctx.out and next(v) == nil))
end

local new_array = schema.kind("array", methods, function(s)
  local run, checks = s._item._run, s._checks
  return function(v, ctx)
    if not list_like(v, ctx) then return schema.issue_type(ctx, "array", v) end
    local result, path, depth = {}, ctx.path, ctx.depth + 1
    ctx.depth = depth
    for i = 1, #v do
      path[depth] = i - 1 -- as JSON counts
      local item = run(v[i], ctx)
      result[i] = item == nil and null or item -- slots keep null
    end
    ctx.depth = depth - 1
    for i = 1, #checks do checks[i](v, ctx) end
    return setmetatable(result, array_mt)
  end
end)

local function array(item)
  return new_array { _item = schema.expect(item, "z.array's argument") }
end

return { object = object, array = array }
