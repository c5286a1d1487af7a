--- Schemas as types. One schema is up to three of them, by who looks at it:
---   got     what the handler gets: after validation, null is nil
---   sent    what is sent: before validation, null is rbf.null
---   given   what a caller is given: after validation of the output, null is rbf.null
--- A rule per kind gives the alternatives and whether null is among them.
local host = require "rbf.host"
local schema = require "rbf.z.schema"
local text = require "rbf.types.text"
local util = require "rbf.util"

local concat, ipairs = table.concat, ipairs
local NULL = "rbf.Null"
local INLINE = 60 -- characters: tables that are longer become classes
local DEEP = 32 -- a lazy schema that makes a new one each time ends here

local _M = {}
local rules = {}

local function only(name)
  return function() return { name }, false end
end

-- ---------------------------------------------------------------- values

--- Coercion takes anything: JavaScript's rules make something of it.
local function value(name)
  return function(b, def)
    return { b.view == "sent" and def.coerce and "any" or name }, false
  end
end

rules.string, rules.boolean = value "string", value "boolean"
rules.any, rules.unknown = only "any", only "any"

function rules.number(b, def, s)
  for _, check in ipairs(s._checks) do
    if check.json and check.json.type == "integer" then return value "integer"(b, def) end
  end
  return value "number"(b, def)
end

function rules.null() return {}, true end

