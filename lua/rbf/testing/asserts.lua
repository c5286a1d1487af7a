--- assert.scheduled and its kin, for luassert.
local assert = require "luassert"
local define = require "rbf.define"
local host = require "rbf.host"
local match = require "luassert.match"
local raise = require("rbf.testing.blame").raise
local session = require "rbf.testing.session"
local util = require "rbf.util"

local function is_matcher(v) return type(v) == "table" and match.is_matcher(v) end

--- Equal, where a matcher of luassert (match.is_string(), match._) takes what it likes.
local function fits(expected, found)
  if is_matcher(expected) then return expected(found) and true or false end
  if type(expected) ~= "table" or type(found) ~= "table" then
    if expected == host.null then expected = nil end
    if found == host.null then found = nil end
    return expected == found
  end
  for k, v in pairs(expected) do
    if not fits(v, found[k]) then return false end
  end
  for k in pairs(found) do
    if expected[k] == nil then return false end
  end
  return true
end

local function contains(expected, found)
  for k, v in pairs(expected) do
    if not fits(v, found[k]) then return false end
  end
  return true
end

local function name_of(op)
  if define.is_op(op) then return op.queue .. "." .. op.path end
  if type(op) == "string" then return op end
  raise('assert.scheduled: expected an operation or "queue.path", found %s', util.describe(op))
end

local function show(v)
  if is_matcher(v) then return "(" .. tostring(v.name or "matcher") .. ")" end
  if type(v) ~= "table" then return (host.encode(v, "value")) or tostring(v) end
  local parts = {}
  for _, k in ipairs(util.sorted_keys(v)) do parts[#parts + 1] = ("%s = %s"):format(tostring(k), show(v[k])) end
  return parts[1] and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

local function line(e)
  local text = e.path or e.subject
  if e.input ~= nil then text = text .. " input = " .. show(e.input) end
  if next(e.params) then text = text .. " params = " .. show(e.params) end
  if e.after > 0 then text = ("%s after %d ms"):format(text, e.after) end
  return text
end

local function listing(list)
  local parts = {}
  for i, e in ipairs(list) do parts[i] = "  " .. line(e) end
  return parts[1] and "Scheduled was:\n" .. table.concat(parts, "\n") or "Nothing was scheduled."
end

local what_keys = { input = true, params = true, headers = true, id = true }
local when_keys = { after = true, at = true }

local function check_keys(t, known, what)
  if t == nil then return {} end
  if type(t) ~= "table" then raise("assert.scheduled: %s must be a table, found %s", what, util.describe(t)) end
  for k in pairs(t) do
    if not known[k] then
      raise("assert.scheduled: unknown key '%s' in %s%s", tostring(k), what,
        util.did_you_mean(tostring(k), util.sorted_keys(known)))
    end
  end
  return t
end

local function is_it(e, name, what, when)
  return (e.path == name or e.subject == name)
    and (what.input == nil or fits(what.input, e.input))
    and (what.params == nil or fits(what.params, e.params))
    and (what.headers == nil or contains(what.headers, e.headers))
    and (what.id == nil or what.id == e.requestId or what.id == e.id)
    and (when.after == nil or when.after == e.after)
    and (when.at == nil or when.at == e.at)
end

--- assert.scheduled(op, { input =, params =, headers =, id = }, { after = { hours = 1 } | at = ms })
local function scheduled(state, arguments)
  local name = name_of(arguments[1])
  local what = check_keys(arguments[2], what_keys, "what was scheduled")
  local when = check_keys(arguments[3], when_keys, "when")
  if type(when.after) == "table" then when = { after = util.duration(when.after, "assert.scheduled: after"), at = when.at } end
  local wanted = name .. (next(what) and " " .. show(what) or "") .. (when.after and (" after %d ms"):format(when.after) or "")
    .. (when.at and (" at %d"):format(when.at) or "")
  local list = session.state.scheduled
  state.failure_message = ("Expected %s %sto be scheduled. %s"):format(wanted, state.mod and "" or "not ", listing(list))
  for _, e in ipairs(list) do
    if is_it(e, name, what, when) then return true end
  end
  return false
end

local function nothing_scheduled(state)
  local list = session.state.scheduled
  state.failure_message = ("Expected %s to be scheduled. %s"):format(state.mod and "nothing" or "something", listing(list))
  return #list == 0
end

--- assert.published(subject, payload)
local function published(state, arguments)
  local subject, payload = arguments[1], arguments[2]
  local parts, found = {}, false
  for i, m in ipairs(session.state.published) do
    found = found or m.subject == subject and (arguments.n < 2 or fits(payload, m.raw or m.payload))
    parts[i] = "  " .. m.subject .. " " .. show(m.raw or m.payload)
  end
  state.failure_message = ("Expected %s message to %s%s. %s"):format(state.mod and "a" or "no", tostring(subject),
    arguments.n > 1 and " " .. show(payload) or "",
    parts[1] and "Published was:\n" .. table.concat(parts, "\n") or "Nothing was published.")
  return found
end

for name, fn in pairs { scheduled = scheduled, nothing_scheduled = nothing_scheduled, published = published } do
  assert:register("assertion", name, fn, "assertion." .. name .. ".positive", "assertion." .. name .. ".negative")
end
