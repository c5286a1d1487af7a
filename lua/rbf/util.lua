--- Small helpers for messages and options.
local errors = require "rbf.errors"

local concat, sort, floor = table.concat, table.sort, math.floor
local min, max = math.min, math.max

local _M = {}

--- The keys of a table, sorted, as strings.
function _M.sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = tostring(k) end
  sort(keys)
  return keys
end

--- Edits (insert, delete, replace, swap of neighbours) from a to b.
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local above
    above, before, row = before, row, {}
    row[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = min(row[j], above[j - 2] + 1)
      end
    end
  end
  return row[#b]
end

--- The name of `names` that was probably meant by `word`; nil when none is near.
function _M.nearest(word, names)
  word = tostring(word)
  local best, least = nil, max(1, floor(#word / 3)) + 1
  for _, name in ipairs(names) do
    local d = distance(word:lower(), name:lower())
    if d < least then best, least = name, d end
  end
  return best
end

--- ", did you mean 'x'?" or "".
function _M.did_you_mean(word, names)
  local name = _M.nearest(word, names)
  return name and (", did you mean '%s'?"):format(name) or ""
end

--- What a value is, for "expected …, found …".
function _M.describe(v)
  if v == nil then return "nil" end
  if type(v) == "string" then return ("the string %q"):format(#v > 40 and v:sub(1, 40) .. "…" or v) end
  if type(v) == "number" or type(v) == "boolean" then return "the " .. type(v) .. " " .. tostring(v) end
  return "a " .. type(v)
end

--- Blames the caller for a key of t that is not in `known` (a set).
function _M.check_keys(t, known, what)
  for k in pairs(t) do
    if not known[k] then
      local names = _M.sorted_keys(known)
      errors.misuse("%s: unknown key '%s'%s (known: %s)", what, tostring(k),
        _M.did_you_mean(k, names), concat(names, ", "))
    end
  end
end

--- Blames the caller unless v has the type.
function _M.check_type(v, expected, what)
  if type(v) ~= expected then
    errors.misuse("%s must be a %s, found %s", what, expected, _M.describe(v))
  end
  return v
end

local units = { ms = 1, seconds = 1000, minutes = 60000, hours = 3600000, days = 86400000 }

local longest = 1000 * 365.25 * units.days -- the host counts ms in 64 bits, from 1970 on

--- { seconds = 30 } → 30000. Several units add up.
function _M.duration(t, what)
  local total = 0
  if type(t) ~= "table" or next(t) == nil then
    errors.misuse("%s must be a duration such as { seconds = 30 }, found %s", what,
      type(t) == "table" and "an empty table" or _M.describe(t))
  end
  _M.check_keys(t, units, what)
  for unit, n in pairs(t) do
    if type(n) ~= "number" or not (n >= 0 and n < 1e12) then
      errors.misuse("%s: %s must be a number from 0 on, found %s", what, unit, _M.describe(n))
    end
    total = total + n * units[unit]
  end
  if total > longest then errors.misuse("%s is longer than 1000 years", what) end
  return floor(total + 0.5)
end

--- How long one run may take: what PostgreSQL's limits can say, and a person can mean.
function _M.timeout(t, what)
  local ms = _M.duration(t, what)
  if ms < 1 or ms > 24 * 3600 * 1000 then
    errors.misuse("%s must be from 1 ms to 24 hours, found %d ms", what, ms)
  end
  return ms
end

--- What reads like methods, with a hint for unknown fields, and cannot be written.
function _M.readonly(methods, what)
  return setmetatable({}, {
    methods = methods, -- for specs
    __index = function(_, k)
      local v = methods[k]
      if v == nil then
        errors.misuse("%s has no '%s'%s", what, tostring(k),
          _M.did_you_mean(k, _M.sorted_keys(methods)))
      end
      return v
    end,
    __newindex = function(_, k)
      errors.misuse("%s.%s cannot be set: all requests share it", what, tostring(k))
    end,
  })
end

--- A class-like table whose unknown fields are errors with a hint.
function _M.closed(methods, what)
  return setmetatable(methods, {
    __index = function(_, k)
      errors.misuse("%s has no '%s'%s", what, tostring(k),
        _M.did_you_mean(k, _M.sorted_keys(methods)))
    end,
  })
end

return _M
