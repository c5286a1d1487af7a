-- SPDX-License-Identifier: MIT
--- What z makes of the pairs on stdin: the same lines as theirs.mjs writes. Runs from the source root.
package.path = "./?.lua;tests/zod/?.lua;" .. package.path
local rbf = require("spec.rbf.fakehost")()
local z, null = rbf.z, rbf.null
local host = require "rbf.host"
local json = require "json"

local function is_list(v) return getmetatable(v) == host.array_mt end
local function length(v) return select(2, v:gsub("[^\128-\191]", "")) end
local function size(v) return type(v) == "string" and length(v) or type(v) == "table" and is_list(v) and #v or 0 end

local refinements = {
  short = function(v) return size(v) <= 3 end,
  even = function(v) return v % 2 == 0 end,
  hasA = function(v) return v.a ~= nil and v.a ~= null end,
  notEmpty = function(v) return #v > 0 end,
  present = function(v) return v ~= nil and v ~= null and v ~= false end,
}

local function kind_of(v)
  if v == nil or v == null then return "nothing" end
  if type(v) == "table" then return is_list(v) and "list" or "table" end
  return type(v)
end

local transforms = {
  box = function(v)
    if v == nil or v == null then v = "nothing" end
    return { boxed = v }
  end,
  kind = kind_of,
  absent = function() return nil end,
}

local tree, chain
tree = z.object { kids = z.array(z.lazy(function() return tree end)), v = z.string() }
chain = z.object { n = z.int(), next = z.lazy(function() return chain end):optional() }

local build

local function map(t)
  local result = {}
  for k, d in pairs(t) do result[k] = build(d) end
  return result
end

local kinds = {
  enum = function(d) return z.enum(d.values) end,
  literal = function(d) return z.literal(d.values) end,
  coerce = function(d) return z.coerce[d.to]() end,
  array = function(d) return z.array(build(d.item)) end,
  tuple = function(d) return z.tuple(map(d.items), d.rest and build(d.rest)) end,
  object = function(d) return z.object(map(d.shape)) end,
  record = function(d) return z.record(build(d.keys), build(d.item)) end,
  union = function(d) return z.union(map(d.options)) end,
  discriminatedUnion = function(d) return z.discriminatedUnion(d.by, map(d.options)) end,
  lazy = function(d) return z.lazy(function() return d.name == "tree" and tree or chain end) end,
}

local calls = {
  regex = function(s, p) return s:regex(p.lua) end,
  refine = function(s, name, options) return s:refine(refinements[name], options) end,
  transform = function(s, name) return s:transform(transforms[name]) end,
  pipe = function(s, d) return s:pipe(build(d)) end,
  extend = function(s, shape) return s:extend(map(shape)) end,
}

function build(d)
  local s = kinds[d.kind] and kinds[d.kind](d) or z[d.kind]()
  for _, call in ipairs(d.calls) do
    local name = call[1]
    if calls[name] then
      s = calls[name](s, unpack(call, 2))
    else
      s = s[name](s, unpack(call, 2))
    end
  end
  return s
end

local function json_schema(s, io)
  local ok, result = pcall(s.toJSONSchema, s, { io = io })
  if ok then return result end
  return assert(tostring(result):find "transform" and null, result)
end

local last, schema
for line in io.lines() do
  local pair = json.decode(line)
  local text = line:match '^{"schema":(.*)'
  local answer = {}
  text = text:gsub(',"value":.*$', "") -- no schema has that key
  if text ~= last then
    last, schema = text, build(pair.schema)
    answer.output, answer.input = json_schema(schema, "output"), json_schema(schema, "input")
  end
  local r = schema:safeParse(pair.value)
  answer.ok = r.success
  if r.success then
    answer.value = r.data
  else
    answer.issues = r.error.issues
  end
  print(json.encode(answer))
end
