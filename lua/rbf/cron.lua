--- app:cron: mutations that run at the times a spec names. What is wrong with one is found while the
--- app loads, at the line that defines it.
local host = require "rbf.host"
local define = require "rbf.define"
local errors = require "rbf.errors"
local registry = require "rbf.registry"
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local misuse = errors.misuse
local _M = {}

local crons, by_name = {}, {}

local option_keys = { input = true, params = true, tz = true, name = true, missed = true }
local policies = { once = true, skip = true }

local function what(cron) return ("cron '%s'"):format(cron.name) end

local function checked(cron, value, why)
  if not value then misuse("%s: %s", what(cron), why) end
  return value
end

local function op_key(op) return op.queue .. "." .. op.path end

--- The mutation that "queue.path" names. All files are loaded by then.
local function find(cron, text)
  local names = {}
  for _, op in ipairs(registry.ops) do
    if op_key(op) == text then return op end
    if op.type == "mutation" then names[#names + 1] = op_key(op) end
  end
  misuse("%s: no operation '%s'%s", what(cron), text, util.did_you_mean(text, names))
end

--- The input as JSON, checked as it will be checked when it has come through NATS.
local function data(cron, op)
  local text = cron.input ~= nil and checked(cron, host.encode(cron.input, "input")) or nil
  local value = host.null
  if text then value = host.decode(text) end
  if not op.input then
    if value ~= host.null then misuse("%s: %s declares no input, so there can be none", what(cron), op_key(op)) end
    return nil
  end
  local _, issues = schema.validate(op.input, value, false)
  if issues then
    misuse("%s: what it gives %s does not fit: %s", what(cron), op_key(op), errors.invalid("input", issues).message)
  end
  return text
end

--- Where its requests go. (main.lua may still give a queue another subject while files load.)
local function subject(cron)
  return checked(cron, host.subject(registry.queues[cron.op.queue].subject, cron.op.path, cron.texts))
end

local function resolve(cron, op)
  if op.type == "query" then
    misuse("%s: %s is a query; queries only answer, use a mutation", what(cron), op_key(op))
  end
  cron.op, cron.texts = op, require("rbf.scheduler").texts(op.path, cron.params, what(cron))
  subject(cron)
  cron.data = data(cron, op)
end

local function check_name(name)
  if type(name) ~= "string" or #name > 100 or not name:find "^[%w_.$:/-]+$" then
    misuse("app:cron: name must be 1 to 100 letters, digits and _ . $ : / -, found %s", util.describe(name))
  end
  local other = by_name[name]
  if other then
    misuse("cron '%s' is defined already, %s; give one of them a name = \"…\"", name,
      other.at == "" and "in another file" or "at " .. other.at:gsub(": $", ""))
  end
  return name
end

local function check_op(op)
  if not define.is_op(op) and type(op) ~= "string" then
    misuse('app:cron: expected an operation or "queue.path", found %s (is it in what its file returns?)',
      util.describe(op))
  end
  return op
end

local function check_policy(missed)
  if not policies[missed] then
    misuse('app:cron: missed must be "once" or "skip", found %s', util.describe(missed))
  end
  return missed
end

--- app:cron(spec, op, options); gives the cron's name.
function _M.add(spec, op, options)
  util.check_type(spec, "string", "app:cron's first argument")
  check_op(op)
  options = options == nil and {} or util.check_type(options, "table", "app:cron's options")
  util.check_keys(options, option_keys, "app:cron")
  local tz = options.tz == nil and "UTC" or util.check_type(options.tz, "string", "app:cron: tz")
  local ok, why = host.check_cron(spec, tz)
  if not ok then misuse("app:%s", why:find "^cron '" and why or "cron: " .. why) end
  local cron = {
    spec = spec, tz = tz, at = errors.here(),
    name = check_name(options.name == nil and (type(op) == "string" and op or op_key(op)) or options.name),
    missed = options.missed == nil and "once" or check_policy(options.missed),
    input = options.input, params = options.params,
  }
  if type(op) == "string" then cron.waits_for = op else resolve(cron, op) end
  crons[#crons + 1], by_name[cron.name] = cron, cron
  return cron.name
end

--- Once all files are loaded: what the host needs to know of the crons.
function _M.plan()
  local list = {}
  for i, cron in ipairs(crons) do
    if cron.waits_for then -- an error is about the line that was left long ago
      local found, why = pcall(function() resolve(cron, find(cron, cron.waits_for)) end)
      if not found then error(cron.at .. tostring(why), 0) end
    end
    list[i] = {
      name = cron.name, spec = cron.spec, tz = cron.tz, missed = cron.missed, subject = subject(cron),
      data = cron.data, file = (cron.at:gsub(": $", "")),
    }
  end
  return list
end

return _M
