--- z.array, z.tuple
local host = require "rbf.host"
local errors = require "rbf.errors"
local length = require "rbf.z.length"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local null, array_mt, NIL = host.null, host.array_mt, schema.NIL

--- In output an empty table is an empty list; in input JSON has said which it is.
local function list_like(v, ctx)
  return type(v) == "table" and (words.is_list(v) or (ctx.out and next(v) == nil))
end

--- Slots keep null.
local function slot(v)
  if v == nil or v == NIL then return null end
  return v
end

local new_array = schema.kind {
  name = "array",
  methods = length.methods("minItems", "maxItems"),
  compile = function(def, checks)
    local run = def.item._run
    return function(v, ctx)
      if not list_like(v, ctx) then
        schema.issue_type(ctx, "array", v)
        return v
      end
      if length.too_long(checks, v, ctx) then return v end -- before work is put into its items
      local result, path, depth = {}, ctx.path, ctx.depth + 1
      ctx.depth = depth
      for i = 1, #v do
        path[depth] = i - 1 -- as JSON counts
        result[i] = slot(run(v[i], ctx))
        ctx.stopped = false
      end
      ctx.depth = depth - 1
      return setmetatable(result, array_mt)
    end
  end,
  json = function(def, build) return { type = "array", items = build(def.item) } end,
}

local function array(item)
  return new_array { item = schema.expect(item, "z.array's argument") }
end

--- How many items from the first on may not be absent, as `omittable` tells.
local function count_needed(items, omittable)
  for i = #items, 1, -1 do
    if not omittable(items[i]) then return i end
  end
  return 0
end

local function may_come_absent(s) return schema.optin(s) ~= nil end
local function may_go_absent(s) return schema.optout(s) == "optional" end

local function check_count(v, ctx, def, needed)
  if def.rest then return true end
  if #v < needed then
    schema.abort(ctx, "too_small", ("Too small: expected array to have >=%d items"):format(needed))
    return false
  end
  if #v > #def.items then
    schema.abort(ctx, "too_big", ("Too big: expected array to have <=%d items"):format(#def.items))
  end
  return true
end

--- The fixed items. Where one that is absent may stay so, the list ends.
local function run_items(v, ctx, def, result, tail)
  local items, path, depth = def.items, ctx.path, ctx.depth
  local n = #items
  for i = 1, n do
    local present, before, aborts, halts = i <= #v, ctx.n, ctx.aborts, ctx.halts
    local may_end = not present and i > tail
    if may_end and schema.optin(items[i]) == "optional" then return i - 1 end
    path[depth] = i - 1
    local value = items[i]._run(v[i], ctx)
    ctx.stopped = false
    if may_end and ctx.n > before then
      for k = ctx.n, before + 1, -1 do ctx.issues[k] = nil end
      ctx.n, ctx.aborts, ctx.halts = before, aborts, halts
      return i - 1
    end
    result[i] = value
  end
  while n > #v and may_go_absent(items[n]) and result[n] == nil do n = n - 1 end
  return n
end

local function run_rest(v, ctx, def, result)
  local path, depth, run = ctx.path, ctx.depth, def.rest._run
  for i = #def.items + 1, #v do
    path[depth] = i - 1
    result[i] = run(v[i], ctx)
    ctx.stopped = false
  end
  return math.max(#v, #def.items)
end

local new_tuple = schema.kind {
  name = "tuple",
  compile = function(def)
    local needed, tail
    return function(v, ctx)
      if not list_like(v, ctx) then
        schema.issue_type(ctx, "tuple", v)
        return v
      end
      needed = needed or count_needed(def.items, may_come_absent)
      tail = tail or count_needed(def.items, may_go_absent)
      if not check_count(v, ctx, def, needed) then return setmetatable({}, array_mt) end
      local result = {}
      ctx.depth = ctx.depth + 1
      local n = run_items(v, ctx, def, result, tail)
      if def.rest and #v > #def.items then n = run_rest(v, ctx, def, result) end
      ctx.depth = ctx.depth - 1
      for i = 1, n do result[i] = slot(result[i]) end
      for i = n + 1, #def.items do result[i] = nil end
      return setmetatable(result, array_mt)
    end
  end,
  json = function(def, build)
    local parts, omittable = setmetatable({}, array_mt), build.input and may_come_absent or may_go_absent
    for i, item in ipairs(def.items) do parts[i] = build(item) end
    local result = { type = "array", prefixItems = parts, items = false }
    local needed = count_needed(def.items, omittable)
    if needed > 0 then result.minItems = needed end
    if def.rest then
      result.items = build(def.rest)
    else
      result.maxItems = #parts
    end
    return result
  end,
}

--- A list with a schema for each place, and perhaps one for all places beyond.
local function tuple(items, rest)
  util.check_type(items, "table", "z.tuple's argument")
  if schema.is_schema(items) then
    errors.misuse("z.tuple takes a list of schemas: z.tuple { z.string(), z.int() }")
  end
  for i, item in ipairs(items) do schema.expect(item, ("z.tuple: item %d"):format(i)) end
  if rest ~= nil then schema.expect(rest, "z.tuple: the rest") end
  return new_tuple { items = { unpack(items) }, rest = rest }
end

return { array = array, tuple = tuple }
