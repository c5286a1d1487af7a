--- min, max, length and nonempty of strings (in characters) and arrays (in items). Like zod's they
--- run on whatever has a length, even where the type is wrong already.
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local _M = {}

local function measure(v)
  if type(v) == "string" then return words.length(v), "string", "characters" end
  return #v, "array", "items"
end

--- A check of v's length n against the limit: code(n) gives the issue's code, or nil. cap: the most.
local function check(s, own, sign, limit, code, json, cap)
  return schema.add_check(s, {
    length = true,
    cap = cap,
    json = json,
    run = function(v, ctx)
      local n, origin, unit = measure(v)
      local wrong = code(n)
      if wrong then
        schema.issue(ctx, wrong, own or ("%s: expected %s to have %s%s %s"):format(
          wrong == "too_small" and "Too small" or "Too big", origin, sign, words.number(limit), unit))
      end
      return v
    end,
  })
end

local function expect_count(n, what)
  if type(n) ~= "number" or n < 0 or n ~= n then
    errors.misuse("%s must be a number from 0 on, found %s", what, util.describe(n))
  end
end

--- Of the checks that come before all others, the first that finds v too long; it has reported it.
function _M.too_long(checks, v, ctx)
  for i = 1, #checks do
    local this = checks[i]
    if not this.length then return false end
    if this.cap and #v > this.cap then
      this.run(v, ctx)
      ctx.aborts, ctx.halts = ctx.aborts + 1, ctx.halts + 1
      return true
    end
  end
  return false
end

--- The methods; low and high are the keywords of JSON Schema.
function _M.methods(low, high)
  local methods = {}

  function methods:min(n, message)
    expect_count(n, "min()")
    return check(self, schema.message(message, nil, "min()"), ">=", n,
      function(count) return count < n and "too_small" or nil end, { [low] = n })
  end

  function methods:max(n, message)
    expect_count(n, "max()")
    return check(self, schema.message(message, nil, "max()"), "<=", n,
      function(count) return count > n and "too_big" or nil end, { [high] = n }, n)
  end

  function methods:length(n, message)
    expect_count(n, "length()")
    local function code(count)
      if count == n then return nil end
      return count > n and "too_big" or "too_small"
    end
    return check(self, schema.message(message, nil, "length()"), "exactly ", n, code,
      { [low] = n, [high] = n }, n)
  end

  function methods:nonempty(message) return self:min(1, message) end

  return methods
end

return _M
