--- r.cache in specs: the questions that lua/rbf/cache.lua asks, answered from memory. Entries expire
--- by the spec's clock.
local host = require "rbf.host"
local clock = require "rbf.testing.clock"
local session = require "rbf.testing.session"

local _M = {}

local function live(entry) return entry and entry.till > clock.now end

_M["cache.get"] = function(key)
  local entry = session.state.cache[key]
  return true, live(entry) and entry.text or nil
end

_M["cache.set"] = function(key, text, ttl)
  session.state.cache[key] = { text = text, till = clock.now + ttl }
  return true
end

_M["cache.invalidate"] = function(key)
  session.state.cache[key] = nil
  return true
end

--- What it holds, by key.
function _M.view()
  local result = {}
  for key, entry in pairs(session.state.cache) do
    if live(entry) then result[key] = host.decode(entry.text) end
  end
  return result
end

return _M
