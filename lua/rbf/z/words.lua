--- How values are named in messages, as JavaScript writes them.
local host = require "rbf.host"

local null, array_mt = host.null, host.array_mt
local type, getmetatable = type, getmetatable

local _M = {}

--- Is it a JSON list? (An empty table without the mark is an object.)
function _M.is_list(t)
  return getmetatable(t) == array_mt or #t > 0
end

--- The fewest digits that give the number back, as "d.ddd" and the exponent.
local function shortest(n)
  for precision = 0, 16 do
    local text = ("%%.%de"):format(precision):format(n)
    if tonumber(text) == n then return text:match "^(.-)e(.*)$" end
  end
end

--- A number as JavaScript shows it: 1, 0.1, 1e+21, NaN.
function _M.number(n)
  if n ~= n then return "NaN" end
  if n == math.huge then return "Infinity" end
  if n == -math.huge then return "-Infinity" end
  if n == 0 then return "0" end
  local sign = n < 0 and "-" or ""
  local mantissa, exponent = shortest(math.abs(n))
  local digits, e = mantissa:gsub("%.", ""), tonumber(exponent)
  if e >= 21 or e < -6 then
    local rest = digits:sub(2)
    return ("%s%s%se%+d"):format(sign, digits:sub(1, 1), rest ~= "" and "." .. rest or "", e)
  end
  if e < 0 then return sign .. "0." .. ("0"):rep(-e - 1) .. digits end
  if #digits <= e + 1 then return sign .. digits .. ("0"):rep(e + 1 - #digits) end
  return sign .. digits:sub(1, e + 1) .. "." .. digits:sub(e + 2)
end

--- "string", "null", "array", … of a value that was received.
function _M.received(v)
  if v == nil then return "undefined" end
  if v == null then return "null" end
  if type(v) == "number" then
    if v ~= v or v == math.huge or v == -math.huge then return _M.number(v) end
    return "number"
  end
  if type(v) == "table" then return _M.is_list(v) and "array" or "object" end
  return type(v)
end

--- A value that a literal or an enum takes, as it stands in messages.
function _M.literal(v)
  if type(v) == "string" then return '"' .. v .. '"' end
  if type(v) == "number" then return _M.number(v) end
  if v == null then return "null" end
  return tostring(v)
end

--- Characters of UTF-8 text (bytes that do not continue one).
function _M.length(s)
  local _, n = s:gsub("[^\128-\191]", "")
  return n
end

-- White space of Unicode beyond ASCII's, as UTF-8.
local spaces = { ["\194\160"] = true, ["\225\154\128"] = true, ["\239\187\191"] = true }
for _, last in ipairs { 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 168, 169, 175 } do
  spaces["\226\128" .. string.char(last)] = true
end
spaces["\226\129\159"], spaces["\227\128\128"] = true, true

-- How many bytes of white space begin at byte i, or end there. They look at those bytes only: what is
-- trimmed may be a megabyte of blanks.
local function leading(s, i)
  if s:find("^%s", i) then return 1 end
  return (spaces[s:sub(i, i + 1)] and 2) or (spaces[s:sub(i, i + 2)] and 3) or nil
end

local function trailing(s, i)
  if s:find("^%s", i) then return 1 end
  return (spaces[s:sub(i - 1, i)] and 2) or (spaces[s:sub(i - 2, i)] and 3) or nil
end

--- Without white space at both ends.
function _M.trim(s)
  local first, last = 1, #s
  local n = leading(s, first)
  while n do
    first = first + n
    n = leading(s, first)
  end
  n = last >= first and trailing(s, last)
  while n do
    last = last - n
    n = last >= first and trailing(s, last)
  end
  return s:sub(first, last)
end

return _M
