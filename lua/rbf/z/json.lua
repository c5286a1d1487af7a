--- JSON Schema (draft 2020-12) of schemas. A kind's json(def, build) gives its own part; build(s)
--- gives that of another schema, build.ref(s) the same for one that may contain itself.
local host = require "rbf.host"
local schema = require "rbf.z.schema"

local array_mt = host.array_mt
local max, min = math.max, math.min
local _M = {}

-- Keywords of which the narrower counts when two checks say something.
local narrower = {
  minLength = max, minItems = max, minimum = max, exclusiveMinimum = max,
  maxLength = min, maxItems = min, maximum = min, exclusiveMaximum = min,
}

local function list(t) return setmetatable(t, array_mt) end

--- Several patterns stand in allOf; of divisors the first stands alone.
local function put_patterns(result, patterns)
  if #patterns == 1 then
    result.pattern = patterns[1]
  elseif #patterns > 1 then
    result.allOf = list {}
    for i, pattern in ipairs(patterns) do result.allOf[i] = { pattern = pattern } end
  end
end

local function put_divisors(result, divisors)
  local seen = {}
  for i, n in ipairs(divisors) do
    if i == 1 then
      result.multipleOf = n
    elseif not seen[n] then
      result.allOf = result.allOf or list {}
      result.allOf[#result.allOf + 1] = { multipleOf = n }
    end
    seen[n] = true
  end
end

local function bounds(result)
  local low, high = result.exclusiveMinimum, result.exclusiveMaximum
  if low and low >= (result.minimum or -math.huge) then result.minimum = nil
  elseif low then result.exclusiveMinimum = nil end
  if high and high <= (result.maximum or math.huge) then result.maximum = nil
  elseif high then result.exclusiveMaximum = nil end
end

--- What checks say, over what the kind said.
local function add_checks(result, checks)
  local patterns, divisors = {}, {}
  for _, check in ipairs(checks) do
    for key, v in pairs(check.json or {}) do
      if key == "pattern" then
        patterns[#patterns + 1] = v
      elseif key == "multipleOf" then
        divisors[#divisors + 1] = v
      elseif narrower[key] and result[key] then
        result[key] = narrower[key](result[key], v)
      else
        result[key] = v
      end
    end
  end
  bounds(result)
  put_patterns(result, patterns)
  put_divisors(result, divisors)
end

--- anyOf, written as a list of types where the options are nothing else.
function _M.any_of(options)
  local types, seen = list {}, {}
  for _, option in ipairs(options) do
    local key, more = next(option)
    if key ~= "type" or next(option, key) then return { anyOf = list(options) } end
    for _, name in ipairs(type(more) == "table" and more or { more }) do
      if not seen[name] then types[#types + 1] = name end
      seen[name] = true
    end
  end
  return { type = #types == 1 and types[1] or types }
end

--- Does a schema contain a transform, so that its input and its output are two things?
function _M.transforms(s, seen)
  seen = seen or {}
  if type(s) ~= "table" or seen[s] then return false end
  seen[s] = true
  if schema.is_schema(s) then
    if s._kind.name == "transform" then return true end
    if s._kind.resolve then return _M.transforms(s._kind.resolve(s._def), seen) end
    s = s._def
  end
  for _, part in pairs(s) do
    if _M.transforms(part, seen) then return true end
  end
  return false
end

local numeric = { minimum = true, maximum = true, exclusiveMinimum = true, exclusiveMaximum = true, multipleOf = true }

--- The schema of a record's keys: those are text, though they may have to look like numbers.
function _M.key(s)
  if s.type ~= "number" and s.type ~= "integer" then return s end
  local result = { type = "string", pattern = s.type == "number" and "^-?\\d+(?:\\.\\d+)?$" or "^-?\\d+$" }
  for k, v in pairs(s) do
    if not numeric[k] and result[k] == nil then result[k] = v end
  end
  return result
end

local function new_build(root, input)
  local defs, names, count = {}, {}, 0
  local build = { input = input }
  local function part(_, s)
    local result = s._kind.json(s._def, build)
    add_checks(result, s._checks)
    return result
  end
  setmetatable(build, { __call = part })
  --- Schemas that lazy ones stand for are written once, below $defs, unless it is the whole.
  function build.ref(s)
    if s == root then return { ["$ref"] = "#" } end
    if not names[s] then
      names[s], count = "__schema" .. count, count + 1
      defs[names[s]] = build(s)
    end
    return { ["$ref"] = "#/$defs/" .. names[s] }
  end
  build.defs = defs
  return build
end

function _M.of(s, input)
  local build = new_build(s, input)
  local result = build(s)
  result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
  if next(build.defs) then result["$defs"] = build.defs end
  return result
end

return _M
