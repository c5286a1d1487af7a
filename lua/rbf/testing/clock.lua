--- The clock of a spec: it stands still until the spec moves it. Ids and random numbers repeat.
local host = require "rbf.host"

local _M = { now = 0 }

--- Small and good enough: the same name, the same seed.
local function hash(text)
  local h = 5381
  for i = 1, #text do h = (h * 33 + text:byte(i)) % 4294967296 end
  return h
end

function _M.set(ms)
  _M.now = ms
  host.ask("test.clock", ms)
end

--- What spec is this? Its ids follow from its name.
function _M.seed(name)
  local seed = hash(name)
  host.ask("test.clock", nil, seed)
  math.randomseed(seed)
end

function _M.real() return math.floor(require("system").gettime() * 1000) end

return _M
