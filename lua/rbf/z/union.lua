--- z.union, z.discriminatedUnion
local host = require "rbf.host"
local errors = require "rbf.errors"
local json = require "rbf.z.json"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local array_mt = host.array_mt

--- Issues of an option that ran apart, as issues of the place where the union stands.
local function adopt(ctx, issues)
  for _, found in ipairs(issues) do
    local issue = schema.issue(ctx, found.code, found.message)
    for _, key in ipairs(found.path) do issue.path[#issue.path + 1] = key end
    issue.errors, issue.issues = found.errors, found.issues
  end
end

--- Of the branches that failed: if just one fits by its types, its issues tell what is wrong.
local function report(ctx, v, branches)
  local best, count = nil, 0
  for _, branch in ipairs(branches) do
    if not branch.aborted then best, count = branch, count + 1 end
  end
  if count == 1 then
    adopt(ctx, best.issues)
    return best.value
  end
  local all = setmetatable({}, array_mt)
  for i, branch in ipairs(branches) do all[i] = branch.issues end
  schema.abort(ctx, "invalid_union", "Invalid input").errors = all
  return v
end

local function optin_of(def)
  local result
  for _, option in ipairs(def.options) do
    local optin = schema.optin(option)
    if optin == "defaulted" then return "defaulted" end
    result = result or optin
  end
  return result
end

local function optout_of(def)
  for _, option in ipairs(def.options) do
    if schema.optout(option) then return "optional" end
  end
end

local function values_of(def)
  local all = {}
  for _, option in ipairs(def.options) do
    local values = schema.values(option)
    if not values then return nil end
    for _, v in ipairs(values) do all[#all + 1] = v end
  end
  return all
end

local function builds(def, build)
  local parts = setmetatable({}, array_mt)
  for i, option in ipairs(def.options) do parts[i] = build(option) end
  return parts
end

local new_union = schema.kind {
  name = "union",
  compile = function(def)
    local options, n = def.options, #def.options
    if n == 1 then return options[1]._run end
    return function(v, ctx)
      local branches = {}
      for i = 1, n do
        local value, issues, aborted = schema.apart(options[i]._run, v, ctx)
        if not issues then return value end
        branches[i] = { value = value, issues = issues, aborted = aborted }
      end
      return report(ctx, v, branches)
    end
  end,
  optin = optin_of,
  optout = optout_of,
  values = values_of,
  json = function(def, build) return json.any_of(builds(def, build)) end,
}

local function check_options(options, what)
  util.check_type(options, "table", what .. ": the options")
  if #options == 0 then errors.misuse("%s takes a list of schemas, found %s", what,
    schema.is_schema(options) and "one schema" or "an empty table") end
  for i, option in ipairs(options) do schema.expect(option, ("%s: option %d"):format(what, i)) end
  return { unpack(options) }
end

--- The first option that takes the value. When none does and just one has the right types, its
--- issues are reported, else those of all, as `errors` of one issue.
local function union(options)
  return new_union { options = check_options(options, "z.union") }
end

--- The values of field `name` by which an option can be known; nil when there are none.
local function tags_of(s, name)
  local def = s._def
  if def.discriminator then
    local all = {}
    for _, option in ipairs(def.options) do
      for _, v in ipairs(tags_of(option, name) or {}) do all[#all + 1] = v end
    end
    return all
  end
  if def.first then return tags_of(def.first, name) end
  local field = def.shape and def.shape[name]
  return field and schema.values(field)
end

local function map_of(def)
  local map, names = {}, {}
  for i, option in ipairs(def.options) do
    local tags = tags_of(option, def.discriminator)
    if not tags or #tags == 0 then
      errors.misuse("z.discriminatedUnion: option %d must be a z.object whose field '%s' is a "
        .. "z.literal or z.enum", i, def.discriminator)
    end
    for _, tag in ipairs(tags) do
      if map[tag] then
        errors.misuse("z.discriminatedUnion: two options have '%s' = %s", def.discriminator, words.literal(tag))
      end
      map[tag] = option
      names[#names + 1] = ("'%s'"):format(type(tag) == "string" and tag or words.literal(tag))
    end
  end
  return map, "Invalid discriminator value. Expected " .. table.concat(names, " | ")
end

local discriminated = schema.kind {
  name = "discriminatedUnion",
  compile = function(def)
    local map, message = map_of(def)
    return function(v, ctx)
      if type(v) ~= "table" or words.is_list(v) then
        schema.issue_type(ctx, "object", v)
        return v
      end
      local tag = v[def.discriminator]
      if tag == nil and ctx.out then tag = host.null end
      local option = map[tag]
      if option then return option._run(v, ctx) end
      local issue = schema.abort(ctx, "invalid_union", message)
      issue.errors = setmetatable({}, array_mt)
      issue.path[#issue.path + 1] = def.discriminator
      return v
    end
  end,
  optin = optin_of,
  optout = optout_of,
  json = function(def, build) return { oneOf = builds(def, build) } end,
}

--- Objects told apart by one field: z.discriminatedUnion("type", { … }).
local function discriminated_union(name, options)
  util.check_type(name, "string", "z.discriminatedUnion's first argument")
  return discriminated {
    discriminator = name, options = check_options(options, "z.discriminatedUnion"),
  }
end

return { union = union, discriminatedUnion = discriminated_union }
