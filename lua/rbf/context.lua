--- The initial context: shared by all runs, so each gets a copy. Plain tables in it are copied with
--- all they hold; tables with a metatable (objects, schemas, operations), functions and userdata
--- are the same for all.
local host = require "rbf.host"

local _M = {}

local getmetatable, pairs, setmetatable, type = getmetatable, pairs, setmetatable, type
local array_mt = host.array_mt

local function is_plain(v)
  if type(v) ~= "table" then return false end
  local mt = getmetatable(v)
  return mt == nil or mt == array_mt
end

local function copy(t, seen)
  if seen[t] then return seen[t] end
  local result = {}
  seen[t] = result
  for k, v in pairs(t) do result[k] = is_plain(v) and copy(v, seen) or v end
  return setmetatable(result, getmetatable(t))
end

--- A context for one run. backend.context is what defineBackend and createBackend said.
function _M.copy(backend)
  local initial = backend.context
  if backend.flat == nil then
    backend.flat = true
    for _, v in pairs(initial) do
      if is_plain(v) then backend.flat = false end
    end
  end
  if not backend.flat then return copy(initial, {}) end
  local result = {}
  for k, v in pairs(initial) do result[k] = v end
  return result
end

return _M
