-- SPDX-License-Identifier: MIT
--- JSON for the comparison: lists carry the host's mark, null is the host's, numbers keep all digits.
local host = require "rbf.host"

local null, array_mt = host.null, host.array_mt
local _M = {}
local value

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8(n)
  if n < 0x80 then return string.char(n) end
  if n < 0x800 then return string.char(0xC0 + math.floor(n / 64), 0x80 + n % 64) end
  if n < 0x10000 then
    return string.char(0xE0 + math.floor(n / 4096), 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
  end
  return string.char(0xF0 + math.floor(n / 262144), 0x80 + math.floor(n / 4096) % 64,
    0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
end

local function text(s, at)
  local parts = {}
  while true do
    local plain, stop = s:match('^([^"\\]*)(["\\])', at)
    parts[#parts + 1] = plain
    at = at + #plain + 1
    if stop == '"' then return table.concat(parts), at end
    local c = s:sub(at, at)
    if c == "u" then
      parts[#parts + 1] = utf8(tonumber(s:sub(at + 1, at + 4), 16)) -- JSON.stringify pairs no surrogates
      at = at + 5
    else
      parts[#parts + 1] = escapes[c] or c
      at = at + 1
    end
  end
end

local function list(s, at)
  local t = setmetatable({}, array_mt)
  if s:sub(at, at) == "]" then return t, at + 1 end
  repeat
    t[#t + 1], at = value(s, at)
    at = at + 1
  until s:sub(at - 1, at - 1) == "]"
  return t, at
end

local function object(s, at)
  local t = {}
  if s:sub(at, at) == "}" then return t, at + 1 end
  repeat
    local key, after = text(s, at + 1)
    t[key], at = value(s, after + 1)
    at = at + 1
  until s:sub(at - 1, at - 1) == "}"
  return t, at
end

function value(s, at)
  local c = s:sub(at, at)
  if c == '"' then return text(s, at + 1) end
  if c == "[" then return list(s, at + 1) end
  if c == "{" then return object(s, at + 1) end
  if c == "t" then return true, at + 4 end
  if c == "f" then return false, at + 5 end
  if c == "n" then return null, at + 4 end
  local number = s:match("^[-+%d.eE]+", at)
  return tonumber(number), at + #number
end

--- JSON without white space, as JSON.stringify writes it.
function _M.decode(s) return (value(s, 1)) end

function _M.encode(v)
  if v == nil or v == null then return "null" end
  if type(v) == "string" then
    return '"' .. v:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  if type(v) == "number" then return v == v and ("%.17g"):format(v) or "null" end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  if getmetatable(v) == array_mt then
    for i = 1, #v do parts[i] = _M.encode(v[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(v) do
    parts[#parts + 1] = _M.encode(tostring(key)) .. ":" .. _M.encode(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

return _M
