--- z.number, z.int
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local issue = schema.issue
local methods = {}

function methods:min(n)
  util.check_type(n, "number", "min()")
  local message = ("Too small: expected number to be >=%.14g"):format(n)
  return schema.add_check(self, function(v, ctx)
    if v < n then issue(ctx, "too_small", message) end
  end)
end

function methods:max(n)
  util.check_type(n, "number", "max()")
  local message = ("Too big: expected number to be <=%.14g"):format(n)
  return schema.add_check(self, function(v, ctx)
    if v > n then issue(ctx, "too_big", message) end
  end)
end

function methods:int()
  return schema.add_check(self, function(v, ctx)
    if v % 1 ~= 0 then schema.issue_type(ctx, "int", v) end
  end)
end

local new = schema.kind("number", methods, function(s)
  local checks, n = s._checks, #s._checks
  return function(v, ctx)
    if type(v) ~= "number" or v ~= v or v == math.huge or v == -math.huge then
      return schema.issue_type(ctx, "number", v)
    end
    for i = 1, n do checks[i](v, ctx) end
    return v
  end
end)

local function number() return new() end
return { number = number, int = function() return number():int() end }
