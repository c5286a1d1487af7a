--- z.string
local schema = require "rbf.z.schema"
local util = require "rbf.util"

local issue = schema.issue
local methods = {}

--- Characters of UTF-8 text (bytes that do not continue one).
local function length(s)
  local _, n = s:gsub("[^\128-\191]", "")
  return n
end

local function is_email(s)
  local name, domain = s:match "^([%w_'+%-%.]*[%w_+%-])@(.+)$"
  if not name or name:sub(1, 1) == "." or name:find("..", 1, true) then return false end
  local labels, tld = domain:match "^(.+)%.(%a%a+)$"
  if not labels or tld == "" then return false end
  for label in (labels .. "."):gmatch "([^%.]*)%." do
    if not label:match "^%w[%w%-]*$" then return false end
  end
  return true
end

local function is_uuid(s)
  local hex = s:match "^%x+%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+$" and #s == 36 and s:sub(9, 9) == "-"
  if not hex then return false end
  if s:match "^[0%-]+$" or s:match "^[fF%-]+$" then return true end -- nil and max
  return s:sub(15, 15):match "[1-8]" ~= nil and s:sub(20, 20):match "[89abAB]" ~= nil
end

function methods:min(n)
  util.check_type(n, "number", "min()")
  local message = ("Too small: expected string to have >=%d characters"):format(n)
  return schema.add_check(self, function(v, ctx)
    if #v < n or length(v) < n then issue(ctx, "too_small", message) end
  end)
end

function methods:max(n)
  util.check_type(n, "number", "max()")
  local message = ("Too big: expected string to have <=%d characters"):format(n)
  return schema.add_check(self, function(v, ctx)
    if #v > n and length(v) > n then issue(ctx, "too_big", message) end
  end)
end

function methods:email()
  return schema.add_check(self, function(v, ctx)
    if not is_email(v) then issue(ctx, "invalid_format", "Invalid email") end
  end)
end

function methods:uuid()
  return schema.add_check(self, function(v, ctx)
    if not is_uuid(v) then issue(ctx, "invalid_format", "Invalid UUID") end
  end)
end

local new = schema.kind("string", methods, function(s)
  local checks, n = s._checks, #s._checks
  return function(v, ctx)
    if type(v) ~= "string" then return schema.issue_type(ctx, "string", v) end
    for i = 1, n do checks[i](v, ctx) end
    return v
  end
end)

return { string = function() return new() end }