local function values(_, def)
  local list, null = {}, false
  for _, v in ipairs(def.values) do
    if v == host.null then null = true else list[#list + 1] = text.literal(v) end
  end
  return list, null
end

rules.enum, rules.literal = values, values

-- ---------------------------------------------------------------- lists and tables

--- In lists and records null stays rbf.null, and what is absent becomes it.
local function slot(b, s, name)
  local list, null = b:alternatives(s, name)
  if null or b:may_lack(s) then list[#list + 1] = NULL end
  return text.union(list)
end

function rules.array(b, def, _, name)
  return { text.part(slot(b, def.item, name .. ".item")) .. "[]" }, false
end

function rules.tuple(b, def, _, name)
  local parts = {}
  for i, item in ipairs(def.items) do parts[i] = slot(b, item, name .. "." .. i) end
  if not def.rest then return { "[" .. concat(parts, ", ") .. "]" }, false end
  for i, part in ipairs(parts) do parts[i] = ("[%d]: %s"):format(i, part) end
  parts[#parts + 1] = "[integer]: " .. slot(b, def.rest, name .. ".rest")
  return { "{ " .. concat(parts, ", ") .. " }" }, false
end

function rules.record(b, def, _, name)
  local keys = { "string" }
  local listed = schema.values(def.key)
  if listed then
    keys = {}
    for i, v in ipairs(listed) do keys[i] = type(v) == "string" and text.literal(v) or "string" end
  end
  return { ("table<%s, %s>"):format(text.union(keys), slot(b, def.value, name .. ".value")) }, false
end

--- { { "name" or "name?", type }, … } of an object's fields.
local function fields_of(b, def, name)
  local fields = {}
  for i, key in ipairs(util.sorted_keys(def.shape)) do
    local s = def.shape[key]
    local list, null = b:alternatives(s, name .. "." .. key)
    local lacks = b:may_lack(s)
    if null and b.view == "got" then
      lacks = true
    elseif null then
      list[#list + 1] = NULL
    end
    fields[i] = { text.field(key, text.union(list), lacks) }
  end
  return fields
end

--- open: other keys are there too.
local function inline(fields, open)
  local parts = {}
  for i, field in ipairs(fields) do parts[i] = field[1] .. ": " .. field[2] end
  if open then parts[#parts + 1] = "[string]: any" end
  return #parts > 0 and "{ " .. concat(parts, ", ") .. " }" or "table"
end

local function class(b, name, fields, open)
  local lines = { "---@class " .. name }
  for _, field in ipairs(fields) do lines[#lines + 1] = ("---@field %s %s"):format(field[1], field[2]) end
  if open then lines[#lines + 1] = "---@field [string] any" end
  b.chunks[#b.chunks + 1] = concat(lines, "\n")
end

--- Long ones and those that contain themselves become classes.
function rules.object(b, def, s, name)
  b.open[s] = name
  local fields, open = fields_of(b, def, b.own[s] or name), def.mode == "passthrough"
  b.open[s] = nil
  local short, own = inline(fields, open), b.own[s]
  if not own and #short <= INLINE then return { short }, false end
  own = own or b.names:new(name)
  class(b, own, fields, open)
  return { own }, false
end

-- ---------------------------------------------------------------- combinations

local function all(b, options, name)
  local list, null = {}, false
  for i, option in ipairs(options) do
    local more, has_null = b:alternatives(option, #options > 1 and name .. "." .. i or name)
    for _, one in ipairs(more) do list[#list + 1] = one end
    null = null or has_null
  end
  return list, null
end

local function options_rule(b, def, _, name) return all(b, def.options, name) end
rules.union, rules.discriminatedUnion = options_rule, options_rule

local function inner_rule(b, def, _, name) return b:alternatives(def.inner, name) end
rules.optional = inner_rule

function rules.nullable(b, def, _, name) return b:alternatives(def.inner, name), true end

function rules.default(b, def, _, name)
  local list, null = b:alternatives(def.inner, name)
  return list, null or def.value == host.null
end

--- Of a pipe, the end that is seen. (A second schema stands in a wrapper of its own, as `to`.)
local function seen(b, def)
  return def.to or (b.view == "sent" and def.first or def.second)
end

function rules.pipe(b, def, _, name) return b:alternatives(seen(b, def), name) end

--- Nobody knows what a function gives.
rules.transform = only "any"

--- What a lazy schema stands for has a name, so that it can contain itself.
function rules.lazy(b, def, s, name)
  local target, null = b:core(s._kind.resolve(def))
  if b.open[target] and not b.own[target] then b.own[target] = b.names:new(b.open[target]) end
  local known = b.own[target] or b.known[target]
  if known then return { known }, null end
  if b.deep >= DEEP then return { "any" }, null end
  return { b:named(target, b.names:new(name)) }, null
end

-- ---------------------------------------------------------------- a build

local Build = util.closed({}, "a build")
Build.__index = Build

--- The alternatives of a schema (a new list), and whether null is one of them.
function Build:alternatives(s, name)
  local rule = rules[s._kind.name]
  return rule(self, s._def, s, name)
end

function Build:may_lack(s)
  if self.view == "sent" then return schema.optin(s) ~= nil end
  return schema.optout(s) == "optional"
end

--- A schema without the wrappers that say what may be absent or null; may it be null?
function Build:core(s)
  local kind, def = s._kind.name, s._def
  if kind == "optional" or kind == "nullable" or kind == "default" then
    local core, null = self:core(def.inner)
    return core, null or kind == "nullable" or (kind == "default" and def.value == host.null)
  elseif kind == "pipe" then
    return self:core(seen(self, def))
  end
  return s, false
end

--- Writes a class or an alias for a schema (a core) under a name that is its own; gives the name.
function Build:named(s, name)
  self.known[s] = name
  self.own[s] = s._kind.name == "object" and name or nil
  self.deep = self.deep + 1
  local list, null = self:alternatives(s, name)
  self.deep = self.deep - 1
  if null then list[#list + 1] = self.view == "got" and "nil" or NULL end
  if not self.own[s] then
    self.chunks[#self.chunks + 1] = ("---@alias %s %s"):format(name, text.union(list))
  end
  return name
end

--- Declares a schema's type under a name: the text of the declarations, whether a value may be
--- left out, and whether it may be null. names gives further names.
function _M.declare(s, view, name, names)
  local b = setmetatable({ view = view, names = names, own = {}, known = {}, open = {}, chunks = {}, deep = 0 }, Build)
  local core, null = b:core(s)
  b:named(core, name)
  return concat(b.chunks, "\n\n"), b:may_lack(s), null
end

_M.rules = rules -- for specs
return _M
