--- Forms of text: email, uuid, datetime. (url has a file of its own.)
local errors = require "rbf.errors"
local util = require "rbf.util"

local _M = {}

function _M.email(s)
  local name, domain = s:match "^([%w_'+%-%.]*[%w_+%-])@(.+)$"
  if not name or name:sub(1, 1) == "." or name:find("..", 1, true) then return false end
  local labels, tld = domain:match "^(.+)%.(%a%a+)$"
  if not labels or tld == "" then return false end
  for label in (labels .. "."):gmatch "([^%.]*)%." do
    if not label:match "^%w[%w%-]*$" then return false end
  end
  return true
end

function _M.uuid(s)
  local hex = s:match "^%x+%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+$" and #s == 36 and s:sub(9, 9) == "-"
  if not hex then return false end
  if s:match "^[0%-]+$" or s:match "^[fF%-]+$" then return true end -- nil and max
  return s:sub(15, 15):match "[1-8]" ~= nil and s:sub(20, 20):match "[89abAB]" ~= nil
end

local days_of = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(year, month, day)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local days = days_of[month]
  if month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then days = 29 end
  return days ~= nil and day >= 1 and day <= days
end

local function is_clock(hours, minutes)
  return tonumber(hours) <= 23 and tonumber(minutes) <= 59
end

--- Do seconds and their fraction have the precision that was asked for? -1: no seconds.
local function is_precise(seconds, precision, may_lack)
  if seconds == "" then return precision == -1 or (precision == nil and may_lack) end
  local whole, fraction = seconds:match "^:(%d%d)(.*)$"
  if not whole or tonumber(whole) > 59 or precision == -1 then return false end
  if precision == 0 then return fraction == "" end
  if precision then return #fraction == precision + 1 and fraction:find "^%.%d+$" ~= nil end
  return fraction == "" or fraction:find "^%.%d+$" ~= nil
end

local datetime_keys = { offset = true, ["local"] = true, precision = true, message = true }

--- The test for ISO date-times. options: offset (+02:00 as well as Z), local (neither),
--- precision (digits of seconds; 0: whole seconds, -1: minutes).
function _M.datetime(options)
  util.check_keys(options, datetime_keys, "datetime()")
  local precision, offset, is_local = options.precision, options.offset, options["local"]
  if precision ~= nil and (type(precision) ~= "number" or precision < -1 or precision % 1 ~= 0) then
    errors.misuse("datetime(): precision must be a whole number from -1 on, found %s", util.describe(precision))
  end
  return function(s)
    local y, mo, d, h, mi, rest = s:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d)(.*)$"
    if not y or not is_date(y, mo, d) or not is_clock(h, mi) then return false end
    local seconds, zone = rest:match "^([:%.%d]*)(.*)$"
    if zone:sub(1, 1) == "+" or zone:sub(1, 1) == "-" then
      local zh, zm = zone:match "^[+-](%d%d):(%d%d)$"
      if not offset or not zh or not is_clock(zh, zm) then return false end
    elseif zone ~= "Z" and not (zone == "" and is_local) then
      return false
    end
    return is_precise(seconds, precision, zone == "")
  end
end

return _M
