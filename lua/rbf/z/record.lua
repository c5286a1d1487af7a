--- z.record
local host = require "rbf.host"
local errors = require "rbf.errors"
local json = require "rbf.z.json"
local schema = require "rbf.z.schema"
local words = require "rbf.z.words"

local null, array_mt, NIL = host.null, host.array_mt, schema.NIL

--- The keys sorted; nil when one is no string.
local function keys_of(v)
  local keys = {}
  for key in pairs(v) do
    if type(key) ~= "string" then return nil end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function as_key(v) return type(v) == "number" and words.number(v) or v end

--- The key as its schema has it; nil with the issues when it refuses it. A key that looks like a
--- number may be one.
local function run_key(run, key, ctx)
  local value, issues = schema.apart(run, key, ctx)
  if issues and (key:find "^%-?%d+$" or key:find "^%-?%d+%.%d+$") then
    local number, wrong = schema.apart(run, tonumber(key), ctx)
    if not wrong then value, issues = number, nil end
  end
  if issues then return nil, issues end
  return as_key(value)
end

local function unrecognized(ctx, keys)
  if #keys == 0 then return end
  local names = {}
  for i, key in ipairs(keys) do names[i] = words.literal(key) end
  schema.issue(ctx, "unrecognized_keys",
    ("Unrecognized key%s: %s"):format(#keys > 1 and "s" or "", table.concat(names, ", ")))
end

--- The value of one key, under the key as its schema has it.
local function run_pair(def, v, key, target, issues, result, ctx)
  ctx.path[ctx.depth] = key
  if issues then
    schema.abort(ctx, "invalid_key", "Invalid key in record").issues = issues
    return
  end
  local value = def.value._run(v[key], ctx)
  ctx.stopped = false
  if value == NIL then value = null end -- values of a record keep null
  result[target] = value
end

--- Keys that can be listed must all be there, and no others.
local function run_listed(def, v, keys, result, ctx, listed)
  local known, extra = {}, {}
  for _, name in ipairs(listed) do
    local key = as_key(name)
    if type(key) == "string" then
      known[key] = true
      local target, issues = schema.apart(def.key._run, name, ctx)
      run_pair(def, v, key, as_key(target), issues, result, ctx)
    end
  end
  for _, key in ipairs(keys) do
    if not known[key] then extra[#extra + 1] = key end
  end
  return extra
end

local function run_any(def, v, keys, result, ctx)
  for _, key in ipairs(keys) do
    local target, issues = run_key(def.key._run, key, ctx)
    run_pair(def, v, key, target, issues, result, ctx)
  end
  return {}
end

local new = schema.kind {
  name = "record",
  compile = function(def)
    return function(v, ctx)
      local keys = type(v) == "table" and getmetatable(v) ~= array_mt and keys_of(v)
      if not keys then
        schema.issue_type(ctx, "record", v)
        return v
      end
      local result, listed = {}, schema.values(def.key)
      ctx.depth = ctx.depth + 1
      local extra = (listed and run_listed or run_any)(def, v, keys, result, ctx, listed)
      ctx.depth = ctx.depth - 1
      unrecognized(ctx, extra)
      return result
    end
  end,
  json = function(def, build)
    local result = {
      type = "object", propertyNames = json.key(build(def.key)), additionalProperties = build(def.value),
    }
    local listed = schema.values(def.key)
    if listed and not (build.input and schema.optin(def.value)) then
      result.required = setmetatable({}, array_mt)
      for i, key in ipairs(listed) do result.required[i] = as_key(key) end
    end
    return result
  end,
}

--- A table of any keys: z.record(z.string(), z.int()).
return function(key, value)
  if key ~= nil and value == nil then
    errors.misuse("z.record takes two schemas: z.record(z.string(), value)")
  end
  return new { key = schema.expect(key, "z.record's key"), value = schema.expect(value, "z.record's value") }
end
