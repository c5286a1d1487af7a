--- How names and values are written in annotations (LuaCATS), and names that are given once.
local util = require "rbf.util"

local concat, floor = table.concat, math.floor
local _M = {}

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch "%a+" do
  keywords[word] = true
end

--- Text in quotes. A comment ends with its line, so control characters are written as numbers.
function _M.quoted(s)
  return '"' .. s:gsub('[\\"]', "\\%0"):gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end) .. '"'
end

--- A field's name as it stands in `---@field` and in { … }.
function _M.key(name)
  if name:find "^[%a_][%w_]*$" and not keywords[name] then return name end
  return "[" .. _M.quoted(name) .. "]"
end

--- A value as a type of its own; fractions and what is not exact have none.
function _M.literal(v)
  if type(v) == "string" then return _M.quoted(v) end
  if type(v) ~= "number" then return tostring(v) end
  if v % 1 == 0 and math.abs(v) < 2 ^ 53 then return ("%d"):format(floor(v)) end
  return "number"
end

--- Alternatives without doubles; any swallows the others. Absent is for what may be left out.
function _M.union(alternatives)
  local seen, list = {}, {}
  for _, one in ipairs(alternatives) do
    if one == "any" then return "any" end
    if not seen[one] then list[#list + 1] = one end
    seen[one] = true
  end
  return #list > 0 and concat(list, "|") or "nil"
end

--- A type as part of a larger one: T[] or T?.
function _M.part(text)
  if text:find "^[%w_.%-%[%]]+$" or text:find "^%b{}$" or text:find "^%b()$" then return text end
  return "(" .. text .. ")"
end

--- "name? type" of a field that may be absent. (What is any or nil may be absent anyway.)
function _M.field(name, text, may_lack)
  local mark = may_lack and text ~= "any" and text ~= "nil" and "?" or ""
  return _M.key(name) .. mark, text
end

--- Names of classes, each given once: a second use of one gets a number behind it.
local Names = util.closed({}, "names")
Names.__index = Names

function _M.names()
  return setmetatable({ used = {} }, Names)
end

--- The same names given, for an attempt that may come to nothing.
function Names:copy()
  local copy = _M.names()
  for name in pairs(self.used) do copy.used[name] = true end
  return copy
end

function Names:new(wanted)
  local base = wanted:gsub("[^%w_.%-]", "_")
  local name, n = base, 1
  while self.used[name] do
    n = n + 1
    name = base .. "_" .. n
  end
  self.used[name] = true
  return name
end

return _M
