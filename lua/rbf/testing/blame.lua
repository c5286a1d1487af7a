--- Errors at the line of the spec that caused them.
local framework = debug.getinfo(1, "S").source:match "^(@.*/rbf/)testing/"

local _M = {}

local function is_users(source)
  return source:sub(1, 1) == "@" and source:sub(1, #framework) ~= framework
    and not source:find("/busted/", 1, true) and not source:find("/luassert/", 1, true)
end

--- The innermost line that is neither ours nor busted's: path and number, or nothing.
function _M.place()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return end
    if info.currentline > 0 and is_users(info.source) then return info.short_src, info.currentline end
  end
end

function _M.raise(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  local path, line = _M.place()
  error(path and ("%s:%d: %s"):format(path, line, message) or message, 0)
end

return _M
