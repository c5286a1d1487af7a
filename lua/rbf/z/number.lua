--- z.number, z.int, z.coerce.number
local host = require "rbf.host"
local errors = require "rbf.errors"
local schema = require "rbf.z.schema"
local util = require "rbf.util"
local words = require "rbf.z.words"

local null = host.null
local abs, floor, max = math.abs, math.floor, math.max
local methods = {}

local largest = 9007199254740991 -- 2^53 - 1

--- A method that compares with n: its name, the issue's code and words, the keyword, the test.
local function bound(name, code, sign, keyword, holds)
  local words_of = code == "too_small" and "Too small" or "Too big"
  methods[name] = function(self, n, message)
    util.check_type(n, "number", name .. "()")
    message = schema.message(message,
      ("%s: expected number to be %s%s"):format(words_of, sign, words.number(n)), name .. "()")
    return schema.add_check(self, {
      json = { [keyword] = n },
      run = function(v, ctx)
        if not holds(v, n) then schema.issue(ctx, code, message) end
        return v
      end,
    })
  end
end

bound("gte", "too_small", ">=", "minimum", function(v, n) return v >= n end)
bound("gt", "too_small", ">", "exclusiveMinimum", function(v, n) return v > n end)
bound("lte", "too_big", "<=", "maximum", function(v, n) return v <= n end)
bound("lt", "too_big", "<", "exclusiveMaximum", function(v, n) return v < n end)
methods.min, methods.max = methods.gte, methods.lte

function methods:positive(message) return self:gt(0, message) end
function methods:negative(message) return self:lt(0, message) end
function methods:nonnegative(message) return self:gte(0, message) end
function methods:nonpositive(message) return self:lte(0, message) end

--- Is v / n whole, within what doubles can tell?
local function is_multiple(v, n)
  local ratio = v / n
  return abs(ratio - floor(ratio + 0.5)) < 4 * 2 ^ -52 * max(abs(ratio), 1)
end

function methods:multipleOf(n, message)
  util.check_type(n, "number", "multipleOf()")
  if n == 0 then errors.misuse("multipleOf() takes a number other than 0") end
  message = schema.message(message, "Invalid number: must be a multiple of " .. words.number(n), "multipleOf()")
  return schema.add_check(self, {
    json = { multipleOf = abs(n) },
    run = function(v, ctx)
      if not is_multiple(v, n) then schema.issue(ctx, "not_multiple_of", message) end
      return v
    end,
  })
end

--- Whole, and exact as a double.
function methods:int(message)
  local own = schema.message(message, nil, "int()")
  local too_big = own or ("Too big: expected int to be <=%.0f"):format(largest)
  local too_small = own or ("Too small: expected int to be >=-%.0f"):format(largest)
  return schema.add_check(self, {
    json = { type = "integer", minimum = -largest, maximum = largest },
    run = function(v, ctx)
      if v % 1 ~= 0 then
        schema.halt(ctx, "invalid_type", own or "Invalid input: expected int, received " .. words.received(v))
      elseif v > largest then
        schema.issue(ctx, "too_big", too_big)
      elseif v < -largest then
        schema.issue(ctx, "too_small", too_small)
      end
      return v
    end,
  })
end

local by_prefix = { x = 16, o = 8, b = 2 }

--- Digits with a point among them or none, perhaps with an exponent. Each pattern knows at once where
--- its parts end: "%d*%.?%d*" would try every way to share a megabyte of digits.
local function is_decimal(s)
  s = s:match "^([%d.]+)[eE][+-]?%d+$" or s
  local rest = s:match "^%d*(.*)$"
  return rest == "" or rest:find "^%.%d*$" ~= nil
end

--- Text as JavaScript's Number reads it; NaN when it is none.
local function from_text(s)
  s = words.trim(s)
  if s == "" then return 0 end
  local prefix, digits = s:match "^0([xXoObB])(%w+)$"
  if prefix then return tonumber(digits, by_prefix[prefix:lower()]) or 0 / 0 end
  local sign, rest = s:match "^([+-]?)(.*)$"
  local value
  if rest == "Infinity" then
    value = math.huge
  elseif is_decimal(rest) then
    value = rest:find "^%.?%d" and tonumber(rest) or 0 / 0
  else
    return 0 / 0
  end
  return sign == "-" and -value or value
end

local function coerced(v)
  if type(v) == "string" then return from_text(v) end
  if type(v) == "boolean" then return v and 1 or 0 end
  if v == null then return 0 end
  if v == nil then return 0 / 0 end
  return v
end

local new = schema.kind {
  name = "number",
  methods = methods,
  compile = function(def)
    local coerce = def.coerce
    return function(v, ctx)
      if coerce then v = coerced(v) end
      if type(v) ~= "number" or v ~= v or v == math.huge or v == -math.huge then
        schema.issue_type(ctx, "number", v)
      end
      return v
    end
  end,
  json = function() return { type = "number" } end,
}

return {
  number = function() return new() end,
  int = function() return new():int() end,
  coerce = function() return new { coerce = true } end,
}
