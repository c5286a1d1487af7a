--- z.boolean, z.null, z.any, z.unknown, z.literal, z.enum, z.coerce.boolean
local host = require "rbf.host"
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local null, NIL, array_mt = host.null, schema.NIL, host.array_mt

local function truth(v)
  return v ~= nil and v ~= null and v ~= false and v ~= 0 and v ~= "" and v == v
end

local boolean = schema.kind {
  name = "boolean",
  compile = function(def)
    local coerce = def.coerce
    return function(v, ctx)
      if coerce then return truth(v) end
      if type(v) ~= "boolean" then schema.issue_type(ctx, "boolean", v) end
      return v
    end
  end,
  json = function() return { type = "boolean" } end,
}

local function anything(name)
  return schema.kind {
    name = name,
    compile = function() return function(v) return v end end,
    json = function() return {} end,
  }
end

local any, unknown = anything "any", anything "unknown"

local is_null = schema.kind {
  name = "null",
  compile = function()
    return function(v, ctx)
      if v == null or (v == nil and ctx.out) then return NIL end
      schema.issue_type(ctx, "null", v)
      return v
    end
  end,
  values = function() return { null } end,
  json = function() return { type = "null" } end,
}

local function message_of(values)
  if #values == 1 then return "Invalid input: expected " .. words.literal(values[1]) end
  local names = {}
  for i, v in ipairs(values) do names[i] = words.literal(v) end
  return "Invalid option: expected one of " .. table.concat(names, "|")
end

--- One of a list of values.
local function compile_values(def)
  local set, message = {}, message_of(def.values)
  for _, v in ipairs(def.values) do set[v] = true end
  return function(v, ctx)
    if v == nil and ctx.out and set[null] then return NIL end
    if v == nil or not set[v] then
      schema.abort(ctx, "invalid_value", message)
    elseif v == null then
      return NIL
    end
    return v
  end
end

local function type_of(v) return v == null and "null" or type(v) end

local function values_json(def)
  local values = def.values
  local result = { type = type_of(values[1]) }
  for _, v in ipairs(values) do
    if type_of(v) ~= result.type then result.type = nil break end
  end
  if #values == 1 and def.single then
    result.const = values[1]
  else
    result.enum = setmetatable({ unpack(values) }, array_mt)
  end
  return result
end

local function values_kind(name)
  return schema.kind {
    name = name,
    compile = compile_values,
    values = function(def) return def.values end,
    json = values_json,
  }
end

local one_of, literal_of = values_kind "enum", values_kind "literal"

local function enum(values)
  util.check_type(values, "table", "z.enum's argument")
  if #values == 0 then errors.misuse("z.enum takes a list of strings, found an empty table") end
  for i, v in ipairs(values) do util.check_type(v, "string", ("z.enum: value %d"):format(i)) end
  return one_of { values = { unpack(values) } }
end

local literals = { string = true, number = true, boolean = true }

--- One value, or a list of them; rbf.null for null.
local function literal(v)
  local values = v
  if type(v) ~= "table" then values = { v } end
  if #values == 0 then
    errors.misuse("z.literal takes a value or a list of them (null is rbf.null), found %s",
      v == nil and "nil" or "an empty table")
  end
  for i, value in ipairs(values) do
    if value ~= null and not literals[type(value)] then
      errors.misuse("z.literal: value %d must be a string, number, boolean or rbf.null, found %s", i,
        util.describe(value))
    end
  end
  return literal_of { values = { unpack(values) }, single = true }
end

return {
  boolean = function() return boolean() end,
  any = function() return any() end,
  unknown = function() return unknown() end,
  null = function() return is_null() end,
  enum = enum,
  literal = literal,
  coerce = function() return boolean { coerce = true } end,
}
