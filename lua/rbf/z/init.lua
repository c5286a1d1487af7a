--- z: schemas for input and output, with zod's vocabulary and messages.
local host = require "rbf.host"
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local number = require "rbf.z.number"
local tables = require "rbf.z.table"

local null = host.null

local boolean = schema.kind("boolean", {}, function()
  return function(v, ctx)
    if type(v) ~= "boolean" then return schema.issue_type(ctx, "boolean", v) end
    return v
  end
end)

local any = schema.kind("any", {}, function()
  return function(v) return v end
end)

local is_null = schema.kind("null", {}, function()
  return function(v, ctx)
    if v ~= null and not (v == nil and ctx.out) then return schema.issue_type(ctx, "null", v) end
    if ctx.out then return null end
    return nil
  end
end)

local one_of = schema.kind("enum", {}, function(s)
  local set, names = {}, {}
  for i, v in ipairs(s._values) do
    set[v], names[i] = true, ("%q"):format(v)
  end
  local message = "Invalid option: expected one of " .. table.concat(names, "|")
  return function(v, ctx)
    if v == nil or not set[v] then return schema.issue(ctx, "invalid_value", message) end
    return v
  end
end)

local function enum(values)
  util.check_type(values, "table", "z.enum's argument")
  if #values == 0 then errors.misuse("z.enum takes a list of strings, found an empty table") end
  for i, v in ipairs(values) do util.check_type(v, "string", ("z.enum: value %d"):format(i)) end
  return one_of { _values = { unpack(values) } }
end

return util.closed({
  string = require("rbf.z.text").string,
  number = number.number,
  int = number.int,
  boolean = function() return boolean() end,
  array = tables.array,
  object = tables.object,
  any = function() return any() end,
  null = function() return is_null() end,
  enum = enum,
}, "z")
